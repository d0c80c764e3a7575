"""Behaviour `mimic`: all copy one honest worker."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from crowd_sim.crowd.behaviours.base import BadBehaviour, Members, everyone, per_shard


@per_shard
def mimic(members: Members) -> NDArray[np.float64]:
    """Contributes what one honest worker contributes: of a sample the one who is farthest from the target. No use of strength.

    Source: Karimireddy, He, Jaggi, "Byzantine-robust learning on heterogeneous datasets via bucketing" (ICLR 2022), whose
    attacker knows no target and chooses the worker by the first principal direction.
    """
    return everyone(members, members.facts["mimic"])


MIMIC = BadBehaviour(mimic, needs=("mimic",), most=0.0, alike=True)
