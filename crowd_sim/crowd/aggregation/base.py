"""What all aggregations have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from crowd_sim.crowd.passes import Pass
from crowd_sim.tournament.request import RoundRequest


class Contributors(Protocol):
    """What an aggregation needs of a crowd, see `crowd_sim.host.Crowd`."""

    def group_sums(self, request: RoundRequest) -> NDArray[np.float64]:
        """Weighted sums of contributions and, last, of weights: float64[B, K, d + 1]."""

    def fold(self, request: RoundRequest, asked: Pass) -> NDArray[np.float64]:
        """The result of a pass: float64[B, ...]."""

    def contributions(self, request: RoundRequest, places: NDArray[np.int64]) -> NDArray[np.float64]:
        """Of workers int64[B, s], in this order: float64[B, s, d]."""


Aggregation = Callable[[Contributors, RoundRequest], NDArray[np.float64]]


def settled(points: NDArray[np.float64], is_there: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Points float64[B, K, d] with the weight 1, or 0 where nobody is there, bool[B, K]: float64[B, K, d + 1]."""
    weight = is_there.astype(np.float64)[:, :, None]
    return np.concatenate([np.where(weight > 0, points, 0.0), weight], axis=2)
