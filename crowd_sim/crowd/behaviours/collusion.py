"""Behaviour `collusion`: all pull to one false target."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from crowd_sim.crowd.behaviours.base import BadBehaviour, Members, per_shard


@per_shard
def collusion(members: Members) -> NDArray[np.float64]:
    """Contributes x + s (p − x), with p one point for all bad workers and rounds of a run. Strength s: 1.

    p is drawn uniform in the honest range of each coordinate.

    Source: sybils with one poisoning objective, Fung, Yoon, Beschastnikh, "The limitations of federated learning in sybil
    settings" (RAID 2020).
    """
    return members.vectors + members.strength * (members.facts["false_target"] - members.vectors)


COLLUSION = BadBehaviour(collusion, needs=("false_target",))
