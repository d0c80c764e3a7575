"""Behaviour `late`: has nothing to give at first."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from crowd_sim.crowd.behaviours.base import BadBehaviour, Members, everyone, per_shard


@per_shard
def late(members: Members) -> NDArray[np.float64]:
    """Contributes c in the first s rounds, then x. Strength s: 50 rounds.

    Source: free riders who save cost as long as they can, Feldman and Chuang, "Overcoming free-riding behavior in peer-to-peer
    systems" (SIGecom Exchanges 2005).
    """
    return everyone(members, members.model) if members.round <= members.strength else members.vectors


LATE = BadBehaviour(late, strength=50.0)
