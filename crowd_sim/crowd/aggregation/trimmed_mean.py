"""The trimmed mean of every coordinate: of m members the ⌊βm⌋ smallest and the ⌊βm⌋ largest numbers are left out.

The rest is weighted. Who is left out is counted by heads, as weights are what a bad worker may have won; of members that have
exactly the number where the cut is, each counts with the share of them that stays. Source: Yin, Chen, Ramchandran, Bartlett,
"Byzantine-robust distributed learning: towards optimal statistical rates", ICML 2018 (arXiv 1803.01498).
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

from crowd_sim.crowd.aggregation.base import settled
from crowd_sim.crowd.aggregation.order_statistics import order_statistics, totals
from crowd_sim.crowd.passes import Contributed, Fold
from crowd_sim.crowd.protocol import Crowd
from crowd_sim.tournament.request import RoundRequest


@dataclass(frozen=True)
class TrimmedMean:
    """See the module.

    Attributes:
        share: β, below ½.
    """

    share: float

    def __call__(self, crowd: Crowd, asked: RoundRequest) -> NDArray[np.float64]:
        """A group whose weights are 0 keeps the model."""
        members = totals(crowd, asked)[:, :, 1]
        cut = np.floor(self.share * members)
        places = np.stack([cut, members - cut], axis=2)
        ends = order_statistics(crowd, asked, places, (True, False), weighted=False)
        low, high = ends[..., 0], ends[..., 1]
        counts = crowd.fold(asked, _AtEnds(low, high))
        # of those at an end, the part that is not cut off
        stays = counts[..., 1::2] + counts[..., ::2] - cut[:, :, None, None]
        shares = np.divide(stays, counts[..., 1::2], out=np.ones(stays.shape), where=counts[..., 1::2] > 0)
        sums = crowd.fold(asked, _Between(low, high, shares[..., 0], shares[..., 1]))
        weight = sums[..., 1]
        middle = np.divide(sums[..., 0], weight, out=low.copy(), where=weight > 0)
        return settled(np.where(low == high, low, middle), members > 0)


@dataclass(frozen=True, eq=False)
class _AtEnds:
    """The pass: how many members are below `low`, at it, above `high` and at it; both float64[B, K, d]."""

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    fold: Fold = "add"

    def of(self, part: Contributed) -> NDArray[np.float64]:
        """float64[chunks, K, d, 4]."""
        groups, counted = part.assignment, (part.weights > 0)[:, None]
        low, high = self.low[part.run][groups], self.high[part.run][groups]
        found = [part.given < low, part.given == low, part.given > high, part.given == high]
        rows = np.stack(found, axis=-1) & counted[..., None]
        return part.sums(rows.reshape(len(rows), -1).astype(np.float64)).reshape(part.n_chunks, *self.low.shape[1:], 4)


@dataclass(frozen=True, eq=False)
class _Between:
    """The pass: weighted sums, and sums of weights, of the numbers from `low` to `high`; all float64[B, K, d]."""

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    low_share: NDArray[np.float64]
    high_share: NDArray[np.float64]
    fold: Fold = "add"

    def of(self, part: Contributed) -> NDArray[np.float64]:
        """float64[chunks, K, d, 2]."""
        b = part.run
        out = np.zeros((part.n_chunks, *self.low.shape[1:], 2))
        ends = (self.low[b], self.high[b], self.low_share[b], self.high_share[b])
        _between(part.given, part.assignment, part.weights, part.chunk_size, *ends, out)
        return out


@numba.njit(cache=True)
def _between(
    given: NDArray[np.float64],
    assignment: NDArray[np.integer],
    weights: NDArray[np.float64 | np.uint16],
    chunk_size: int,
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    low_share: NDArray[np.float64],
    high_share: NDArray[np.float64],
    out: NDArray[np.float64],
) -> None:
    for i in range(len(given)):
        group, total = assignment[i], out[i // chunk_size, assignment[i]]
        for j in range(given.shape[1]):
            number, weight = given[i, j], np.float64(weights[i])
            if number < low[group, j] or number > high[group, j]:
                continue
            if number == low[group, j]:
                weight *= low_share[group, j]
            elif number == high[group, j]:
                weight *= high_share[group, j]
            total[j, 0] += weight * number
            total[j, 1] += weight
