"""The Gaussian process of a `Prior` given what the drawn pairs are worth: values, their errors, predictions.

Kriging with a trend (Rasmussen and Williams, "Gaussian processes for machine learning", 2006, section 2.7).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from crowd_sim.linear_algebra import (
    back,
    factorise,
    forward,
    lower_inverse,
    orthonormal,
    product,
    times,
    transposed_times,
)
from crowd_sim.valuation.estimators.surrogate.fourier import products
from crowd_sim.valuation.estimators.surrogate.prior import Prior, Repeats

_LEAST_TOLD = 1e-9  # of a pair by the others, relative


@dataclass(frozen=True, eq=False)
class HeldOut:
    """What each of k pairs is worth beyond what all others make of it, in units of the data.

    Attributes:
        residuals: float64[k].
        variances: float64[k], of the residuals, per unit of the prior's.
        columns: float64[k, k], and
        along: float64[p, k]: the residuals' covariances are the inner products of the first less those of the second.

    All 0 of a pair that the trend has to itself, of which others tell nothing.
    """

    residuals: NDArray[np.float64]
    variances: NDArray[np.float64]
    columns: NDArray[np.float64]
    along: NDArray[np.float64]


def held_out_of(columns: NDArray[np.float64], along: NDArray[np.float64], pulls: NDArray[np.float64]) -> HeldOut:
    """Of k pairs, by the inverse of the covariances off the trend.

    Args:
        columns: float64[k, k], and
        along: float64[p, k]: the inverse at the pairs is the former's inner products less the latter's.
        pulls: float64[k], what the inverse makes of the worth.
    """
    told = np.square(columns).sum(axis=0)
    precision = told - np.square(along).sum(axis=0)
    variances = np.divide(1.0, precision, out=np.zeros_like(precision), where=precision > _LEAST_TOLD * told)
    return HeldOut(variances * pulls, variances, columns * variances, along * variances)


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


class Solved(Protocol):
    """A prior's factorised equations on a set of pairs: `Equations`, or those of few players' terms (`cube`)."""

    @property
    def prior(self) -> Prior:
        """Of the game."""

    @property
    def basis(self) -> NDArray[np.float64]:
        """Float64[p, w], orthonormal, and `triangle`: the whitened trend is their product."""

    @property
    def triangle(self) -> NDArray[np.float64]:
        """Float64[p, p], upper."""

    @property
    def effects(self) -> NDArray[np.float64]:
        """Float64[q, n], what the last q columns of the trend add to the values less their mean."""

    def whitened(self, columns: NDArray[np.float64]) -> NDArray[np.float64]:
        """Float64[w] or [w, k] of ``columns`` float64[m] or [m, k], with the inner products that K⁻¹ makes."""

    def coefficients(self, white: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The trend's coefficients float64[p], and K⁻¹ (y − trend) float64[m], for y ``white``."""

    def pulls(self, white: NDArray[np.float64]) -> NDArray[np.float64]:
        """K⁻¹ a float64[m] for a ``white``."""

    def off_trend(self, columns: NDArray[np.float64]) -> NDArray[np.float64]:
        """``columns`` float64[w, k], whitened, less their part along the trend."""

    def held_out(self, white: NDArray[np.float64], count: int) -> HeldOut:
        """The last ``count`` pairs held out, one after the other."""

    def of_values(self, signs: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The covariances of d at the pairs and the values less their mean, whitened [w, n], and what is left of these [n]."""

    def tested(
        self, members: NDArray[np.bool_], signs: NDArray[np.float64], rest: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Products over the sets ``members`` bool[k, n] off the trend, [w, k], and ``rest``, which is: for inner products."""


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

    def pulls(self, white: NDArray[np.float64]) -> NDArray[np.float64]:
        """K⁻¹ a float64[m] for ``white`` L⁻¹ a."""
        return back(self.upper, white)

    def held_out(self, white: NDArray[np.float64], count: int) -> HeldOut:
        """The last ``count`` pairs held out, one after the other: of a triangle's inverse they take the last columns alone."""
        first = len(white) - count
        columns = lower_inverse(np.ascontiguousarray(self.upper[first:, first:]))
        basis = np.ascontiguousarray(self.basis[:, first:])
        rest = white[first:] - transposed_times(basis, times(self.basis, white))
        return held_out_of(columns, product(basis, columns), transposed_times(columns, rest))

    def off_trend(self, columns: NDArray[np.float64]) -> NDArray[np.float64]:
        """P times ``columns`` float64[m, k]."""
        return columns - product(self.basis.T, product(self.basis, columns))

    def of_values(self, signs: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The covariances of d at the pairs and the values less their mean, whitened [m, n], and what is left of these [n]."""
        moved = self.whitened(self.prior.with_values(signs))
        return moved, self.prior.of_values() - (moved**2).sum(axis=0)

    def tested(
        self, members: NDArray[np.bool_], signs: NDArray[np.float64], rest: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The products over the sets ``members`` bool[k, n], whitened and off the trend: [m, k]; and ``rest``, which is."""
        return self.off_trend(self.whitened(products(members, signs))), rest

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
    found: Solved, signs: NDArray[np.float64], white: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The values less their mean for ``white`` L⁻¹ y float64[m], and their variances per unit of the prior's: [n] each.

    With G the coefficients of the trend in the values and C the covariances of d and the values: values
    (Qᵀ R⁻ᵀ G + P L⁻¹ C)ᵀ L⁻¹ y, variances those of the prior − |L⁻¹C|² + |R⁻ᵀ G − Q L⁻¹ C|².
    """
    n = signs.shape[1]
    moved, left = found.of_values(signs)
    of_trend = np.zeros((len(found.basis), n))
    rest = len(of_trend) - len(found.effects)
    if rest >= n:  # level 1 is in the trend
        of_trend[:n] = 2.0 * (np.eye(n) - 1.0 / n)
    of_trend[rest:] = found.effects
    pulled = forward(found.triangle, of_trend) - product(found.basis, moved)
    variance = left + (pulled**2).sum(axis=0)
    mean = transposed_times(pulled, times(found.basis, white)) + transposed_times(moved, white)
    return mean, np.maximum(variance, 0.0)
