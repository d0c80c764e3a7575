"""Shapley values of any game by a fitted surrogate: a Gaussian process over its odd Fourier levels.

The relevances of its `Prior` are learnt from the game; regression-adjusted sampling of what it leaves follows Witter, Liu
and Musco, "Regression-adjusted Monte Carlo estimators for Shapley values and probabilistic values", 2025 (arXiv
2506.11849).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from crowd_sim.errors import InputError
from crowd_sim.linear_algebra import transposed_times
from crowd_sim.random import Purpose, generator
from crowd_sim.valuation.complements import with_complements
from crowd_sim.valuation.estimators.exact import MAX_PLAYERS as MOST_ENUMERATED
from crowd_sim.valuation.estimators.exact import exact
from crowd_sim.valuation.estimators.paired_regression import minimum_budget as least_of_paired
from crowd_sim.valuation.estimators.paired_regression import of_remainder, paired_regression
from crowd_sim.valuation.estimators.surrogate.alike import alike_values
from crowd_sim.valuation.estimators.surrogate.averages import Averages, averages
from crowd_sim.valuation.estimators.surrogate.design import allocation, draw_pairs, repeated
from crowd_sim.valuation.estimators.surrogate.greatest import greatest_values
from crowd_sim.valuation.estimators.surrogate.model import Model, fit, of_pairs_alone, predictions
from crowd_sim.valuation.estimators.surrogate.prior import Repeats
from crowd_sim.valuation.estimators.surrogate.residual import contrasts, fresh_pairs, number_of_pairs, rest_allocation
from crowd_sim.valuation.games import AveragingGame
from crowd_sim.valuation.noise import with_draws
from crowd_sim.valuation.request import Request, chunked
from crowd_sim.valuation.result import ShapleyResult, widening

MAX_PAIRS = 4000  # in the fit, whose cost grows with the cube
FEWEST_PLAYERS = 5  # with noise
MAX_PLAYERS = 500  # two pairs a player, and more to choose from

_MOST_DRAWS = MAX_PAIRS + 512  # of a game with noise that has more pairs: what is left of a budget corrects the fit
_PRIOR_ENDS = 2.0  # degrees of freedom
_STREAMS = 32  # bits for the draws of a size


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
    standard errors of 0, which `agreement` raises to rounding's size. A game in which every coalition is worth what its
    size says, or as much as its greatest, or least, member, gets that game's values, with a standard error of what coalitions
    that were not seen may be worth besides. Where the budget covers all coalitions the values are exact.

    Of a game with noise some pairs are evaluated again, which tells how much there is, and all of them where they are all there
    are or 4,000; v(∅) and v(N), which every value depends on, but only by 1 / n, are repeated budget / 2n times. The noise's
    variance is learnt with the relevances, that of each size where sizes differ, level 1 has no prior, and the standard errors
    are of what is answered in the mean.
    Where there are more than 4,000 pairs, a budget beyond 4,512 draws goes into paired regression of what the fit leaves.
    Below five players there is nothing for it to learn from: paired regression values those.

    Raises:
        InputError: more than 500 players, or a budget below two pairs a player.
    """
    n = request.n_players
    if n > MAX_PLAYERS:
        raise InputError("method", "surrogate", f"takes at most {MAX_PLAYERS} players; this game has {n}")
    smallest = least_of_paired(n) if request.noisy else minimum_budget(n)
    if request.budget < smallest:
        raise InputError("budget", request.budget, f"must be at least {smallest} for surrogate with {n} players")
    if request.noisy:
        return _of_noise(request)
    if n <= MOST_ENUMERATED and 2**n <= request.budget:
        return exact(request)
    results: list[ShapleyResult | None] = [None] * len(request.games)
    of_means = [isinstance(game, AveragingGame) for game in request.games]
    for smooth in sorted(set(of_means)):  # each kind has coalitions of its own, whichever others are there
        rows = [g for g, kind in enumerate(of_means) if kind == smooth]
        for g, result in zip(rows, _of_kind(request.only(rows), smooth=smooth), strict=True):
            results[g] = result
    return [result for result in results if result is not None]


def _of_kind(request: Request, *, smooth: bool) -> list[ShapleyResult]:
    n, wanted = request.n_players, (request.budget - 2) // 2
    fitted = draw_pairs(n, min(wanted, MAX_PAIRS), request.seed, request.run, smooth=smooth)
    rows = _with_ends(fitted)
    chunks = request.admitted(lambda: chunked(rows))
    utilities = np.concatenate([u for _, u in request.utilities(chunks)], axis=1)
    halves = _halves(utilities)
    units = _units(halves)
    halves /= units[:, None]
    of_means = _of_means(request, wanted)
    models = fit(fitted, halves[:, 1:], of_means, request.seed, request.run)
    drawn = allocation(n, len(fitted), smooth=smooth)
    unknown = {k: number_of_pairs(n, k) - known for k, known in enumerate(drawn, start=1)}
    counts = rest_allocation(n, wanted - len(fitted), unknown)
    correction, its_variance = _rest(request, models, units, fitted, counts, unknown)
    left = {k: number for k, number in unknown.items() if number}
    cost = 2 + 2 * (len(fitted) + sum(counts.values()))
    results = []
    for g, model in enumerate(models):
        values, variance = model.contrasts, model.variance
        if counts:
            values, variance = _combined(values, variance, correction[g], its_variance[g], certain=counts == left)
        variance = variance + model.sampled
        known = alike_values(rows, utilities[g])
        if known is None and (model.prior is not None or model.terms is not None or model.variance.any()):
            # a game that is additive as well needs no such word
            known = greatest_values(np.delete(rows, 1, axis=0), np.delete(utilities[g], 1))
        if known is not None:
            values, variance = known[0] / units[g], np.full(n, (known[1] / units[g]) ** 2)
        values = values + (2.0 * halves[g, 0] - values.sum()) / n
        results.append(ShapleyResult(units[g] * values, units[g] * np.sqrt(variance), cost, "surrogate"))
    return results


