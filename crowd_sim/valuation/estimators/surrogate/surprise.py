"""Whether pairs that are held out are worth what the other pairs make the surrogate expect.

A prior that is wrong for a game, of a vote say, whose worth jumps, is as sure as one that is right. Held-out residuals tell
the two apart (Rasmussen and Williams, "Gaussian processes for machine learning", 2006, section 5.4.2).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from crowd_sim.linear_algebra import product, transposed_times
from crowd_sim.valuation.estimators.surrogate.gp import HeldOut
from crowd_sim.valuation.estimators.surrogate.prior import sizes
from crowd_sim.valuation.estimators.surrogate.residual import contrasts, number_of_pairs

Vector = NDArray[np.float64]


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


def widened(variance: Vector, times: float) -> Vector:
    """The ``variance`` float64[n] of the values, ``times`` as large in the mean, 1 at least.

    What held-out pairs have beyond what the prior expects is nothing that it knows of, whom it belongs to least of all: it is
    taken for white noise, which is the same in all values. So are players for whom the prior has next to no relevance, those
    with few votes say, given an error of what it missed.
    """
    return variance + (times - 1.0) * variance.mean()
