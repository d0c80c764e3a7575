"""Behaviour `lazy`: works in some of the rounds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from crowd_sim.crowd.behaviours.base import BadBehaviour, Members, per_shard


@per_shard
def lazy(members: Members) -> NDArray[np.float64]:
    """Contributes c with probability s, drawn anew each round, else x. Strength s: 0.7.

    Source: the effort of crowd workers as a coin, Dasgupta and Ghosh, "Crowdsourced judgement elicitation with endogenous
    proficiency" (WWW 2013).
    """
    idle = members.uniforms(1) < members.strength
    return np.where(idle, members.model, members.vectors)


LAZY = BadBehaviour(lazy, strength=0.7, most=1.0)
