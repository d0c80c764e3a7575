"""Banzhaf values: a player's mean marginal contribution to a coalition of the others in which all are equally likely."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from crowd_sim.errors import InputError
from crowd_sim.linear_algebra import cholesky, gram, inverse_of, product, solved, times, transposed_times
from crowd_sim.random import Purpose, generator
from crowd_sim.valuation.agreement import Seen, unsure
from crowd_sim.valuation.complements import with_complements
from crowd_sim.valuation.estimators.exact import MAX_PLAYERS, all_coalitions
from crowd_sim.valuation.estimators.unanswered import of_draws
from crowd_sim.valuation.games import Game, players_of
from crowd_sim.valuation.noise import common_noise, with_draws
from crowd_sim.valuation.once import once
from crowd_sim.valuation.request import SMALLEST, Evaluate, Request, chunk_rows
from crowd_sim.valuation.result import ShapleyResult, widening
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
    2024, arXiv 2410.08336), below that by the mean. A pair that is drawn again counts once: those there are make a sample
    without repetition, whose variance is less by its share of all (Cochran, "Sampling techniques", 3rd edition, 1977).

    A game with noise is never enumerated: every coalition that is drawn is another draw of the game, and the standard errors
    hold its noise.

    Args:
        game: with ``n_players`` and ``__call__(coalitions: bool[m, n]) -> float[m]``.
        budget: number of utility evaluations; an odd one out is left.
        seed: in [0, 2^64); with ``run`` the key of every draw.
        run: in [0, 2^64).
        evaluate: what evaluates the coalitions, as in `shapley`. Absent: the game is called in this process.
        missing: what a utility that is NaN counts as: ``"raise"`` refuses it; a number is taken in its place; ``"skip"``
            leaves out its pair, and the standard errors hold what it may have said, as if failures depended on nothing.

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
    n, all_pairs = request.n_players, 2.0 ** (request.n_players - 1)
    every = n <= MAX_PLAYERS and 2**n <= request.budget and not request.noisy
    n_pairs = int(all_pairs) if every else request.budget // 2
    signs, odd = room((n_pairs, n), np.float64, request.budget), np.empty(n_pairs)
    done = 0
    request, different = once(request)
    chunks = _every_pair(n) if every else _uniform_pairs(n, n_pairs, request.seed, request.run)
    for chunk, utilities in request.utilities(_numbered(chunks) if request.noisy else chunks):
        part = slice(done, done + len(chunk) // 2)
        signs[part] = np.where(chunk[::2, :n], 1.0, -1.0)
        odd[part] = 0.5 * utilities[0, ::2] - 0.5 * utilities[0, 1::2]
        done = part.stop
    first = _first_of_each(signs)
    answered, n_evaluations = np.isfinite(odd), different(2 * n_pairs)
    known = answered if request.noisy else answered & first
    signs, odd = signs[known], odd[known]
    if request.skips and len(odd) < min(2, all_pairs):
        raise InputError("missing", "skip", f"needs two pairs that have both utilities; {len(odd)} of {n_pairs} do")
    regressed = 2 * n <= len(odd) and n <= _MOST_REGRESSED
    coefficients, stderr = (_least_squares if regressed else _means)(signs, odd)
    stderr *= widening(max(len(odd) - (n if regressed else 1), 1))
    unseen = _of_unknown(answered, int(_first_of_each(signs).sum()), all_pairs, n, request.noisy)
    # what is left of a game that is explained to the last digit is rounding
    checked_size(float(np.abs(coefficients).max()), SMALLEST)
    error = np.sqrt((2.0 * stderr * unseen) ** 2 + (_ROUNDING * np.abs(odd).max()) ** 2)
    error = unsure(error, request.seen[0], n_evaluations) if unseen else error
    return ShapleyResult(2.0 * coefficients, error, n_evaluations, "maximum_sample_reuse", kind="Banzhaf")


def _of_unknown(answered: NDArray[np.bool_], different: int, all_pairs: float, n: int, noisy: bool) -> float:
    """By how much what was not seen of the pairs makes standard errors of draws larger, or smaller; NaN: nothing tells.

    Args:
        answered: bool[m], of the draws.
        different: pairs among those that were answered.
        all_pairs: there are.
        n: players.
        noisy: whether each draw says something new, also of a pair that was drawn before.
    """
    if different == all_pairs and not noisy:
        return 0.0
    if different <= n and (different < all_pairs or int(answered.sum()) <= n):
        return np.nan
    if not noisy:
        return math.sqrt(1.0 - different / all_pairs)
    # the residuals of pairs that are few are smaller than what those that were not answered may have
    fitted = different / (different - n) if different > n else 1.0
    return math.sqrt(1.0 + (of_draws(answered, all_pairs) - 1.0) * fitted)


def _first_of_each(signs: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which of the pairs, float64[m, n], no earlier one is; of more than 20 players hardly any is another's double."""
    n = signs.shape[1]
    if n > MAX_PLAYERS:
        return np.ones(len(signs), dtype=np.bool_)
    codes = ((signs != signs[:, :1]) * (1 << np.arange(n))).sum(axis=1)
    first = np.zeros(len(signs), dtype=np.bool_)
    first[np.unique(codes, return_index=True)[1]] = True
    return first


def _every_pair(n: int) -> Iterator[NDArray[np.bool_]]:
    """All coalitions without the last player, each followed by its complement, in fixed chunks."""
    for rows in all_coalitions(n - 1) if n > 1 else [np.zeros((1, 0), dtype=np.bool_)]:
        yield with_complements(np.pad(rows, ((0, 0), (0, 1))))


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
    mean = products.mean(axis=0)
    return mean, np.sqrt(((products - mean) ** 2).sum(axis=0) / (max(len(odd) - 1, 1) * len(odd)))


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
