"""Which players' values a surrogate of an averaging game is less sure of than it says.

Of a score of the mean that peaks at the target, say, a player far from that leaves small coalitions next to nothing: what
others make the surrogate expect of these is wrong each time, with this player in them, while the others' are as they should be.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from crowd_sim.linear_algebra import transposed_times
from crowd_sim.valuation.estimators.surrogate.gp import HeldOut
from crowd_sim.valuation.estimators.surrogate.prior import sizes
from crowd_sim.valuation.estimators.surrogate.residual import contrasts, number_of_pairs

_LEAST_UNSEEN = 0.1  # what a size that is all but known says of those next to it
_EXPECTED = 80.0  # draws that the prior's word counts for, of each player

Vector = NDArray[np.float64]


def surprise_by_player(signs: Vector, out: HeldOut, scale: float) -> Vector:
    """How many times what the prior expects the held-out residuals are, squared, for each player: float64[n], 1 at least.

    They count by what they would add to the player's value if that were corrected by them. A player's are a mean of few large
    parts and many small ones, worth as many draws as makes such a mean's variance, where the prior is right (Satterthwaite,
    Biometrics Bulletin 2, 1946).

    Args:
        signs: float64[m, n], of the smaller member of each pair.
        out: all of them, one after the other.
        scale: of the prior.
    """
    n = signs.shape[1]
    size = sizes(signs)
    drawn = {int(k): int((size == k).sum()) for k in np.unique(size)}
    unseen = {k: max(1.0 - count / number_of_pairs(n, k), _LEAST_UNSEEN) for k, count in drawn.items()}
    inside, outside = (np.square([unseen[int(k)] for k in size] * part) for part in contrasts(size, n, drawn))
    members = (signs > 0).astype(np.float64)

    def summed(of_pairs: Vector, power: int) -> Vector:
        with_player, without = (np.power(part, power) * of_pairs for part in (inside, outside))
        return transposed_times(members, with_player) + transposed_times(1.0 - members, without)

    expected = scale * out.variances
    mean = summed(expected, 1)
    if not mean.all():
        return np.ones(n)
    draws = np.square(mean) / summed(np.square(expected), 2)
    times = summed(np.square(out.residuals), 1) / mean
    return np.maximum((draws * times + _EXPECTED) / (draws + _EXPECTED), 1.0)
