"""Behaviour `min_max`: as far from the mean as no honest worker can be told from."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from crowd_sim.crowd.behaviours.base import BadBehaviour, Members, everyone, per_shard


@per_shard
def min_max(members: Members) -> NDArray[np.float64]:
    """Contributes μ − s γ σ, in every coordinate in the direction that leads away from the target. Strength s: 1, the paper's.

    γ is the largest with which it is as near to every honest worker of a sample as the two farthest of them are to each other.

    Source: Shejwalkar and Houmansadr, "Manipulating the Byzantine" (NDSS 2021), the min-max attack along the standard
    deviation.
    """
    return everyone(members, members.facts["mean"] - members.strength * members.facts["min_max"])


MIN_MAX = BadBehaviour(min_max, needs=("mean", "min_max"), alike=True)
