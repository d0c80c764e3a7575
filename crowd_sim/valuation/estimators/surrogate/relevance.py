"""The relevances of the surrogate's prior, learnt from what pairs are worth.

Greatest restricted likelihood, less penalties on what tells relevances apart and on a spread that depends on the size
("automatic relevance determination": Rasmussen and Williams, "Gaussian processes for machine learning", 2006, section 5.1).
"""

from __future__ import annotations

import math

import numba
import numpy as np
import scipy
from numpy.typing import NDArray

from crowd_sim.valuation.estimators.surrogate.averages import Averages
from crowd_sim.valuation.estimators.surrogate.prior import Prior, sizes

MOST_APART = 100  # players; of more, all have the same relevance

_APART, _ALIKE = 3.0, 1e3  # penalties on squares of log relevances less their mean; the other all but forbids to differ
_STEEP = 2.0  # on the square of the spread's power
_FIRST_RATE, _FIRST_NOISE = 0.3, 1e-3
_LEAST_NOISE = 1e-10  # of the variance; without it the equations may be singular
_FEW, _MANY, _ENOUGH = 256, 512, 400  # pairs to learn from, and the number of pairs from which many are taken
_ALIKE_STEPS, _APART_STEPS, _MORE_STEPS = 15, 30, 15

Vector = NDArray[np.float64]


def learnt(
    signs: Vector,
    columns: Vector,
    worth: Vector,
    order: NDArray[np.int64],
    known: Averages | None,
    *,
    linear: bool,
) -> Prior:
    """The prior for ``worth`` float64[m] of the pairs ``signs`` [m, n] with trend ``columns`` [m, p].

    All relevances alike first, then each on its own, from the first few hundred pairs in ``order``.

    Args:
        signs: of one coalition of each pair.
        columns: what is fitted without a prior.
        worth: of the pairs, of order 1.
        order: a permutation of the pairs.
        known: of an averaging game.
        linear: whether there is a linear part; there is not where the trend has it.
    """
    n = signs.shape[1]
    parts = _parts(signs, known, linear=linear)
    at = np.array([math.log(_FIRST_RATE)] * n + [math.log(_FIRST_NOISE), 0.0] + [0.0] * len(parts))
    bounds = [(-9.0, 1.0)] * n + [(math.log(_LEAST_NOISE), 3.0), (-0.5, 2.5)] + [(-12.0, 6.0)] * len(parts)
    stages = [(_FEW, _ALIKE, _ALIKE_STEPS)]
    if n <= MOST_APART:
        stages.append((_FEW, _APART, _APART_STEPS))
    if len(worth) >= _ENOUGH:
        stages.append((_MANY, stages[-1][1], _MORE_STEPS))
    for count, apart, steps in stages:
        some = np.sort(order[:count])
        grams = np.array([part[some] @ part[some].T for part in parts]).reshape(-1, len(some), len(some))
        found = scipy.optimize.minimize(
            loss,
            at,
            args=(signs[some], columns[some], worth[some], grams, apart),
            jac=True,
            method="L-BFGS-B",
            bounds=bounds,
            options={"maxiter": steps, "maxfun": 2 * steps},
        )
        at = found.x
        if apart == _ALIKE:
            at[:n] = at[:n].mean()
    noise, power, *variances = at[n:]
    variances = np.exp(variances).tolist()
    return Prior(
        rates=np.exp(at[:n]),
        spread=np.exp(-power * _log_sizes(n)),
        linear=variances[0] if linear else 0.0,
        noise=math.exp(noise) + _LEAST_NOISE * sum(variances),
        known=known,
        variances=tuple(variances[1:] if linear else variances),
    )


def _parts(signs: Vector, known: Averages | None, *, linear: bool) -> list[Vector]:
    """The features of the pairs ``signs`` [m, n], by the variance that they share."""
    own = [np.sqrt(1.0 / signs.shape[1]) * signs] if linear else []
    return own if known is None else [*own, *known.features(signs)]


