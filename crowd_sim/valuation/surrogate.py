"""Shapley values of any game by a fitted surrogate: a Gaussian process over its odd Fourier levels."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from crowd_sim.errors import InputError
from crowd_sim.random import Purpose, generator
from crowd_sim.valuation.evaluation import Request, chunked
from crowd_sim.valuation.exact import MAX_PLAYERS as MOST_ENUMERATED
from crowd_sim.valuation.exact import exact
from crowd_sim.valuation.result import ShapleyResult
from crowd_sim.valuation.surrogate_design import draw_pairs
from crowd_sim.valuation.surrogate_fit import Equations, distances, equations, trend, value_weights
from crowd_sim.valuation.threads import one_thread

MAX_PAIRS = 4000
MAX_PLAYERS = 1000
_DECAYS = 14
_LIKELIHOOD_PAIRS = 500
_NO_RESIDUAL = 1e-12  # relative: what rounding leaves


def minimum_budget(n: int) -> int:
    """The smallest budget for n players: two pairs a player besides the ends, or all coalitions."""
    return min(2**n, 4 * n + 2)


def surrogate(request: Request) -> list[ShapleyResult]:
    """TODO."""
    n = request.n_players
    if n > MAX_PLAYERS:
        raise InputError("method", "surrogate", f"takes at most {MAX_PLAYERS} players; this game has {n}")
    if request.budget < minimum_budget(n):
        raise InputError("budget", request.budget, f"must be at least {minimum_budget(n)} for surrogate with {n} players")
    if n <= MOST_ENUMERATED and 2**n <= request.budget:
        return exact(request)
    pairs = draw_pairs(n, min((request.budget - 2) // 2, MAX_PAIRS), request.seed, request.run)
    utilities = np.concatenate([u for _, u in request.utilities(chunked(_with_complements(pairs)))], axis=1)
    halves = 0.5 * (utilities[:, ::2] - utilities[:, 1::2])
    with one_thread():
        fits = _fit(pairs, halves[:, 1:], request.seed, request.run)
    return [
        ShapleyResult(_efficient(fit.contrasts, 2.0 * grand), fit.stderr, utilities.shape[1], "surrogate")
        for fit, grand in zip(fits, halves[:, 0], strict=True)
    ]


def _with_complements(pairs: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The grand and the empty coalition, then every pair."""
    first = np.concatenate([np.ones((1, pairs.shape[1]), dtype=np.bool_), pairs])
    return np.stack([first, ~first], axis=1).reshape(-1, pairs.shape[1])


@dataclass(frozen=True, eq=False)
class _Fit:
    contrasts: NDArray[np.float64]
    stderr: NDArray[np.float64]


def _efficient(contrasts: NDArray[np.float64], total: float) -> NDArray[np.float64]:
    return contrasts + (total - contrasts.sum()) / len(contrasts)


def _fit(pairs: NDArray[np.bool_], halves: NDArray[np.float64], seed: int, run: int) -> list[_Fit]:
    n = pairs.shape[1]
    signs = np.where(pairs, 1.0, -1.0)
    columns = trend(signs)
    apart = distances(signs, signs)
    basis, triangle = linalg.qr(columns, mode="economic", check_finite=False)
    fits: list[_Fit | None] = [None] * len(halves)
    rests = []
    plain = []
    for g, worth in enumerate(halves):
        along = basis.T @ worth
        rest = worth - basis @ along
        slopes = linalg.solve_triangular(triangle, along, check_finite=False)[:n]
        contrast = 2.0 * (slopes - slopes.mean())
        rests.append(rest)
        plain.append(contrast)
        if np.abs(rest).max() <= _NO_RESIDUAL * np.abs(worth).max():
            fits[g] = _Fit(contrast, np.zeros(n))
    left = [g for g in range(len(halves)) if fits[g] is None]
    by_decay = defaultdict(list)
    for g, decay in zip(left, _decays(n, apart, columns, [rests[g] for g in left], seed, run), strict=True):
        by_decay[decay].append(g)
    for decay, games in by_decay.items():
        found = equations(n, decay, apart, columns)
        weights, variance = value_weights(found, signs)
        for g in games:
            white = found.whitened(rests[g])
            residual = found.off_trend(white)
            scale = (residual @ residual) / (len(pairs) - columns.shape[1])
            fits[g] = _Fit(plain[g] + weights.T @ white, np.sqrt(scale * variance))
    return [fit for fit in fits if fit is not None]


def _decays(n, apart, columns, rests, seed, run) -> list[float]:
    m = len(apart)
    count = max(_LIKELIHOOD_PAIRS, 3 * n)
    some = np.arange(m)
    if m > count:
        some = np.sort(generator(seed, run, Purpose.SURROGATE).permutation(m)[:count])
    best = [(-np.inf, 1.0)] * len(rests)
    if not rests:
        return []
    for decay in np.geomspace(0.3 / n, 1.0, _DECAYS):
        found = equations(n, float(decay), apart[np.ix_(some, some)], columns[some])
        for g, rest in enumerate(rests):
            best[g] = max(best[g], (found.log_likelihood(rest[some]), float(decay)))
    return [decay for _, decay in best]
