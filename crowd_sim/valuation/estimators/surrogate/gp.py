"""The Gaussian process of a `Prior` given what the drawn pairs are worth: values, their errors, predictions.

Kriging with a trend (Rasmussen and Williams, "Gaussian processes for machine learning", 2006, section 2.7).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crowd_sim.linear_algebra import back, factorise, forward, orthonormal, product, times, transposed_times
from crowd_sim.valuation.estimators.surrogate.prior import Prior, Repeats


def trend(signs: NDArray[np.float64], *, linear: bool) -> NDArray[np.float64]:
    """What is fitted without a prior, float64[m, p]: level 1 or its mean, and the odd powers of that which sizes tell apart.

    What depends on the coalition's size alone moves no value against another.
    """
    n_sizes = (signs.shape[1] - 1) // 2  # in pairs, and a middle size, where the mean is 0, does not count
    mean = signs.mean(axis=1)
    first = signs if linear else mean
    cube = mean * mean * mean
    powers = {3: cube, 5: cube * mean * mean}
    return np.column_stack([first] + [part for power, part in powers.items() if power < 2 * n_sizes])


@dataclass(frozen=True, eq=False)
class Equations:
    """The factorised equations of a prior on a set of pairs.

    With covariance matrix K = L Lᵀ and trend F: L⁻¹ F = Qᵀ R, and P = 1 − Qᵀ Q.

    Attributes:
        prior: of the game.
        upper: float64[m, m], Lᵀ.
        basis: float64[p, m], Q.
        triangle: float64[p, p], R.
        effects: float64[q, n], what the last q columns of the trend add to the values less their mean.
    """

    prior: Prior
    upper: NDArray[np.float64]
    basis: NDArray[np.float64]
    triangle: NDArray[np.float64]
    effects: NDArray[np.float64]

    def whitened(self, columns: NDArray[np.float64]) -> NDArray[np.float64]:
        """L⁻¹ times ``columns`` float64[m] or [m, k]."""
        return forward(self.upper, columns.reshape(len(columns), -1)).reshape(columns.shape)

    def coefficients(self, white: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The trend's coefficients float64[p], and K⁻¹ (y − trend) float64[m], for ``white`` L⁻¹ y: they predict."""
        slopes = back(self.triangle, times(self.basis, white))
        return slopes, back(self.upper, self.off_trend(white[:, None])[:, 0])

    def off_trend(self, columns: NDArray[np.float64]) -> NDArray[np.float64]:
        """P times ``columns`` float64[m, k]."""
        return columns - product(self.basis.T, product(self.basis, columns))

    def with_columns(self, columns: NDArray[np.float64], effects: NDArray[np.float64]) -> Equations | None:
        """With ``columns`` [m, q] in the trend and their ``effects`` [q, n]; ``None`` where they depend on what is there."""
        before = product(self.basis.T, self.triangle)
        found = orthonormal(np.column_stack([before, self.whitened(columns)]))
        return found and Equations(self.prior, self.upper, *found, effects)


def equations(
    prior: Prior, signs: NDArray[np.float64], columns: NDArray[np.float64], repeats: Repeats | None = None
) -> Equations | None:
    """Factorise for the pairs ``signs`` [m, n] with trend ``columns`` [m, p]; ``None`` where rounding makes it singular."""
    upper = prior.within(signs, repeats)
    found = orthonormal(forward(upper, columns)) if factorise(upper) else None
    return found and Equations(prior, upper, *found, np.zeros((0, signs.shape[1])))


def values(
    found: Equations, signs: NDArray[np.float64], white: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The values less their mean for ``white`` L⁻¹ y float64[m], and their variances per unit of the prior's: [n] each.

    With G the coefficients of the trend in the values and C the covariances of d and the values: values
    (Qᵀ R⁻ᵀ G + P L⁻¹ C)ᵀ L⁻¹ y, variances those of the prior − |L⁻¹C|² + |R⁻ᵀ G − Q L⁻¹ C|².
    """
    n = signs.shape[1]
    moved = found.whitened(found.prior.with_values(signs))
    of_trend = np.zeros((len(found.basis), n))
    rest = len(of_trend) - len(found.effects)
    if rest >= n:  # level 1 is in the trend
        of_trend[:n] = 2.0 * (np.eye(n) - 1.0 / n)
    of_trend[rest:] = found.effects
    pulled = forward(found.triangle, of_trend) - product(found.basis, moved)
    variance = found.prior.of_values() - (moved**2).sum(axis=0) + (pulled**2).sum(axis=0)
    mean = transposed_times(pulled, times(found.basis, white)) + transposed_times(moved, white)
    return mean, np.maximum(variance, 0.0)
