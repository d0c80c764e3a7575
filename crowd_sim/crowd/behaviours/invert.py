"""Behaviour `invert`: the opposite of its taste."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from crowd_sim.crowd.behaviours.base import BadBehaviour, Members, per_shard


@per_shard
def invert(members: Members) -> NDArray[np.float64]:
    """Contributes x + s (low + high − 2x). Strength s: 1, x mirrored in the middle of the honest range.

    Source: flipped labels, Biggio, Nelson, Laskov, "Support vector machines under adversarial label noise" (ACML 2011).
    """
    middle = members.facts["low"] + members.facts["high"]
    return members.vectors + members.strength * (middle - 2 * members.vectors)


INVERT = BadBehaviour(invert, needs=("low", "high"))
