"""Behaviour `on_off`: bad and honest by turns."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from crowd_sim.crowd.behaviours.base import BadBehaviour, Members, everyone, per_shard


@per_shard
def on_off(members: Members) -> NDArray[np.float64]:
    """Contributes the `corner` for s rounds, x for s rounds, and so on. Strength s: 5 rounds.

    Source: on-off attacks, Sun, Han, Liu, "Defense of trust management vulnerabilities in distributed networks" (IEEE
    Communications Magazine 2008).
    """
    turn = int((members.round - 1) // max(members.strength, 1.0))
    return members.vectors if turn % 2 else everyone(members, members.facts["corner"])


ON_OFF = BadBehaviour(on_off, needs=("corner",), strength=5.0)
