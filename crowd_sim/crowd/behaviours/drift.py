"""Behaviour `drift`: goes bad slowly."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from crowd_sim.crowd.behaviours.base import BadBehaviour, Members, per_shard


@per_shard
def drift(members: Members) -> NDArray[np.float64]:
    """Contributes x + min((r − 1) / s, 1) (corner − x) in round r. Strength s: 50 rounds.

    Source: gradual poisoning, the "boiling frog" of Rubinstein et al., "ANTIDOTE" (IMC 2009).
    """
    gone = min((members.round - 1) / members.strength, 1.0) if members.strength > 0 else 1.0
    return members.vectors + gone * (members.facts["corner"] - members.vectors)


DRIFT = BadBehaviour(drift, needs=("corner",), strength=50.0)
