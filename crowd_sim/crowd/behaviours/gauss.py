"""Behaviour `gauss`: noise in place of data."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from crowd_sim.crowd.behaviours.base import BadBehaviour, Members, per_shard


@per_shard
def gauss(members: Members) -> NDArray[np.float64]:
    """Contributes μ + s σ z, z standard normal and drawn anew in every round. Strength s: 3.

    Source: the Gaussian attack of Blanchard et al., "Machine learning with adversaries" (NeurIPS 2017).
    """
    return members.facts["mean"] + members.strength * members.facts["sd"] * members.normals()


GAUSS = BadBehaviour(gauss, needs=("mean", "sd"), strength=3.0)
