"""What a round asks of the crowd, and of one shard of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from crowd_sim.tournament.groups import Groups

Facts = Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True)
class ShardRequest:
    """What a round asks of a shard, for B runs.

    Attributes:
        round: its number, from 1.
        models: float64[B, d], from which the round starts.
        assignment: int64[B, m], each worker's group; of a smaller type where it travels.
        weights: float64[B, m], each worker's weight; uint16 where it travels and that loses nothing.
        n_groups: K.
        facts: what is known of the crowd, float64[B, ...] by name; behaviours see their run's row.
        before_bad: whether bad workers contribute their own vectors, too: what they find out, they find out before they act.
    """

    round: int
    models: NDArray[np.float64]
    assignment: NDArray[np.integer]
    weights: NDArray[np.float64 | np.uint16]
    n_groups: int
    facts: Facts = field(default_factory=dict)
    before_bad: bool = False


@dataclass(frozen=True)
class RoundRequest:
    """What a round asks of the whole crowd, for B runs.

    Attributes:
        round, models, n_groups: as a `ShardRequest`'s.
        groups: of every worker.
        weights: float64[B, n], every worker's weight.
        facts, before_bad: as a `ShardRequest`'s.
        before: the models a round earlier, see `crowd_sim.tournament.state.State`.
        momentum: by which a merged candidate goes on the way that led from there.
    """

    round: int
    models: NDArray[np.float64]
    groups: Groups
    weights: NDArray[np.float64]
    n_groups: int
    facts: Facts = field(default_factory=dict)
    before_bad: bool = False
    before: Any = None
    momentum: float = 0.0

    def of_everyone(self) -> ShardRequest:
        """The call for all workers."""
        assignment = self.groups.of_everyone()
        return self._for(assignment, self.weights)

    def of(self, members: slice) -> ShardRequest:
        """The call for some of the workers, as small as it gets without a loss: sending it costs more than anything in it."""
        kind = np.min_scalar_type(self.n_groups - 1)
        assignment, weights = self.groups.of(members).astype(kind), _narrowed(self.weights[:, members])
        return self._for(assignment, weights)

    def _for(self, assignment: NDArray[np.integer], weights: NDArray[np.float64 | np.uint16]) -> ShardRequest:
        return ShardRequest(self.round, self.models, assignment, weights, self.n_groups, self.facts, self.before_bad)


def _narrowed(weights: NDArray[np.float64]) -> NDArray[np.float64 | np.uint16]:
    """Whole weights, which points that are sums of ranks give, as uint16; others as they are."""
    narrow = np.empty(weights.shape, dtype=np.uint16)
    return narrow if _narrow(weights, narrow) else weights


@numba.njit(cache=True)
def _narrow(weights: NDArray[np.float64], out: NDArray[np.uint16]) -> bool:
    for b in range(weights.shape[0]):
        for i in range(weights.shape[1]):
            weight = weights[b, i]
            if not 0 <= weight <= np.iinfo(np.uint16).max:
                return False
            out[b, i] = np.uint16(weight)
            if out[b, i] != weight:
                return False
    return True
