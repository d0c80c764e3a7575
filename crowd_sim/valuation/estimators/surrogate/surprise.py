"""Whether pairs that are held out are worth what the other pairs make the surrogate expect.

A prior that is wrong for a game, of a vote say, whose worth jumps, is as sure as one that is right. Held-out residuals tell
the two apart (Rasmussen and Williams, "Gaussian processes for machine learning", 2006, section 5.4.2).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from crowd_sim.linear_algebra import forward, product, transposed_times
from crowd_sim.valuation.estimators.surrogate.gp import Equations
from crowd_sim.valuation.estimators.surrogate.prior import sizes
from crowd_sim.valuation.estimators.surrogate.residual import contrasts, number_of_pairs

_LEAST_TOLD = 1e-9  # of a pair by the others, relative

Vector = NDArray[np.float64]
HeldOut = tuple[Vector, Vector, Vector]
"""What `held_out` returns."""


def held_out(found: Equations, white: Vector, some: NDArray[np.int64]) -> HeldOut:
    """What each of ``some`` pairs, ascending, is worth beyond what all others make of it, in units of the data.

    Returns:
        The residuals float64[k]; their variances float64[k], per unit of the prior's; and float64[m, k], the columns whose
        inner products are their covariances. All 0 of a pair that the trend has to itself, of which others tell nothing.
    """
    own = np.zeros((len(white), len(some)))
    own[some, np.arange(len(some))] = 1.0
    columns = forward(found.upper, own, np.searchsorted(some, np.arange(len(white)), side="right"))
    least = _LEAST_TOLD * (columns**2).sum(axis=0)
    columns = found.off_trend(columns)
    precision = np.square(columns).sum(axis=0)
    variances = np.divide(1.0, precision, out=np.zeros_like(precision), where=precision > least)
    columns *= variances
    return transposed_times(columns, white), variances, columns


def surprise(
    signs: Vector, some: NDArray[np.int64], residuals: Vector, variances: Vector, columns: Vector, scale: float
) -> float:
    """How many times what the prior expects the held-out residuals are, squared; 1 at least.

    They count by what they would add to the values of those in a pair and of the others, if the values were corrected by
    them: each alone, and all together. The larger tells how much wider than the prior's the values' variance has to be.

    Args:
        signs: float64[m, n], of the smaller member of each.
        some: int64[k], ascending, the pairs that were held out, one after the other.
        residuals: float64[k], of `held_out`, as the next two.
        variances: float64[k].
        columns: float64[m, k].
        scale: of the prior.
    """
    n = signs.shape[1]
    size = sizes(signs)
    drawn = {int(k): int((size == k).sum()) for k in np.unique(size)}
    unseen = np.array([1.0 - drawn[int(k)] / number_of_pairs(n, int(k)) for k in size[some]])
    inside, outside = (unseen * part for part in contrasts(size[some], n, drawn))
    adds = np.where(signs[some] > 0, inside[:, None], outside[:, None])
    of_one = np.square(adds).sum(axis=1)
    alone = (np.square(residuals) * of_one).sum(), scale * (variances * of_one).sum()
    together = np.square(transposed_times(adds, residuals)).sum(), scale * np.square(product(columns, adds)).sum()
    return max([1.0, *(float(seen / expected) for seen, expected in (alone, together) if expected > 0.0)])
