"""The Gaussian process of `odd_kernel` given what the drawn pairs are worth: values, their errors, predictions.

Kriging with a trend (Rasmussen and Williams, "Gaussian processes for machine learning", 2006, section 2.7). Everything that
depends on the coalitions and the prior alone is worked out once, for all games that share them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

from crowd_sim.valuation.estimators.surrogate.kernel import OddKernel, odd_kernel

_NUGGET = (
    1e-9  # of the variance; without it the equations are singular where a level has fewer terms than there are pairs
)
_SIZE_POWERS = (3, 5)  # of the mean sign: what depends on the coalition's size alone moves no value against another


def trend(signs: NDArray[np.float64]) -> NDArray[np.float64]:
    """What is fitted without a prior, float64[m, p]: level 1, and the odd powers of the mean sign that sizes tell apart."""
    n_sizes = (signs.shape[1] - 1) // 2  # in pairs, and a middle size, where the mean is 0, does not count
    mean = signs.mean(axis=1)
    return np.column_stack([signs] + [mean**power for power in _SIZE_POWERS if power < 2 * n_sizes])


def distances(left: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.int16]:
    """On how many places the rows of two matrices of signs differ: whole numbers, exact in any order of adding up."""
    products = left.astype(np.float32) @ right.astype(np.float32).T
    return ((left.shape[1] - products) * 0.5).astype(np.int16)


@dataclass(frozen=True, eq=False)
class Equations:
    """The factorised equations of one prior on one set of pairs.

    With covariance matrix K = L Lᵀ and trend F: L⁻¹ F = Q R, and P = 1 − Q Qᵀ.

    Attributes:
        kernel: the prior.
        lower: float64[m, m], L.
        basis: float64[m, p], Q.
        triangle: float64[p, p], R.
    """

    kernel: OddKernel
    lower: NDArray[np.float64]
    basis: NDArray[np.float64]
    triangle: NDArray[np.float64]

    def whitened(self, worth: NDArray[np.float64]) -> NDArray[np.float64]:
        """L⁻¹ y for one game's y float64[m]."""
        return scipy.linalg.solve_triangular(self.lower, worth, lower=True, check_finite=False)

    def coefficients(self, white: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The trend's coefficients float64[p], and K⁻¹ (y − trend) float64[m], for ``white`` L⁻¹ y: they predict."""
        slopes = scipy.linalg.solve_triangular(self.triangle, self.basis.T @ white, check_finite=False)
        residual = self.off_trend(white)
        return slopes, scipy.linalg.solve_triangular(self.lower, residual, lower=True, trans="T", check_finite=False)

    def off_trend(self, columns: NDArray[np.float64]) -> NDArray[np.float64]:
        """P times ``columns``."""
        return columns - self.basis @ (self.basis.T @ columns)

    def log_likelihood(self, worth: NDArray[np.float64]) -> float:
        """The restricted likelihood, the prior's factor at its best: −½ (log|K| + log|FᵀK⁻¹F| + (m−p) log s²)."""
        m, p = self.basis.shape
        residual = self.off_trend(self.whitened(worth))
        spread = max(float(residual @ residual) / (m - p), 1e-300)
        determinants = np.log(self.lower.diagonal()).sum() + np.log(np.abs(self.triangle.diagonal())).sum()
        return float(-determinants - 0.5 * (m - p) * math.log(spread))


def equations(n: int, decay: float, apart: NDArray[np.int16], columns: NDArray[np.float64]) -> Equations:
    """Factorise for pairs ``apart`` int16[m, m] places from each other, with trend ``columns``."""
    kernel = odd_kernel(n, decay)
    matrix = kernel.between[apart]
    matrix[np.diag_indices(len(matrix))] += _NUGGET
    lower = scipy.linalg.cholesky(matrix, lower=True, overwrite_a=True, check_finite=False)
    white = scipy.linalg.solve_triangular(lower, columns, lower=True, check_finite=False)
    basis, triangle = (np.asarray(part, dtype=np.float64) for part in scipy.linalg.qr(white, mode="economic"))
    return Equations(kernel, lower, basis, triangle)


def value_weights(found: Equations, signs: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How φ_i − Σ_j φ_j / n follows from L⁻¹ y, float64[m, n], and its variance per unit of the prior's, float64[n].

    With G the coefficient of the trend in φ (2 for the player's own sign) and C the covariances of d and φ, both less
    their means over the players: weights Q R⁻ᵀ G + P L⁻¹ C, variance φ's own − |L⁻¹C|² + |R⁻ᵀ G − Qᵀ L⁻¹ C|².
    """
    n = signs.shape[1]
    outside = (signs < 0).sum(axis=1)
    others = outside[:, None] - (signs < 0)
    covariance = signs * found.kernel.with_value[others]
    covariance -= covariance.mean(axis=1, keepdims=True)
    moved = scipy.linalg.solve_triangular(found.lower, covariance, lower=True, check_finite=False)
    of_trend = np.zeros((found.basis.shape[1], n))
    of_trend[:n] = 2.0 * (np.eye(n) - 1.0 / n)
    pulled = scipy.linalg.solve_triangular(found.triangle, of_trend, trans="T", check_finite=False)
    along = found.basis.T @ moved
    weights = found.basis @ (pulled - along) + moved
    variance = found.kernel.contrast - (moved**2).sum(axis=0) + ((pulled - along) ** 2).sum(axis=0)
    return weights, np.maximum(variance, 0.0)
