"""Behaviour `camouflage`: bad only while it is trusted more than most."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from crowd_sim.crowd.behaviours.base import BadBehaviour, Members, per_shard


@per_shard
def camouflage(members: Members) -> NDArray[np.float64]:
    """Contributes the `corner` while its weight is above s × the median weight of all workers, else x. Strength s: 1.

    Source: strategic oscillation, Srivatsa, Xiong, Liu, "TrustGuard" (WWW 2005).
    """
    trusted = members.weights > members.strength * members.facts["median_weight"]
    return np.where(trusted[:, None], members.facts["corner"], members.vectors)


CAMOUFLAGE = BadBehaviour(camouflage, needs=("corner", "median_weight"))
