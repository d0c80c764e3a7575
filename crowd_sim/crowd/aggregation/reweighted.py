"""The pass that weighs a group's members by how near to a point they are."""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

from crowd_sim.crowd.passes import Contributed, Fold


@dataclass(frozen=True, eq=False)
class Reweighted:
    """The pass: Σ ω (c − o), Σ ω and Σ w of each group, ω = w · scale / max(‖c − z‖, least).

    Attributes:
        points: float64[B, K, d], z.
        origins: float64[B, K, d], o.
        scale, least: of the weights.
    """

    points: NDArray[np.float64]
    origins: NDArray[np.float64]
    scale: float
    least: float
    fold: Fold = "add"

    def of(self, part: Contributed) -> NDArray[np.float64]:
        """float64[chunks, K, d + 2]."""
        out = np.zeros((part.n_chunks, part.n_groups, part.given.shape[1] + 2))
        places = self.points[part.run], self.origins[part.run]
        _add(part.given, part.assignment, part.weights, part.chunk_size, *places, self.scale, self.least, out)
        return out


@numba.njit(cache=True)
def _add(
    given: NDArray[np.float64],
    assignment: NDArray[np.integer],
    weights: NDArray[np.float64 | np.uint16],
    chunk_size: int,
    points: NDArray[np.float64],
    origins: NDArray[np.float64],
    scale: float,
    least: float,
    out: NDArray[np.float64],
) -> None:
    d = given.shape[1]
    for i in range(len(given)):
        k = assignment[i]
        point, origin, total = points[k], origins[k], out[i // chunk_size, k]
        squared = 0.0
        for j in range(d):
            away = given[i, j] - point[j]
            squared += away * away
        weight = np.float64(weights[i])
        part = weight * scale / max(np.sqrt(squared), least)
        for j in range(d):
            total[j] += part * (given[i, j] - origin[j])
        total[d] += part
        total[d + 1] += weight
