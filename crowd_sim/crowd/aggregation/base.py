"""What all aggregations have in common."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from crowd_sim.crowd.protocol import Crowd
from crowd_sim.tournament.request import RoundRequest

Aggregation = Callable[[Crowd, RoundRequest], NDArray[np.float64]]


def settled(points: NDArray[np.float64], is_there: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Points float64[B, K, d] with the weight 1, or 0 where nobody is there, bool[B, K]: float64[B, K, d + 1]."""
    weight = is_there.astype(np.float64)[:, :, None]
    return np.concatenate([np.where(weight > 0, points, 0.0), weight], axis=2)
