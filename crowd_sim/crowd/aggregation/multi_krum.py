"""Multi-Krum: the weighted mean of the members whose nearest neighbours are nearest.

Of m members, f = ⌊βm⌋ are left out: those with the largest mean squared distance to their m − f − 1 nearest neighbours; of
equal ones the later in order of place. Members of weight 0 are none. Source: Blanchard, El Mhamdi, Guerraoui, Stainer, "Machine
learning with adversaries: Byzantine tolerant gradient descent", NeurIPS 2017 (arXiv 1703.02757).

All pairs are compared, so contributions are gathered where the round is played, and groups have at most `LARGEST_GROUP`
members.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

from crowd_sim.crowd.aggregation.base import settled
from crowd_sim.crowd.protocol import Crowd
from crowd_sim.errors import InputError
from crowd_sim.tournament.request import RoundRequest

LARGEST_GROUP = 256


@dataclass(frozen=True)
class MultiKrum:
    """See the module.

    Attributes:
        share: β, below ½.
    """

    share: float

    def __call__(self, crowd: Crowd, asked: RoundRequest) -> NDArray[np.float64]:
        """A group whose weights are 0 keeps the model.

        Raises:
            InputError: a grouping made a group that is too large.
        """
        assignment = np.where(asked.weights > 0, asked.groups.of_everyone(), -1)
        n_runs, n = assignment.shape
        given = crowd.contributions(asked, np.tile(np.arange(n), (n_runs, 1)))
        points = np.zeros((n_runs, asked.n_groups, given.shape[2]))
        is_there = np.zeros(points.shape[:2], dtype=np.bool_)
        for b in range(n_runs):
            for k in range(asked.n_groups):
                members = np.flatnonzero(assignment[b] == k)
                if len(members) > LARGEST_GROUP:
                    raise InputError("tournament.aggregation", "multi_krum", too_large(len(members)))
                if len(members):
                    is_there[b, k] = True
                    points[b, k] = _central(
                        given[b, members], asked.weights[b, members], int(self.share * len(members))
                    )
        return settled(points, is_there)


def too_large(members: int) -> str:
    """What is said of a group with so many."""
    return f"compares all pairs of a group's members, of at most {LARGEST_GROUP}; here are {members}"


def _central(given: NDArray[np.float64], weights: NDArray[np.float64], cut: int) -> NDArray[np.float64]:
    near = np.sort(_squared_distances(given), axis=1)[:, 1 : len(given) - cut]
    kept = np.sort(np.argsort(near.sum(axis=1), kind="stable")[: len(given) - cut])
    return (weights[kept, None] * given[kept]).sum(axis=0) / weights[kept].sum()


@numba.njit(cache=True)
def _squared_distances(given: NDArray[np.float64]) -> NDArray[np.float64]:
    m = len(given)
    out = np.zeros((m, m))
    for i in range(m):
        for j in range(i):
            total = 0.0
            for c in range(given.shape[1]):
                total += (given[i, c] - given[j, c]) ** 2
            out[i, j] = out[j, i] = total
    return out
