"""Behaviour `sleeper`: honest until it is trusted."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from crowd_sim.crowd.behaviours.base import BadBehaviour, Members, everyone, per_shard


@per_shard
def sleeper(members: Members) -> NDArray[np.float64]:
    """Contributes x in the first s rounds, then the `corner`. Strength s: 20 rounds.

    Source: traitors of reputation systems, Marti and Garcia-Molina, "Taxonomy of trust" (Computer Networks 2006).
    """
    return everyone(members, members.facts["corner"]) if members.round > members.strength else members.vectors


SLEEPER = BadBehaviour(sleeper, needs=("corner",), strength=20.0)
