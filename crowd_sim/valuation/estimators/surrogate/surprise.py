"""Whether pairs that are held out are worth what the other pairs make the surrogate expect.

A prior that is wrong for a game, of a vote say, whose worth jumps, is as sure as one that is right. Held-out residuals tell
the two apart (Rasmussen and Williams, "Gaussian processes for machine learning", 2006, section 5.4.2).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from crowd_sim.elementary import exp
from crowd_sim.linear_algebra import product, transposed_times
from crowd_sim.valuation.estimators.surrogate.gp import HeldOut
from crowd_sim.valuation.estimators.surrogate.prior import Prior, shares_of, sizes
from crowd_sim.valuation.estimators.surrogate.residual import contrasts, number_of_pairs

_EXPECTED = 50.0  # held-out pairs that the prior's word counts for where they say less

Vector = NDArray[np.float64]


def surprise(signs: Vector, out: HeldOut, scale: float) -> float:
    """How many times what the prior expects the held-out residuals are, squared.

    They count by what they would add to the values of those in a pair and of the others, if the values were corrected by
    them: each alone, and all together, as far as that tells of pairs which were not seen. The larger tells how much wider
    than the prior's the values' variance has to be. Where it is smaller than expected the variance may be narrower, as far as
    many pairs say so: by a mean of theirs and of the prior's word, by how many draws of a normal distribution either is worth
    (Satterthwaite, Biometrics Bulletin 2, 1946).

    Args:
        signs: float64[m, n], of the smaller member of each pair, the last of which were held ``out``.
        out: one after the other.
        scale: of the prior.
    """
    m, n = signs.shape
    size = sizes(signs)
    drawn = {int(k): int((size == k).sum()) for k in np.unique(size)}
    signs, size = signs[-len(out.residuals) :], size[-len(out.residuals) :]
    unseen = np.array([1.0 - drawn[int(k)] / number_of_pairs(n, int(k)) for k in size])
    inside, outside = (unseen * part for part in contrasts(size, n, drawn))
    adds = np.where(signs > 0, inside[:, None], outside[:, None])
    of_one = np.square(adds).sum(axis=1)
    alone = np.square(out.residuals) * of_one
    expected = np.square(product(out.columns, adds)).sum() - np.square(product(out.along, adds)).sum()
    one_by_one = _times(alone.sum(), scale * (out.variances * of_one).sum())
    together = _times(np.square(transposed_times(adds, out.residuals)).sum(), scale * expected)
    seen = m / (2.0 ** (n - 1) - 1.0)  # of these the sum tells, of pairs that are not seen the less
    times = max(one_by_one, seen * one_by_one + (1.0 - seen) * together)
    apart = float(np.square(alone - alone.mean()).sum())
    if times >= 1.0 or apart == 0.0:
        return max(times, 1.0)
    draws = 2.0 * float(alone.sum()) ** 2 / apart
    return (draws * times + _EXPECTED) / (draws + _EXPECTED)


def _times(found: float, expected: float) -> float:
    return float(found) / float(expected) if expected > 0.0 else 0.0


def untold(prior: Prior, signs: Vector, out: HeldOut, scale: float) -> Vector:
    """What level 1 may add to the variances float64[n] of the values, per unit of the prior's ``scale``.

    m pairs that others miss by s² tell a coefficient of level 1 from nothing where it is larger than s / √m. A prior that makes
    them smaller goes by a likelihood which does not know either: of few pairs of a vote it may make everything noise, whose
    values are 0 and all but certain. So a coefficient's variance is s² / m at least, of which 1 / (1 / τ² + m / s²) is left.

    Args:
        prior: with a level 1, of a game of which nothing else is known.
        signs: float64[m, n], of the pairs, the last of which were held ``out``.
        out: one after the other.
        scale: of the prior.
    """
    m, n = signs.shape
    missed = float(np.square(out.residuals).mean()) / scale
    if missed == 0.0:
        return np.zeros(n)
    spread = float(np.square(prior.spread[sizes(signs)]).mean())
    alike = math.prod((0.5 + 0.5 * exp(-prior.rates)).tolist())
    expected = spread * alike * shares_of(prior.rates) + prior.linear / n
    at_least = np.maximum(expected, missed / m)
    unseen = 1.0 - m / (2.0 ** (n - 1) - 1.0)
    return 4.0 * (1.0 - 1.0 / n) * unseen * (1.0 / (1.0 / at_least + m / missed) - 1.0 / (1.0 / expected + m / missed))


def widened(variance: Vector, times: float, besides: Vector) -> Vector:
    """The ``variance`` float64[n] of the values, ``times`` as large in the mean, or more by what is ``besides`` [n] not known.

    What held-out pairs have beyond what the prior expects is nothing that it knows of, whom it belongs to least of all: it is
    taken for white noise, which is the same in all values. So are players for whom the prior has next to no relevance, those
    with few votes say, given an error of what it missed.
    """
    return min(times, 1.0) * variance + np.maximum((times - 1.0) * variance.mean(), besides)
