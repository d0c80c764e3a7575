"""Behaviour `echo`: a free rider who gives back the model."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from crowd_sim.crowd.behaviours.base import BadBehaviour, Members, everyone, per_shard


@per_shard
def echo(members: Members) -> NDArray[np.float64]:
    """Contributes c. No use of strength.

    Source: the plain free rider of Fraboni, Vidal, Lorenzi, "Free-rider attacks on model aggregation in federated learning"
    (AISTATS 2021).
    """
    return everyone(members, members.model)


ECHO = BadBehaviour(echo, most=0.0, alike=True)
