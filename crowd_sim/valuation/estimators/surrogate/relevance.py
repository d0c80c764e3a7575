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

from crowd_sim.valuation.estimators.surrogate.prior import Prior, sizes

MOST_APART = 100  # players; of more, all have the same relevance

_APART, _ALIKE = 3.0, 1e3  # penalties on squares of log relevances less their mean; the other all but forbids to differ
_STEEP = 2.0  # on the square of the spread's power
_FIRST_RATE, _FIRST_NOISE = 0.3, 1e-3
_LEAST_NOISE = 1e-10  # of the variance; without it the equations may be singular
_FEW, _MANY, _ENOUGH = 256, 512, 1024  # pairs to learn from, and the number of pairs from which many are taken
_ALIKE_STEPS, _APART_STEPS, _MORE_STEPS = 15, 30, 10

Vector = NDArray[np.float64]


def learnt(signs: Vector, columns: Vector, worth: Vector, order: NDArray[np.int64], *, linear: bool) -> Prior:
    """The prior for ``worth`` float64[m] of the pairs ``signs`` [m, n] with trend ``columns`` [m, p].

    All relevances alike first, then each on its own, from the first few hundred pairs in ``order``.

    Args:
        signs: of one coalition of each pair.
        columns: what is fitted without a prior.
        worth: of the pairs, of order 1.
        order: a permutation of the pairs.
        linear: whether there is a linear part; there is not where the trend has it.
    """
    n = signs.shape[1]
    at = np.concatenate([np.full(n, math.log(_FIRST_RATE)), [0.0, math.log(_FIRST_NOISE), 0.0]])
    stages = [(_FEW, _ALIKE, _ALIKE_STEPS)]
    if n <= MOST_APART:
        stages.append((_FEW, _APART, _APART_STEPS))
    if len(worth) >= _ENOUGH:
        stages.append((_MANY, stages[-1][1], _MORE_STEPS))
    bounds = [(-9.0, 2.0)] * n + [(-12.0, 6.0), (math.log(_LEAST_NOISE), 3.0), (-0.5, 2.5)]
    for count, apart, steps in stages:
        some = np.sort(order[:count])
        gram = signs[some] @ signs[some].T / n if linear else np.zeros((len(some), len(some)))
        found = scipy.optimize.minimize(
            loss,
            at,
            args=(signs[some], columns[some], worth[some], gram, apart),
            jac=True,
            method="L-BFGS-B",
            bounds=bounds,
            options={"maxiter": steps, "maxfun": 2 * steps},
        )
        at = found.x
        if apart == _ALIKE:
            at[:n] = at[:n].mean()
    return prior(at, linear=linear)


def prior(logs: Vector, *, linear: bool) -> Prior:
    """From the logarithms of n relevances, the linear part and the noise, and the power of the spread."""
    n = len(logs) - 3
    of_linear = math.exp(logs[n]) if linear else 0.0
    noise = math.exp(logs[n + 1]) + _LEAST_NOISE * of_linear
    return Prior(np.exp(logs[:n]), np.exp(-logs[n + 2] * _log_sizes(n)), of_linear, noise)


def loss(
    logs: Vector, signs: Vector, columns: Vector, worth: Vector, gram: Vector, apart: float
) -> tuple[float, Vector]:
    """Minus the restricted log likelihood, the prior's factor at its best, plus the penalties; and its gradient."""
    (m, n), p = signs.shape, columns.shape[1]
    rates, linear, noise, power = np.exp(logs[:n]), math.exp(logs[n]), math.exp(logs[n + 1]), logs[n + 2]
    half: Vector = (signs * (0.5 * rates)) @ signs.T
    log_sizes = _log_sizes(n)[sizes(signs)]
    spread: Vector = np.exp(-power * log_sizes).astype(np.float64, copy=False)
    least = noise + _LEAST_NOISE * linear
    matrix, structured, even = _covariances(half, 0.5 * rates.sum(), spread, linear * gram, least)
    try:
        lower = scipy.linalg.cholesky(matrix, lower=True, overwrite_a=True, check_finite=False)
    except scipy.linalg.LinAlgError:
        return 1e10, np.zeros_like(logs)
    inverse, _ = scipy.linalg.lapack.dpotri(lower, lower=1)
    solved = scipy.linalg.blas.dsymm(1.0, inverse, columns, lower=1)
    inner = columns.T @ solved
    off_trend = np.linalg.solve(inner, solved.T)
    pulls = scipy.linalg.blas.dsymv(1.0, inverse, worth, lower=1) - solved @ (off_trend @ worth)
    scale = max(float(worth @ pulls) / (m - p), 1e-300)
    differ = logs[:n] - logs[:n].mean()
    value = np.log(lower.diagonal()).sum() + 0.5 * np.linalg.slogdet(inner)[1] + 0.5 * (m - p) * math.log(scale)
    value += 0.5 * apart * (differ @ differ) + 0.5 * _STEEP * power**2
    by_row, diagonal, of_gram = _weighted(
        inverse.T, solved, np.array(off_trend.T, dtype=np.float64, order="C"), pulls, scale, structured, even, gram
    )
    of_noise = diagonal * spread**2
    gradient = np.empty_like(logs)
    gradient[:n] = 0.5 * rates * ((signs * (even @ signs)).sum(axis=0) - by_row.sum()) + apart * differ
    gradient[n] = linear * (of_gram + _LEAST_NOISE * of_noise.sum())
    gradient[n + 1] = noise * of_noise.sum()
    gradient[n + 2] = -2.0 * ((by_row + least * of_noise) @ log_sizes) + _STEEP * power
    return float(value), gradient


@numba.njit(cache=True)
def _covariances(
    half: Vector, total: float, spread: Vector, linear: Vector, noise: float
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
            matrix[i, j] = matrix[j, i] = plus - minus + linear[i, j]
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
    gram: Vector,
) -> tuple[Vector, Vector, float]:
    """The derivative W by the covariance matrix: rows' sums of W times structured, W's diagonal, the sum of W times gram.

    ``inverse`` has its upper triangle, ``structured`` and ``even`` their lower; ``even`` becomes W times itself, in full.
    """
    m, p = solved.shape
    by_row, diagonal, of_gram = np.zeros(m), np.empty(m), 0.0
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
                of_gram += weight * gram[i, i]
            else:
                by_row[j] += of_structured
                of_gram += 2.0 * weight * gram[i, j]
    return by_row, diagonal, of_gram


def _log_sizes(n: int) -> Vector:
    """The logarithm of the smaller size of a pair over that of the mean pair, float64[n + 1]."""
    size = np.arange(n + 1.0)
    return np.log(np.maximum(np.minimum(size, n - size), 1.0) / (0.25 * n))
