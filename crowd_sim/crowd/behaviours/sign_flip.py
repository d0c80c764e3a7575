"""Behaviour `sign_flip`: moves the model away from its own vector."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from crowd_sim.crowd.behaviours.base import BadBehaviour, Members, per_shard


@per_shard
def sign_flip(members: Members) -> NDArray[np.float64]:
    """Contributes c − s (x − c). Strength s: 2.

    Source: Li et al., "RSA: Byzantine-robust stochastic aggregation methods for distributed learning from heterogeneous
    datasets" (AAAI 2019).
    """
    return members.model - members.strength * (members.vectors - members.model)


SIGN_FLIP = BadBehaviour(sign_flip, strength=2.0)
