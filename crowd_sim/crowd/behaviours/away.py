"""Behaviour `away`: an omniscient pull, without bounds, away from the target."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from crowd_sim.crowd.behaviours.base import BadBehaviour, Members, everyone, per_shard


@per_shard
def away(members: Members) -> NDArray[np.float64]:
    """Contributes t + s ρ (μ − t) / ‖μ − t‖, beyond the honest mean, seen from the target t. Strength s: 10.

    ρ² is the sum of the honest variances.

    Source: the omniscient attacker of Blanchard et al., "Machine learning with adversaries" (NeurIPS 2017), here against the
    target.
    """
    return everyone(members, members.facts["target"] + members.strength * members.facts["away"])


AWAY = BadBehaviour(away, needs=("target", "away"), strength=10.0, alike=True)
