"""The geometric median: the point with the least weighted sum of distances to the members' contributions.

Weiszfeld's iteration, smoothed: each pass is a mean in which a member counts with its weight over its distance from where the
last pass led, taken as at least ν. Source: Pillutla, Kakade, Harchaoui, "Robust aggregation for federated learning", IEEE TSP
2022 (arXiv 1912.13445). It starts from the mean: from the model, as it might, whoever contributes that would hold it there for
many passes. Their number is fixed, so that the result depends on no tolerance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crowd_sim.crowd.aggregation.base import settled
from crowd_sim.crowd.aggregation.reweighted import Reweighted
from crowd_sim.crowd.protocol import Crowd
from crowd_sim.tournament.request import RoundRequest


@dataclass(frozen=True)
class GeometricMedian:
    """See the module.

    Attributes:
        passes: over the crowd, after that of the mean.
        smoothing: ν, the least distance.
    """

    passes: int = 8
    smoothing: float = 0.1

    def __call__(self, crowd: Crowd, asked: RoundRequest) -> NDArray[np.float64]:
        """A group whose weights are 0 keeps the model."""
        points, weight = _centres(crowd.group_sums(asked))
        for _ in range(self.passes):
            sums = crowd.fold(asked, Reweighted(points, np.zeros(points.shape), 1.0, self.smoothing))
            points, weight = _centres(sums[:, :, :-1])
        return settled(points, weight[:, :, 0] > 0)


def _centres(sums: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weighted means, 0 of nobody, and weights: float64[B, K, d] and float64[B, K, 1]."""
    total, weight = sums[:, :, :-1], sums[:, :, -1:]
    return np.divide(total, weight, out=np.zeros(total.shape), where=weight > 0), weight
