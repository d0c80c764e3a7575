"""CrowdActor: hosts a shard of the crowd."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import ray
from numpy.typing import NDArray

from actors.failure import fetch, survivable
from crowd_sim.crowd.folding import Subtrees, fold_shards
from crowd_sim.crowd.shard import Shard, count_chunks, cut

if TYPE_CHECKING:  # importing the configuration costs an actor a second of its start
    from crowd_sim.config import PoolConfig


class CrowdActor:
    """A host of `crowd_sim.crowd.shard.Shard`: vectors stay here, partial sums leave."""

    def __init__(self, vectors: NDArray[np.float64], rows: NDArray[np.int64], place: tuple[int, int, int]) -> None:
        self._shard = Shard(vectors, rows, *place)

    def group_sums(self, assignment: NDArray[np.int64], weights: NDArray[np.float64], n_groups: int) -> Subtrees:
        """See `Shard.group_sums`."""
        return self._shard.group_sums(assignment, weights, n_groups)


class RayCrowd:
    """The crowd service on `CrowdActor` shards."""

    def __init__(
        self, vectors: NDArray[np.float64], rows: NDArray[np.int64], chunk_size: int, pool: PoolConfig
    ) -> None:
        self._n_chunks = count_chunks(rows.shape[1], chunk_size)
        self._members: list[slice] = []
        self._shards: list[Any] = []
        self._held: list[Any] = []
        host = ray.remote(CrowdActor).options(num_cpus=pool.cpus, num_gpus=pool.gpus, **survivable())
        for first, stop in cut(self._n_chunks, pool.number):
            members = slice(first * chunk_size, min(stop * chunk_size, rows.shape[1]))
            # a shard gets the people it needs, not everyone
            needed, own_rows = np.unique(rows[:, members], return_inverse=True)
            own = own_rows.reshape(rows[:, members].shape)
            self._members.append(members)
            held = ray.put(vectors[needed]), ray.put(own)
            self._held.append(held)  # as long as the shard may have to start anew
            self._shards.append(host.remote(*held, (chunk_size, first, self._n_chunks)))

    def group_sums(
        self, assignment: NDArray[np.int64], weights: NDArray[np.float64], n_groups: int
    ) -> NDArray[np.float64]:
        """See `crowd_sim.services.Crowd`."""
        calls = [
            shard.group_sums.remote(assignment[:, members], weights[:, members], n_groups)
            for shard, members in zip(self._shards, self._members, strict=True)
        ]
        return fold_shards(fetch(calls, "the crowd's shards"), self._n_chunks)

    def close(self) -> None:
        """Give the shards' resources back."""
        for shard in self._shards:
            ray.kill(shard)
