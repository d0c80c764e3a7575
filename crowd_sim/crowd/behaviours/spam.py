"""Behaviour `spam`: the same answer to everything."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from crowd_sim.crowd.behaviours.base import BadBehaviour, Members, per_shard


@per_shard
def spam(members: Members) -> NDArray[np.float64]:
    """Contributes one number in all coordinates and rounds. No use of strength.

    It is drawn by worker from the span of honest contributions, all coordinates together.

    Source: the spammers of Raykar and Yu, "Eliminating spammers and ranking annotators for crowdsourced labeling tasks" (JMLR
    2012).
    """
    low, high = members.facts["low"].min(), members.facts["high"].max()
    drawn = members.uniforms(1, lasting=True)
    return np.broadcast_to(low + (high - low) * drawn, members.vectors.shape)


SPAM = BadBehaviour(spam, needs=("low", "high"), most=0.0)
