"""The geometric median: the point with the least weighted sum of distances to the members' contributions.

Weiszfeld's iteration, smoothed: each pass is a mean in which a member counts with its weight over its distance from where the
last pass led, taken as at least ν. Source: Pillutla, Kakade, Harchaoui, "Robust aggregation for federated learning", IEEE TSP
2022 (arXiv 1912.13445). It starts from the mean: from the model, as it might, whoever contributes that would hold it there for
many passes. Their number is fixed, so that the result depends on no tolerance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

from crowd_sim.crowd.aggregation.base import settled
from crowd_sim.crowd.passes import Contributed, Fold
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
            points, weight = _centres(crowd.fold(asked, Reweighted(points, self.smoothing)))
        return settled(points, weight[:, :, 0] > 0)


def _centres(sums: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weighted means, 0 of nobody, and weights: float64[B, K, d] and float64[B, K, 1]."""
    total, weight = sums[:, :, :-1], sums[:, :, -1:]
    return np.divide(total, weight, out=np.zeros(total.shape), where=weight > 0), weight


@dataclass(frozen=True, eq=False)
class Reweighted:
    """The pass: Σ w/max(‖c − z‖, ν) (c, 1) of each group.

    Attributes:
        points: float64[B, K, d], z.
        smoothing: ν.
    """

    points: NDArray[np.float64]
    smoothing: float
    fold: Fold = "add"

    def of(self, part: Contributed) -> NDArray[np.float64]:
        """float64[chunks, K, d + 1]."""
        out = np.zeros((part.n_chunks, part.n_groups, part.given.shape[1] + 1))
        centres = self.points[part.run]
        _reweighted(part.given, part.assignment, part.weights, part.chunk_size, centres, self.smoothing, out)
        return out


@numba.njit(cache=True)
def _reweighted(
    given: NDArray[np.float64],
    assignment: NDArray[np.integer],
    weights: NDArray[np.float64 | np.uint16],
    chunk_size: int,
    centres: NDArray[np.float64],
    smoothing: float,
    out: NDArray[np.float64],
) -> None:
    d = given.shape[1]
    for i in range(len(given)):
        centre, total = centres[assignment[i]], out[i // chunk_size, assignment[i]]
        squared = 0.0
        for j in range(d):
            away = given[i, j] - centre[j]
            squared += away * away
        weight = np.float64(weights[i]) / max(np.sqrt(squared), smoothing)
        for j in range(d):
            total[j] += weight * given[i, j]
        total[d] += weight