def _of_noise(request: Request) -> list[ShapleyResult]:
    n = request.n_players
    if n < FEWEST_PLAYERS:
        return paired_regression(request)
    n_ends = max(2, request.budget // (2 * n))
    everything = request.budget // 2 - n_ends
    wanted, beyond = everything, 0
    if sum(allocation(n, MAX_PAIRS + 1)) > MAX_PAIRS and everything > _MOST_DRAWS + least_of_paired(n):
        wanted, beyond = _MOST_DRAWS, everything - _MOST_DRAWS
    again = generator(request.seed, request.run, Purpose.SURROGATE, chunk=n)
    n_pairs, copies = repeated(n, wanted, MAX_PAIRS, again)
    # where there is noise single players are no surer than others, and intervals too wide with them first
    pairs = draw_pairs(n, n_pairs, request.seed, request.run, singles_first=False)
    which = np.repeat(np.arange(len(pairs)), copies)
    first = np.concatenate([np.ones((n_ends, n), dtype=np.bool_), pairs[which]])
    draws = np.concatenate([np.arange(n_ends), _draws(pairs)[which] + _copy_of(which) * MAX_PAIRS])
    rows = with_draws(with_complements(first), np.repeat(draws, 2))
    utilities = np.concatenate([u for _, u in request.utilities(request.admitted(lambda: chunked(rows)))], axis=1)
    halves = _halves(utilities)
    units = _units(halves)
    halves /= units[:, None]
    ends, answers = halves[:, :n_ends], halves[:, n_ends:]
    begins = np.cumsum(copies) - copies
    means = np.add.reduceat(answers, begins, axis=1) / copies
    apart, size = np.square(answers - means[:, which]), pairs.sum(axis=1)
    squares = np.array([np.bincount(size[which], weights=of_game, minlength=n // 2 + 1) for of_game in apart])
    freedom = np.bincount(size, weights=copies - 1.0, minlength=n // 2 + 1).astype(np.float64)
    repeats = [Repeats(copies.astype(np.float64), of_game, freedom) if of_game.any() else None for of_game in squares]
    models = fit(pairs, means, _of_means(request, wanted), request.seed, request.run, repeats)
    rest, cost = None, 2 * (n_ends + wanted)
    if beyond:
        rest, more = of_remainder(request, beyond, partial(predictions, models, pairs), units)
        cost += more
    results = []
    for g, model in enumerate(models):
        of_total = 4.0 * _of_end(ends[g], squares[g].sum() / freedom.sum()) / n_ends
        values, variance = model.contrasts, model.variance
        if rest is not None:
            correction = rest[g][0] - of_pairs_alone(model, pairs)
            values, variance = _combined(values, variance, correction, np.square(rest[g][1]), certain=False)
        variance = variance + model.sampled
        values = values + (2.0 * ends[g].mean() - values.sum()) / n
        both = variance + of_total / n**2
        share = np.divide(of_total / n**2, both, out=np.zeros(n), where=both > 0.0)
        degrees = (n_ends - 1.0) / np.maximum(np.square(share), 1e-9)  # the pairs' part has its own in its variance
        error = np.sqrt(both) * widening(degrees)
        results.append(ShapleyResult(units[g] * values, units[g] * error, cost, "surrogate"))
    return results


def _of_end(ends: NDArray[np.float64], of_others: float) -> float:
    """The variance of each of the ``ends`` float64[k], answers of one pair.

    As of two more answers with the noise ``of_others``, unless it is larger: of a few there may be none by chance.
    """
    squares, more = float(np.square(ends - ends.mean()).sum()), len(ends) - 1.0
    return max((_PRIOR_ENDS * of_others + squares) / (_PRIOR_ENDS + more), squares / more)


def _of_means(request: Request, evaluated: int) -> list[Averages | None]:
    """What is known of each game that is an averaging one, where so many pairs are ``evaluated``."""
    return [
        averages(game.vectors, game.target, evaluated) if isinstance(game, AveragingGame) else None
        for game in request.games
    ]


def _draws(pairs: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The numbers of the first draws int64[m] of ``pairs``: by size and place, so that a larger budget begins with the same."""
    size = pairs.sum(axis=1)
    return (size << _STREAMS) + np.arange(len(pairs)) - np.searchsorted(size, size)


def _copy_of(which: NDArray[np.int64]) -> NDArray[np.int64]:
    """0, 1, … for each run of the same number in ``which`` int64[k], ascending."""
    return np.arange(len(which)) - np.searchsorted(which, which)


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
