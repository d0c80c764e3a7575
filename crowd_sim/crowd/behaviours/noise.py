"""Behaviour `noise`: its own vector, blurred anew in every round."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from crowd_sim.crowd.behaviours.base import BadBehaviour, Members, per_shard


@per_shard
def noise(members: Members) -> NDArray[np.float64]:
    """Contributes x + s σ z, z standard normal and drawn anew in every round. Strength s: 3.

    Source: additive noise, Li et al., "RSA" (AAAI 2019).
    """
    return members.vectors + members.strength * members.facts["sd"] * members.normals()


NOISE = BadBehaviour(noise, needs=("sd",), strength=3.0)
