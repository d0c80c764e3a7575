"""Behaviour `ipm`: inner-product manipulation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from crowd_sim.crowd.behaviours.base import BadBehaviour, Members, everyone, per_shard


@per_shard
def ipm(members: Members) -> NDArray[np.float64]:
    """Contributes c − s (μ − c), the mean honest move of the model, against its direction. Strength s: 2.

    Source: Xie, Koyejo, Gupta, "Fall of empires: breaking Byzantine-tolerant SGD by inner product manipulation" (UAI 2020).
    """
    return everyone(members, members.model - members.strength * (members.facts["mean"] - members.model))


IPM = BadBehaviour(ipm, needs=("mean",), strength=2.0, alike=True)
