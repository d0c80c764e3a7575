"""Banzhaf values: a player's mean marginal contribution to a coalition of the others in which all are equally likely."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from crowd_sim.errors import InputError
from crowd_sim.linear_algebra import cholesky, gram, inverse_of, product, solved, times, transposed_times
from crowd_sim.random import Purpose, generator
from crowd_sim.valuation.agreement import Seen, unsure
from crowd_sim.valuation.complements import with_complements
from crowd_sim.valuation.estimators.exact import MAX_PLAYERS, all_coalitions
from crowd_sim.valuation.games import Game, players_of
from crowd_sim.valuation.noise import common_noise, with_draws
from crowd_sim.valuation.once import once
from crowd_sim.valuation.request import SMALLEST, Evaluate, Request, chunk_rows
from crowd_sim.valuation.result import ShapleyResult
from crowd_sim.valuation.validation import checked_budget, checked_missing, checked_size, integer, room

_LARGEST_KEY = 2**64 - 1
_MOST_REGRESSED = 1000  # players, whose normal equations are a matrix of that size
_ROUNDING = 8.0 * np.finfo(np.float64).eps
_SINGULAR = 1e-7  # smallest to largest pivot
_STREAMS = 1  # in the place of the round: apart from the surrogate's own


def banzhaf(
    game: Game,
    budget: int = 10_000,
    seed: int = 0,
    run: int = 0,
    evaluate: Evaluate | None = None,
    missing: str | float = "raise",
) -> ShapleyResult:
    """The Banzhaf values of a game: exact where the budget covers all coalitions of up to 20 players, else sampled.

    β_i = E[v(S) | i in S] − E[v(S) | i not in S] for S uniform over all coalitions, so that every evaluation serves
    every player (maximum sample reuse: Wang and Jia, "Data Banzhaf", AISTATS 2023). S is drawn together with its
    complement, which leaves of v only the odd part d(S) = (v(S) − v(N∖S)) / 2, and β_i is twice the coefficient of the
    sign of i in d. Up to one pair a player the standard errors are NaN: draws that happen to agree would say 0, which only
    exact values have; so they are where all that is drawn is worth the same. From two pairs a player on it is estimated by
    least squares, whose error no longer holds what an additive game explains (Liu, Witter, Korn et al., "Kernel Banzhaf",
    2024, arXiv 2410.08336), below that by the mean.

    A game with noise is never enumerated: every coalition that is drawn is another draw of the game, and the standard errors
    hold its noise.

    Args:
        game: with ``n_players`` and ``__call__(coalitions: bool[m, n]) -> float[m]``.
        budget: number of utility evaluations; an odd one out is left.
        seed: in [0, 2^64); with ``run`` the key of every draw.
        run: in [0, 2^64).
        evaluate: what evaluates the coalitions, as in `shapley`. Absent: the game is called in this process.
        missing: what a utility that is NaN counts as: ``"raise"`` refuses it; a number is taken in its place; ``"skip"``
            leaves out its pair, and all are drawn then.

    Raises:
        InputError: fewer than one player, a budget of less than two pairs or of more than memory holds, utilities of the wrong
            shape or not finite, or fewer than two pairs without a missing one.
    """
    n = players_of(game)
    request = Request(
        games=[game],
        n_players=n,
        evaluate=evaluate,
        budget=checked_budget(budget),
        seed=integer("seed", seed, 0, _LARGEST_KEY),
        run=integer("run", run, 0, _LARGEST_KEY),
        noisy=common_noise([game]),
        missing=checked_missing(missing),
        seen=[Seen()],
    )
    drawn = request.noisy or request.skips
    if n <= MAX_PLAYERS and 2**n <= budget and not drawn:
        return _enumerated(request)
    if budget < 4:
        raise InputError(
            "budget", budget, f"must be at least {4 if drawn else min(4, 2**n)} for Banzhaf values of {n} players"
        )
    return _sampled(request)


def _enumerated(request: Request) -> ShapleyResult:
    n = request.n_players
    values, empty = np.zeros(n), None
    for coalitions, utilities in request.utilities(all_coalitions(n)):
        if empty is None:
            empty = utilities[0, 0]  # a constant takes no part, to the last digit
        # One player at a time and by numpy's own sum: the bits of a matrix product depend on the threads
        values += [np.where(coalitions[:, i], utilities[0] - empty, empty - utilities[0]).sum() for i in range(n)]
    checked_size(float(np.abs(values).max()), SMALLEST)
    return ShapleyResult(values / 2.0 ** (n - 1), np.zeros(n), 2**n, "exact", kind="Banzhaf")


def _sampled(request: Request) -> ShapleyResult:
    n, n_pairs = request.n_players, request.budget // 2
    signs, odd = room((n_pairs, n), np.float64, request.budget), np.empty(n_pairs)
    done = 0
    request, different = once(request)
    chunks = _uniform_pairs(n, n_pairs, request.seed, request.run)
    for chunk, utilities in request.utilities(_numbered(chunks) if request.noisy else chunks):
        part = slice(done, done + len(chunk) // 2)
        signs[part] = np.where(chunk[::2, :n], 1.0, -1.0)
        odd[part] = 0.5 * (utilities[0, ::2] - utilities[0, 1::2])
        done = part.stop
    known = np.isfinite(odd)
    signs, odd, n_evaluations = signs[known], odd[known], different(2 * n_pairs)
    if len(odd) < 2:
        raise InputError("missing", "skip", f"needs two pairs that have both utilities; {len(odd)} of {n_pairs} do")
    n_pairs = len(odd)
    estimate = _least_squares if 2 * n <= n_pairs and n <= _MOST_REGRESSED else _means
    coefficients, stderr = estimate(signs, odd)
    if n_pairs <= n:
        stderr = np.full(n, np.nan)
    # what is left of a game that is explained to the last digit is rounding
    checked_size(float(np.abs(coefficients).max()), SMALLEST)
    error = np.sqrt((2.0 * stderr) ** 2 + (_ROUNDING * np.abs(odd).max()) ** 2)
    error = unsure(error, request.seen[0], n_evaluations)
    return ShapleyResult(2.0 * coefficients, error, n_evaluations, "maximum_sample_reuse", kind="Banzhaf")


def _uniform_pairs(n: int, n_pairs: int, seed: int, run: int) -> Iterator[NDArray[np.bool_]]:
    """Uniform coalitions, each followed by its complement, in fixed chunks; chunk c has its own stream."""
    step = max(1, chunk_rows(n) // 2)
    for c, start in enumerate(range(0, n_pairs, step)):
        # Drawn in full, also the last one: a larger budget goes on where a smaller one ended
        bits = generator(seed, run, Purpose.SURROGATE, _STREAMS, chunk=c).integers(0, 2, (step, n), dtype=np.uint8)
        first = bits[: n_pairs - start].astype(np.bool_)
        yield with_complements(first)


def _numbered(chunks: Iterator[NDArray[np.bool_]]) -> Iterator[NDArray[np.bool_]]:
    """The chunks with the numbers of their draws, one a coalition."""
    done = 0
    for chunk in chunks:
        yield with_draws(chunk, np.arange(done, done + len(chunk)))
        done += len(chunk)


def _means(signs: NDArray[np.float64], odd: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The means of sign × d and their standard errors."""
    products = signs * odd[:, None]
    return products.mean(axis=0), products.std(axis=0, ddof=1) / np.sqrt(len(odd))


def _least_squares(
    signs: NDArray[np.float64], odd: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The coefficients of d on the signs, and standard errors from the residuals one by one (MacKinnon and White's HC3)."""
    upper, definite = cholesky(gram(signs))
    pivots = upper.diagonal()
    if not definite or pivots.min() < _SINGULAR * pivots.max():
        return _means(signs, odd)
    coefficients, inverse = solved(upper, transposed_times(signs, odd)), inverse_of(upper)
    residuals = odd - times(signs, coefficients)
    weights = product(signs, inverse)
    own = np.minimum((weights * signs).sum(axis=1), 1.0 - 1e-9)
    return coefficients, np.sqrt(transposed_times(weights**2, (residuals / (1.0 - own)) ** 2))
