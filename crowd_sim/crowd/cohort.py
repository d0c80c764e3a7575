"""Who works in B runs, and how they are dealt to shards."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crowd_sim.crowd.bad import Roles
from crowd_sim.crowd.population import Population
from crowd_sim.crowd.reduction import split_evenly
from crowd_sim.crowd.shard import Key, Place, ShardSpec, count_chunks


@dataclass(frozen=True, eq=False)
class Cohort:
    """The workers of B runs.

    Attributes:
        population: whom they were chosen from.
        rows: int64[B, n], the people whose data each run's workers have.
        chunk_size: workers per chunk.
        key: behaviour and random streams.
        roles: who is bad; absent: nobody.
    """

    population: Population
    rows: NDArray[np.int64]
    chunk_size: int
    key: Key
    roles: Roles | None = None

    @property
    def n_chunks(self) -> int:
        """Chunks of the whole crowd."""
        return count_chunks(self.rows.shape[1], self.chunk_size)

    def shards(self, number: int) -> list[tuple[slice, ShardSpec]]:
        """The members of each of so many shards (fewer where there are fewer chunks), and what the shard is built of.

        A shard gets the people it needs, not everyone.
        """
        return [self._shard(first, stop) for first, stop in split_evenly(self.n_chunks, number)]

    def _shard(self, first: int, stop: int) -> tuple[slice, ShardSpec]:
        n = self.rows.shape[1]
        members = slice(first * self.chunk_size, min(stop * self.chunk_size, n))
        mine = self.rows[:, members]
        needed, own = np.unique(mine, return_inverse=True)
        place = Place(self.chunk_size, first, self.n_chunks)
        roles = self.roles and self.roles.of(members)
        rows = own.reshape(mine.shape)
        return members, ShardSpec(self.population.portion(needed), needed, rows, place, self.key, roles)
