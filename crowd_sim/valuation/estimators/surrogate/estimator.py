"""Shapley values of any game by a fitted surrogate: a Gaussian process over its odd Fourier levels.

The relevances of its `Prior` are learnt from the game; regression-adjusted sampling of what it leaves follows Witter, Liu
and Musco, "Regression-adjusted Monte Carlo estimators for Shapley values and probabilistic values", 2025 (arXiv
2506.11849).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from crowd_sim.errors import InputError
from crowd_sim.linear_algebra import transposed_times
from crowd_sim.valuation.complements import with_complements
from crowd_sim.valuation.estimators.exact import MAX_PLAYERS as MOST_ENUMERATED
from crowd_sim.valuation.estimators.exact import exact
from crowd_sim.valuation.estimators.surrogate.averages import averages
from crowd_sim.valuation.estimators.surrogate.design import allocation, draw_pairs
from crowd_sim.valuation.estimators.surrogate.model import Model, fit, predictions
from crowd_sim.valuation.estimators.surrogate.residual import contrasts, fresh_pairs, number_of_pairs, rest_allocation
from crowd_sim.valuation.games import AveragingGame
from crowd_sim.valuation.request import Request, chunked
from crowd_sim.valuation.result import ShapleyResult

MAX_PAIRS = 4000  # in the fit, whose cost grows with the cube
MAX_PLAYERS = 500  # two pairs a player, and more to choose from


def minimum_budget(n: int) -> int:
    """The smallest budget for n players: two pairs a player and both ends, or all coalitions."""
    return min(2**n, 4 * n + 2)


def surrogate(request: Request) -> list[ShapleyResult]:
    """Values of a Gaussian process fitted to complementary pairs, with its standard errors.

    v(N), v(∅) and up to 4,000 pairs of a coalition and its complement are evaluated and fitted; the values follow from the
    fit in closed form, and what they lack to the sum v(N) − v(∅) is shared equally. A budget beyond that goes into fresh
    pairs, none of which was evaluated before, whose residuals give an unbiased correction; it is weighted against the fit
    by their variances. A remainder of the budget too small for a pair, or for two fresh ones of every size, is left.

    The standard errors are the posterior's: they trust the prior, that coefficients of the same level are alike. A game
    whose drawn pairs are those of an additive game, but for a function of the size, gets the values of that game with
    standard errors of 0. Where the budget covers all coalitions the values are exact.

    Raises:
        InputError: more than 500 players, or a budget below two pairs a player.
    """
    n = request.n_players
    if n > MAX_PLAYERS:
        raise InputError("method", "surrogate", f"takes at most {MAX_PLAYERS} players; this game has {n}")
    smallest = minimum_budget(n)
    if request.budget < smallest:
        raise InputError("budget", request.budget, f"must be at least {smallest} for surrogate with {n} players")
    if n <= MOST_ENUMERATED and 2**n <= request.budget:
        return exact(request)
    wanted = (request.budget - 2) // 2
    fitted = draw_pairs(n, min(wanted, MAX_PAIRS), request.seed, request.run)
    rows = _with_ends(fitted)
    chunks = request.admitted(lambda: chunked(rows))
    utilities = np.concatenate([u for _, u in request.utilities(chunks)], axis=1)
    halves = _halves(utilities)
    units = _units(halves)
    halves /= units[:, None]
    known = [averages(game.vectors, game.target) if isinstance(game, AveragingGame) else None for game in request.games]
    models = fit(fitted, halves[:, 1:], known, request.seed, request.run)
    unknown = {k: number_of_pairs(n, k) - known for k, known in enumerate(allocation(n, len(fitted)), start=1)}
    counts = rest_allocation(n, wanted - len(fitted), unknown)
    correction, its_variance = _rest(request, models, units, fitted, counts, unknown)
    left = {k: number for k, number in unknown.items() if number}
    cost = 2 + 2 * (len(fitted) + sum(counts.values()))
    results = []
    for g, model in enumerate(models):
        values, variance = model.contrasts, model.variance
        if counts:
            values, variance = _combined(values, variance, correction[g], its_variance[g], certain=counts == left)
        values = values + (2.0 * halves[g, 0] - values.sum()) / n
        results.append(ShapleyResult(units[g] * values, units[g] * np.sqrt(variance), cost, "surrogate"))
    return results


def _halves(utilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Half the difference between every coalition and its complement: float64[G, m] of utilities float64[G, 2m]."""
    return 0.5 * utilities[:, ::2] - 0.5 * utilities[:, 1::2]


def _units(halves: NDArray[np.float64]) -> NDArray[np.float64]:
    """For each game a power of two near its largest number: division by it is exact, and no square leaves the range."""
    return np.ldexp(1.0, np.frexp(np.abs(halves).max(axis=1))[1])


def _with_ends(pairs: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The grand and the empty coalition, then every pair, a coalition and its complement in turn."""
    first = np.concatenate([np.ones((1, pairs.shape[1]), dtype=np.bool_), pairs])
    return with_complements(first)


def _rest(
    request: Request,
    models: Sequence[Model],
    units: NDArray[np.float64],
    fitted: NDArray[np.bool_],
    counts: dict[int, int],
    unknown: dict[int, int],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The Shapley values of what the models leave, unbiased, and that estimate's variance: float64[G, n] each, in units.

    A size's ``counts`` stand for its ``unknown`` pairs; at the ``fitted`` ones nothing is left.
    """
    n, n_games = request.n_players, len(models)
    values, variance = np.zeros((n_games, n)), np.zeros((n_games, n))
    share, missed = np.zeros(n), np.zeros(n)  # [size]: of all pairs the unknown ones, and of these the ones not drawn
    for size, count in counts.items():
        share[size] = unknown[size] / number_of_pairs(n, size)
        missed[size] = 1.0 - count / unknown[size]
    chunks = request.admitted(lambda: fresh_pairs(n, counts, request.seed, request.run, fitted))
    for chunk, utilities in request.utilities(chunks):
        fresh = chunk[::2]
        sizes = fresh.sum(axis=1)
        inside, outside = (part * share[sizes] for part in contrasts(sizes, n, counts))
        shares = np.where(fresh, inside[:, None], outside[:, None])
        residuals = _halves(utilities) / units[:, None] - predictions(models, fitted, fresh)
        for g, residual in enumerate(residuals):
            values[g] += transposed_times(shares, residual)
            # The residual's mean within a size counts as spread too: next to nothing, and on the safe side
            variance[g] += transposed_times(np.square(shares), np.square(residual) * missed[sizes])
    return values, variance


def _combined(
    values: NDArray[np.float64],
    variance: NDArray[np.float64],
    correction: NDArray[np.float64],
    its_variance: NDArray[np.float64],
    *,
    certain: bool,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The model's values with the part of the correction that the variances tell to trust, and their variance.

    Where the correction is larger than both variances explain, the model's is raised to what it takes: the model may be
    wrong, the correction is unbiased. One weight for all players keeps the sum of the values. ``certain``: every pair was
    evaluated.
    """
    if certain:
        return values + correction, np.zeros_like(variance)
    of_model, of_rest = variance.sum(), its_variance.sum()
    if of_rest == 0.0:  # nothing left to correct
        return values, variance
    seen = max(of_model, (correction**2).sum() - of_rest)
    trust = seen / (seen + of_rest)
    scale = seen / of_model if of_model > 0.0 else 0.0
    return values + trust * correction, (1.0 - trust) * (1.0 - trust) * scale * variance + trust * trust * its_variance
