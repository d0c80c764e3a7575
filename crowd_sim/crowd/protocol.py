"""What may be asked of the workers of B runs, wherever they are: by a learner, an aggregation, or who is bad among them."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from crowd_sim.crowd.passes import Pass
from crowd_sim.tournament.request import RoundRequest


class Crowd(Protocol):
    """The workers of B runs."""

    def group_sums(self, request: RoundRequest) -> NDArray[np.float64]:
        """Weighted sums of the members' contributions and, in the last column, of their weights: float64[B, K, d + 1]."""

    def fold(self, request: RoundRequest, asked: Pass) -> NDArray[np.float64]:
        """The result of a pass over all contributions of a round: float64[B, ...]."""

    def contributions(self, request: RoundRequest, places: NDArray[np.int64]) -> NDArray[np.float64]:
        """What the workers at places int64[B, s] contribute to a round, in their order: float64[B, s, d]."""
