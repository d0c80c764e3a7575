"""Behaviour `mimic`: all copy one honest worker."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from crowd_sim.crowd.behaviours.base import BadBehaviour, Members, everyone, per_shard


@per_shard
def mimic(members: Members) -> NDArray[np.float64]:
    """Contributes what the honest worker contributes who is farthest along the first principal direction.

    The worker is looked for in a sample. No use of strength.

    Source: Karimireddy, He, Jaggi, "Byzantine-robust learning on heterogeneous datasets via bucketing" (ICLR 2022).
    """
    return everyone(members, members.facts["mimic"])


MIMIC = BadBehaviour(mimic, needs=("mimic",), alike=True)
