"""Behaviour `corner`: the corner of the honest range that is farthest from the target."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from crowd_sim.crowd.behaviours.base import BadBehaviour, Members, per_shard


@per_shard
def corner(members: Members) -> NDArray[np.float64]:
    """Contributes x + s (corner − x). Strength s: 1.

    The corner has in each coordinate the honest minimum or maximum, whichever is farther from the target.

    Source: omniscient and within bounds, as the attacks that clipping cannot see in Shejwalkar and Houmansadr (NDSS 2021).
    """
    return members.vectors + members.strength * (members.facts["corner"] - members.vectors)


CORNER = BadBehaviour(corner, needs=("corner",))
