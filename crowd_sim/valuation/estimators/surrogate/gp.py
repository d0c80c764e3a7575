"""The Gaussian process of a `Prior` given what the drawn pairs are worth: values, their errors, predictions.

Kriging with a trend (Rasmussen and Williams, "Gaussian processes for machine learning", 2006, section 2.7).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

from crowd_sim.valuation.estimators.surrogate.prior import Prior

_SIZE_POWERS = (3, 5)  # of the mean sign: what depends on the coalition's size alone moves no value against another


def trend(signs: NDArray[np.float64], *, linear: bool) -> NDArray[np.float64]:
    """What is fitted without a prior, float64[m, p]: level 1 or its mean, and the odd powers of that which sizes tell apart."""
    n_sizes = (signs.shape[1] - 1) // 2  # in pairs, and a middle size, where the mean is 0, does not count
    mean = signs.mean(axis=1)
    first = signs if linear else mean
    return np.column_stack([first] + [mean**power for power in _SIZE_POWERS if power < 2 * n_sizes])


@dataclass(frozen=True, eq=False)
class Equations:
    """The factorised equations of a prior on a set of pairs.

    With covariance matrix K = L Lᵀ and trend F: L⁻¹ F = Q R, and P = 1 − Q Qᵀ.

    Attributes:
        prior: of the game.
        lower: float64[m, m], L.
        basis: float64[m, p], Q.
        triangle: float64[p, p], R.
    """

    prior: Prior
    lower: NDArray[np.float64]
    basis: NDArray[np.float64]
    triangle: NDArray[np.float64]

    def whitened(self, columns: NDArray[np.float64]) -> NDArray[np.float64]:
        """L⁻¹ times ``columns`` float64[m] or [m, k]."""
        return scipy.linalg.solve_triangular(self.lower, columns, lower=True, check_finite=False)

    def coefficients(self, white: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The trend's coefficients float64[p], and K⁻¹ (y − trend) float64[m], for ``white`` L⁻¹ y: they predict."""
        slopes = scipy.linalg.solve_triangular(self.triangle, self.basis.T @ white, check_finite=False)
        residual = self.off_trend(white)
        return slopes, scipy.linalg.solve_triangular(self.lower, residual, lower=True, trans="T", check_finite=False)

    def off_trend(self, columns: NDArray[np.float64]) -> NDArray[np.float64]:
        """P times ``columns``."""
        return columns - self.basis @ (self.basis.T @ columns)


def equations(prior: Prior, signs: NDArray[np.float64], columns: NDArray[np.float64]) -> Equations:
    """Factorise for the pairs ``signs`` [m, n] with trend ``columns`` [m, p]."""
    lower = scipy.linalg.cholesky(prior.within(signs), lower=True, overwrite_a=True, check_finite=False)
    white = scipy.linalg.solve_triangular(lower, columns, lower=True, check_finite=False)
    basis, triangle = (np.asarray(part, dtype=np.float64) for part in scipy.linalg.qr(white, mode="economic"))
    return Equations(prior, lower, basis, triangle)


def values(
    found: Equations, signs: NDArray[np.float64], white: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The values less their mean for ``white`` L⁻¹ y float64[m], and their variances per unit of the prior's: [n] each.

    With G the coefficients of the trend in the values and C the covariances of d and the values: values
    (Q R⁻ᵀ G + P L⁻¹ C)ᵀ L⁻¹ y, variances those of the prior − |L⁻¹C|² + |R⁻ᵀ G − Qᵀ L⁻¹ C|².
    """
    n = signs.shape[1]
    moved = found.whitened(found.prior.with_values(signs))
    of_trend = np.zeros((found.basis.shape[1], n))
    if len(of_trend) >= n:  # level 1 is in the trend
        of_trend[:n] = 2.0 * (np.eye(n) - 1.0 / n)
    pulled = scipy.linalg.solve_triangular(found.triangle, of_trend, trans="T", check_finite=False)
    pulled -= found.basis.T @ moved
    variance = found.prior.of_values() - (moved**2).sum(axis=0) + (pulled**2).sum(axis=0)
    return (found.basis @ pulled + moved).T @ white, np.maximum(variance, 0.0)
