"""Behaviour `alie`: a little is enough."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from crowd_sim.crowd.behaviours.base import BadBehaviour, Members, everyone, per_shard


@per_shard
def alie(members: Members) -> NDArray[np.float64]:
    """Contributes μ − s σ, in every coordinate in the direction that leads away from the target. Strength s: 1.5.

    Source: Baruch, Baruch, Goldberg, "A little is enough: circumventing defenses for distributed learning" (NeurIPS 2019);
    their s depends on the share of bad workers, 0.1 at 10 % and 0.8 at 30 % of 75; 1.5 is ByzFL's, whatever the share.
    """
    return everyone(members, members.facts["mean"] - members.strength * members.facts["adverse_sd"])


ALIE = BadBehaviour(alie, needs=("mean", "adverse_sd"), strength=1.5, alike=True)
