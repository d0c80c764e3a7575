"""Whether pairs that are held out are worth what the other pairs make the surrogate expect.

A prior that is wrong for a game, of a vote say, whose worth jumps, is as sure as one that is right. Held-out residuals tell
the two apart (Rasmussen and Williams, "Gaussian processes for machine learning", 2006, section 5.4.2).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crowd_sim.linear_algebra import lower_inverse, product, times, transposed_times
from crowd_sim.valuation.estimators.surrogate.gp import Equations
from crowd_sim.valuation.estimators.surrogate.prior import sizes
from crowd_sim.valuation.estimators.surrogate.residual import contrasts, number_of_pairs

_LEAST_TOLD = 1e-9  # of a pair by the others, relative

Vector = NDArray[np.float64]


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

    residuals: Vector
    variances: Vector
    columns: Vector
    along: Vector


def held_out(found: Equations, white: Vector, count: int) -> HeldOut:
    """The last ``count`` pairs held out, one after the other: of a triangle's inverse they take the last columns alone."""
    first = len(white) - count
    columns = lower_inverse(np.ascontiguousarray(found.upper[first:, first:]))
    basis = np.ascontiguousarray(found.basis[:, first:])
    along = product(basis, columns)
    told = np.square(columns).sum(axis=0)
    precision = told - np.square(along).sum(axis=0)
    variances = np.divide(1.0, precision, out=np.zeros_like(precision), where=precision > _LEAST_TOLD * told)
    columns, along = columns * variances, along * variances
    rest = white[first:] - transposed_times(basis, times(found.basis, white))
    return HeldOut(transposed_times(columns, rest), variances, columns, along)


def surprise(signs: Vector, out: HeldOut, scale: float) -> float:
    """How many times what the prior expects the held-out residuals are, squared; 1 at least.

    They count by what they would add to the values of those in a pair and of the others, if the values were corrected by
    them: each alone, and all together. The larger tells how much wider than the prior's the values' variance has to be.

    Args:
        signs: float64[m, n], of the smaller member of each pair, the last of which were held ``out``.
        out: one after the other.
        scale: of the prior.
    """
    n = signs.shape[1]
    size = sizes(signs)
    drawn = {int(k): int((size == k).sum()) for k in np.unique(size)}
    signs, size = signs[-len(out.residuals) :], size[-len(out.residuals) :]
    unseen = np.array([1.0 - drawn[int(k)] / number_of_pairs(n, int(k)) for k in size])
    inside, outside = (unseen * part for part in contrasts(size, n, drawn))
    adds = np.where(signs > 0, inside[:, None], outside[:, None])
    of_one = np.square(adds).sum(axis=1)
    alone = (np.square(out.residuals) * of_one).sum(), scale * (out.variances * of_one).sum()
    expected = np.square(product(out.columns, adds)).sum() - np.square(product(out.along, adds)).sum()
    together = np.square(transposed_times(adds, out.residuals)).sum(), scale * expected
    return max([1.0, *(float(seen / expected) for seen, expected in (alone, together) if expected > 0.0)])
