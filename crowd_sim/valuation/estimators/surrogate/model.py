"""The surrogate of every game: its prior chosen by the likelihood, its values with their variance, its predictions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

from crowd_sim.random import Purpose, generator
from crowd_sim.valuation.estimators.surrogate.gp import distances, equations, trend, value_weights
from crowd_sim.valuation.estimators.surrogate.kernel import OddKernel
from crowd_sim.valuation.result import NORMAL_95

_DECAYS = 14
_FLATTEST, _STEEPEST = 1.0, 0.3  # decay 1: all coefficients alike, white noise; decay 0.3 / n: level 3 and little else
_LIKELIHOOD_PAIRS = 500  # the decay is one number: more pairs do not tell it better than its grid does
_ROUNDING = 1e-12  # relative


@dataclass(frozen=True, eq=False)
class Model:
    """The surrogate of one game.

    Attributes:
        contrasts: float64[n], the posterior means of φ_i − Σ_j φ_j / n.
        variance: float64[n], their posterior variances.
        slopes: float64[p], the coefficients of the trend.
        pulls: float64[m], what each pair's deviation from the trend pulls on a prediction, times the covariance.
        kernel: the prior, ``None`` where the trend explains every pair to the last digits.
    """

    contrasts: NDArray[np.float64]
    variance: NDArray[np.float64]
    slopes: NDArray[np.float64]
    pulls: NDArray[np.float64]
    kernel: OddKernel | None


def fit(pairs: NDArray[np.bool_], halves: NDArray[np.float64], seed: int, run: int) -> list[Model]:
    """Models of G games on the same ``pairs`` bool[m, n], worth ``halves`` float64[G, m]: (v(S) − v(N∖S)) / 2.

    Games for which the likelihood chooses the same decay share its factorised equations. Every product with a game's own
    numbers is a product with one vector, so that its bits do not depend on the other games.
    """
    m, n = pairs.shape
    signs = np.where(pairs, 1.0, -1.0)
    columns = trend(signs)
    apart = distances(signs, signs)
    basis, triangle = scipy.linalg.qr(columns, mode="economic", check_finite=False)
    models: list[Model | None] = [None] * len(halves)
    slopes, rests = [], []
    for g, worth in enumerate(halves):
        # Least squares first: what the trend explains leaves no rounding of the factorisation behind
        along = basis.T @ worth
        slopes.append(scipy.linalg.solve_triangular(triangle, along, check_finite=False))
        rests.append(worth - basis @ along)
        if np.abs(rests[g]).max() <= _ROUNDING * np.abs(worth).max():
            models[g] = Model(_contrasts(slopes[g], n), np.zeros(n), slopes[g], np.zeros(m), None)
    left = [g for g, model in enumerate(models) if model is None]
    by_decay = defaultdict(list)
    for g, decay in zip(left, _decays(apart, columns, [rests[g] for g in left], n, seed, run), strict=True):
        by_decay[decay].append(g)
    freedom = m - columns.shape[1]
    for decay in sorted(by_decay):
        found = equations(n, decay, apart, columns)
        weights, variance = value_weights(found, signs)
        for g in by_decay[decay]:
            white = found.whitened(rests[g])
            residual = found.off_trend(white)
            scale = (residual @ residual) / freedom * _student(freedom) ** 2
            more, pulls = found.coefficients(white)
            models[g] = Model(
                _contrasts(slopes[g], n) + weights.T @ white, scale * variance, slopes[g] + more, pulls, found.kernel
            )
    return [model for model in models if model is not None]


def predictions(models: Sequence[Model], pairs: NDArray[np.bool_], fresh: NDArray[np.bool_]) -> NDArray[np.float64]:
    """What the ``models``, fitted on ``pairs``, expect of ``fresh`` bool[k, n]: float64[G, k]."""
    signs = np.where(fresh, 1.0, -1.0)
    columns = trend(signs)
    apart = distances(signs, np.where(pairs, 1.0, -1.0))
    covariances: dict[int, NDArray[np.float64]] = {}
    out = np.empty((len(models), len(fresh)))
    for g, model in enumerate(models):
        out[g] = columns @ model.slopes
        if model.kernel is not None:
            key = id(model.kernel)
            if key not in covariances:
                covariances[key] = model.kernel.between[apart]
            out[g] += covariances[key] @ model.pulls
    return out


def _contrasts(slopes: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """What level 1 makes of the values, φ_i = 2 c_i, less the mean."""
    return 2.0 * (slopes[:n] - slopes[:n].mean())


def _student(freedom: int) -> float:
    """How much wider than a normal 95 % interval one with an estimated variance has to be."""
    return float(scipy.special.stdtrit(freedom, 0.975) / NORMAL_95)


def _decays(
    apart: NDArray[np.int16],
    columns: NDArray[np.float64],
    rests: Sequence[NDArray[np.float64]],
    n: int,
    seed: int,
    run: int,
) -> list[float]:
    """The decay of each game: of a grid that with the greatest likelihood, on some of the pairs where there are many."""
    m, p = columns.shape
    count = max(_LIKELIHOOD_PAIRS, 3 * p)
    some = np.arange(m)
    if m > count:
        some = np.sort(generator(seed, run, Purpose.SURROGATE).permutation(m)[:count])
    best = [(-np.inf, 0.0)] * len(rests)
    for decay in np.geomspace(_STEEPEST / n, _FLATTEST, _DECAYS).tolist() if rests else []:
        found = equations(n, decay, apart[np.ix_(some, some)], columns[some])
        best = [max(old, (found.log_likelihood(rest[some]), decay)) for old, rest in zip(best, rests, strict=True)]
    return [decay for _, decay in best]
