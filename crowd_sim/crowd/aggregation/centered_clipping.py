"""Centered clipping: from the round's model on, the mean of the members' steps, each cut to a radius τ.

v ← v + Σ w min(1, τ/‖c − v‖) (c − v) / Σ w, a fixed number of times. Source: Karimireddy, He, Jaggi, "Learning from history for
Byzantine robust optimization", ICML 2021 (arXiv 2012.10333).
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
class CenteredClipping:
    """See the module.

    Attributes:
        radius: τ.
        passes: over the crowd.
    """

    radius: float
    passes: int = 3

    def __call__(self, crowd: Crowd, asked: RoundRequest) -> NDArray[np.float64]:
        """A group whose weights are 0 keeps the model."""
        points = np.repeat(asked.models[:, None, :], asked.n_groups, axis=1)
        weight = np.zeros((*points.shape[:2], 1))
        for _ in range(self.passes):
            sums = crowd.fold(asked, Clipped(points, self.radius))
            weight = sums[:, :, -1:]
            points = points + np.divide(sums[:, :, :-1], weight, out=np.zeros(points.shape), where=weight > 0)
        return settled(points, weight[:, :, 0] > 0)


@dataclass(frozen=True, eq=False)
class Clipped:
    """The pass: Σ w (min(1, τ/‖c − v‖) (c − v), 1) of each group.

    Attributes:
        points: float64[B, K, d], v.
        radius: τ.
    """

    points: NDArray[np.float64]
    radius: float
    fold: Fold = "add"

    def of(self, part: Contributed) -> NDArray[np.float64]:
        """float64[chunks, K, d + 1]."""
        out = np.zeros((part.n_chunks, part.n_groups, part.given.shape[1] + 1))
        _clipped(part.given, part.assignment, part.weights, part.chunk_size, self.points[part.run], self.radius, out)
        return out


@numba.njit(cache=True)
def _clipped(
    given: NDArray[np.float64],
    assignment: NDArray[np.integer],
    weights: NDArray[np.float64 | np.uint16],
    chunk_size: int,
    centres: NDArray[np.float64],
    radius: float,
    out: NDArray[np.float64],
) -> None:
    d = given.shape[1]
    for i in range(len(given)):
        centre, total = centres[assignment[i]], out[i // chunk_size, assignment[i]]
        squared = 0.0
        for j in range(d):
            away = given[i, j] - centre[j]
            squared += away * away
        length, weight = np.sqrt(squared), np.float64(weights[i])
        part = weight * radius / length if length > radius else weight
        for j in range(d):
            total[j] += part * (given[i, j] - centre[j])
        total[d] += weight