def loss(
    logs: Vector, signs: Vector, columns: Vector, worth: Vector, grams: Vector, apart: float
) -> tuple[float, Vector]:
    """Minus the restricted log likelihood, the prior's factor at its best, plus the penalties; and its gradient.

    Args:
        logs: logarithms of n relevances and the noise, the power of the spread, logarithms of the variances of ``grams``.
        signs: float64[m, n].
        columns: float64[m, p].
        worth: float64[m].
        grams: float64[k, m, m], of features that share a variance.
        apart: the penalty on what tells relevances apart.
    """
    (m, n), p = signs.shape, columns.shape[1]
    rates, noise, power, variances = np.exp(logs[:n]), math.exp(logs[n]), logs[n + 1], np.exp(logs[n + 2 :])
    half: Vector = (signs * (0.5 * rates)) @ signs.T
    log_sizes = _log_sizes(n)[sizes(signs)]
    spread: Vector = np.exp(-power * log_sizes).astype(np.float64, copy=False)
    least = noise + _LEAST_NOISE * variances.sum()
    matrix, structured, even = _covariances(half, 0.5 * rates.sum(), spread, grams, variances, least)
    try:
        lower = scipy.linalg.cholesky(matrix, lower=True, overwrite_a=True, check_finite=False)
    except scipy.linalg.LinAlgError:
        return 1e10, np.zeros_like(logs)
    inverse, _ = scipy.linalg.lapack.dpotri(lower, lower=1)
    solved = scipy.linalg.blas.dsymm(1.0, inverse, columns, lower=1)
    inner = columns.T @ solved
    off_trend = np.array(np.linalg.solve(inner, solved.T).T, dtype=np.float64, order="C")
    pulls = scipy.linalg.blas.dsymv(1.0, inverse, worth, lower=1) - solved @ (off_trend.T @ worth)
    scale = max(float(worth @ pulls) / (m - p), 1e-300)
    differ = logs[:n] - logs[:n].mean()
    value = np.log(lower.diagonal()).sum() + 0.5 * np.linalg.slogdet(inner)[1] + 0.5 * (m - p) * math.log(scale)
    value += 0.5 * apart * (differ @ differ) + 0.5 * _STEEP * power**2
    by_row, diagonal, of_grams = _weighted(inverse.T, solved, off_trend, pulls, scale, structured, even, grams)
    of_noise = diagonal * spread**2
    gradient = np.empty_like(logs)
    gradient[:n] = 0.5 * rates * ((signs * (even @ signs)).sum(axis=0) - by_row.sum()) + apart * differ
    gradient[n] = noise * of_noise.sum()
    gradient[n + 1] = -2.0 * ((by_row + least * of_noise) @ log_sizes) + _STEEP * power
    gradient[n + 2 :] = variances * (of_grams + _LEAST_NOISE * of_noise.sum())
    return float(value), gradient


@numba.njit(cache=True)
def _covariances(
    half: Vector, total: float, spread: Vector, grams: Vector, variances: Vector, noise: float
) -> tuple[Vector, Vector, Vector]:
    """The covariance matrix, its structured part, and that with cosh for sinh."""
    m = len(half)
    matrix, structured, even = np.empty((m, m)), np.empty((m, m)), np.empty((m, m))
    for i in range(m):
        for j in range(i + 1):
            both = 0.5 * spread[i] * spread[j]
            plus, minus = both * np.exp(half[i, j] - total), both * np.exp(-half[i, j] - total)
            structured[i, j] = plus - minus
            even[i, j] = plus + minus
            found = plus - minus
            for k in range(len(grams)):
                found += variances[k] * grams[k, i, j]
            matrix[i, j] = matrix[j, i] = found
        matrix[i, i] += noise * spread[i] ** 2
    return matrix, structured, even


@numba.njit(cache=True)
def _weighted(
    inverse: Vector,
    solved: Vector,
    of_trend: Vector,
    pulls: Vector,
    scale: float,
    structured: Vector,
    even: Vector,
    grams: Vector,
) -> tuple[Vector, Vector, Vector]:
    """The derivative W by the covariance matrix: rows' sums of W times structured, W's diagonal, the sums of W times grams.

    ``inverse`` has its upper triangle, ``structured`` and ``even`` their lower; ``even`` becomes W times itself, in full.
    """
    m, p = solved.shape
    by_row, diagonal, of_grams = np.zeros(m), np.empty(m), np.zeros(len(grams))
    for i in range(m):
        for j in range(i + 1):
            weight = inverse[j, i] - pulls[i] * pulls[j] / scale
            for k in range(p):
                weight -= solved[i, k] * of_trend[j, k]
            weight *= 0.5
            even[i, j] *= weight
            even[j, i] = even[i, j]
            of_structured = weight * structured[i, j]
            by_row[i] += of_structured
            if i == j:
                diagonal[i] = weight
            else:
                by_row[j] += of_structured
            for k in range(len(grams)):
                of_grams[k] += (1.0 if i == j else 2.0) * weight * grams[k, i, j]
    return by_row, diagonal, of_grams


def _log_sizes(n: int) -> Vector:
    """The logarithm of the smaller size of a pair over that of the mean pair, float64[n + 1]."""
    size = np.arange(n + 1.0)
    return np.log(np.maximum(np.minimum(size, n - size), 1.0) / (0.25 * n))
