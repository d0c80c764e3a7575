"""A shard: consecutive chunks of every run's crowd, and what it contributes to a round."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numba
import numpy as np
from numpy.typing import NDArray

from crowd_sim.crowd.bad import BadGroup, Roles, contributed
from crowd_sim.crowd.behaviours import HONEST, Members, contributions
from crowd_sim.crowd.passes import Contributed, Pass, folded
from crowd_sim.crowd.reduction import PartialSums, fold_shard
from crowd_sim.tournament.request import ShardRequest


@dataclass(frozen=True)
class Place:
    """Where a shard stands in the whole crowd.

    Attributes:
        chunk_size: workers per chunk; the last chunk of the whole crowd may be smaller.
        first_chunk: index of the shard's first chunk.
        n_chunks: chunks of the whole crowd.
    """

    chunk_size: int
    first_chunk: int
    n_chunks: int


@dataclass(frozen=True)
class Key:
    """What a shard's workers do, and the key of their random streams.

    Attributes:
        behaviour: a name in `BEHAVIOURS` or ``package.module:Name``.
        seeds, runs: uint64[B].
        bounds: [low, high] to which contributions are cut, if any.
        bad: the groups of bad workers.
        n_workers, n_bad: in each run.
    """

    behaviour: str
    seeds: NDArray[np.uint64]
    runs: NDArray[np.uint64]
    bounds: tuple[float, float] | None = None
    bad: tuple[BadGroup, ...] = ()
    n_workers: int = 0
    n_bad: int = 0


@dataclass(frozen=True, eq=False)
class _Parts:
    """The workers of a shard in one run, by their numbers in the shard.

    Attributes:
        honest: int64[m].
        rows: int64[m], of these.
        bad: of each group, int64[...].
    """

    honest: NDArray[np.int64]
    rows: NDArray[np.int64]
    bad: Sequence[NDArray[np.int64]]


@dataclass(frozen=True)
class Shard:
    """The workers of some chunks, for B runs.

    Attributes:
        vectors: float64[N, d], the people the runs draw from (or those of them that this shard needs).
        people: int64[N], their rows in the source.
        rows: int64[B, m], the row in `vectors` of each of the shard's m workers.
        place: in the whole crowd.
        key: behaviour and random streams.
        roles: of the workers; absent: nobody is bad.
    """

    vectors: NDArray[np.float64]
    people: NDArray[np.int64]
    rows: NDArray[np.int64]
    place: Place
    key: Key
    roles: Roles | None = None

    def group_sums(self, call: ShardRequest) -> PartialSums:
        """Per group the sum of weight × contribution and, in the last column, of the weights.

        Returns:
            PartialSums of float64[B, K, d + 1]; `fold_shards` makes the whole crowd's sums of them.

        Raises:
            StrategyError: the behaviour raised.
            InputError: the behaviour returned what cannot be summed.
        """
        chunks = count_chunks(self.rows.shape[1], self.place.chunk_size)
        sums = np.zeros((len(self.rows), chunks, call.n_groups, self.vectors.shape[1] + 1))
        if self.key.behaviour == HONEST and self.key.bounds is None:
            if self._parts and not call.before_bad:
                self._add_parts(call, sums)
            else:
                _chunk_sums(self.vectors, self.rows, call.assignment, call.weights, self.place.chunk_size, sums)
        else:
            everyone = np.arange(self.rows.shape[1])[None]
            for b in range(len(self.rows)):
                given, one = self._given(b, call), slice(b, b + 1)
                _chunk_sums(given, everyone, call.assignment[one], call.weights[one], self.place.chunk_size, sums[one])
        return fold_shard(sums, self.place.first_chunk, self.place.n_chunks)

    def fold(self, call: ShardRequest, asked: Pass) -> PartialSums:
        """What leaves the shard of a pass over its contributions; `fold_parts` makes the whole crowd's result of it.

        Raises:
            StrategyError, InputError: as `group_sums`.
        """
        chunks = np.stack([asked.of(self._contributed(b, call)) for b in range(len(self.rows))])
        return folded(chunks, asked.fold, self.place.first_chunk, self.place.n_chunks)

    def contributions(self, call: ShardRequest, places: NDArray[np.int64]) -> NDArray[np.float64]:
        """What those of the workers at `places` int64[B, s] contribute that are here: float64[found, d], run by run.

        Raises:
            StrategyError, InputError: as `group_sums`.
        """
        first, stop = self._places
        found = []
        for b, wanted in enumerate(places):
            here = wanted[(wanted >= first) & (wanted < stop)]
            if len(here):
                found.append(self._given(b, call)[here - first])
        return np.concatenate(found) if found else np.empty((0, self.vectors.shape[1]))

    @property
    def _places(self) -> tuple[int, int]:
        first = self.place.first_chunk * self.place.chunk_size
        return first, first + self.rows.shape[1]

    def _given(self, b: int, call: ShardRequest) -> NDArray[np.float64]:
        given = self._before_bad(b, call)
        if self._parts and not call.before_bad:
            given = given if self.key.behaviour == HONEST else np.array(given)  # it may be the members' own array
            for group, workers in zip(self.key.bad, self._parts[b].bad, strict=True):
                given[workers] = self._attack(b, call, group, workers)
        return given if self.key.bounds is None else np.clip(given, *self.key.bounds)

    def _before_bad(self, b: int, call: ShardRequest) -> NDArray[np.float64]:
        """What everyone would contribute, were nobody bad; what a round's facts were made of is not asked for twice."""
        if self.key.behaviour == HONEST:
            return self.vectors[self.rows[b]]
        number, model, given = self._kept.get(b, (0, call.models[b], self.vectors))
        if number == call.round and (model == call.models[b]).all():
            return given
        given = contributions(self.key.behaviour, self._members(b, call))
        if call.before_bad:
            self._kept[b] = call.round, call.models[b].copy(), given
        return given

    @cached_property
    def _kept(self) -> dict[int, tuple[int, NDArray[np.float64], NDArray[np.float64]]]:
        """Of each run: round, model, and what was contributed."""
        return {}

    def _add_parts(self, call: ShardRequest, sums: NDArray[np.float64]) -> None:
        """Add up honest workers, and then each group of bad ones: the vectors of a large crowd are never copied."""
        for b, part in enumerate(self._parts):
            dealt = call.assignment[b], call.weights[b], self.place.chunk_size, sums[b]
            _add_some(self.vectors, part.rows, part.honest, *dealt)
            for group, workers in zip(self.key.bad, part.bad, strict=True):
                given = self._attack(b, call, group, workers)
                rows = np.zeros(len(workers), dtype=np.int64) if len(given) < len(workers) else np.arange(len(workers))
                _add_some(given, rows, workers, *dealt)

    @cached_property
    def _parts(self) -> list[_Parts]:
        """Who is honest, and who is bad, of every run; empty where nobody is bad."""
        if self.roles is None:
            return []
        numbers = range(len(self.key.bad))
        return [
            _Parts(honest := np.flatnonzero(groups < 0), rows[honest], [np.flatnonzero(groups == g) for g in numbers])
            for groups, rows in zip(self.roles.groups, self.rows, strict=True)
        ]

    def _attack(self, b: int, call: ShardRequest, group: BadGroup, workers: NDArray[np.int64]) -> NDArray[np.float64]:
        """What these bad workers contribute: float64[m, d], or float64[1, d] where it is the same for all."""
        assert self.roles is not None, "nobody is bad"  # noqa: S101
        some = workers[:1] if group.is_alike(call.round) else workers
        members = replace(
            self._members(b, call, self.rows[b, some], self.roles.operators[b, some]),
            weights=call.weights[b, some].astype(np.float64),
            strength=group.scale,
            n_workers=self.key.n_workers,
            n_bad=self.key.n_bad,
        )
        return contributed(group, members, some + self._places[0])

    def _contributed(self, b: int, call: ShardRequest) -> Contributed:
        return Contributed(
            run=b,
            given=self._given(b, call),
            places=np.arange(*self._places),
            assignment=call.assignment[b],
            weights=call.weights[b],
            n_groups=call.n_groups,
            chunk_size=self.place.chunk_size,
            bad=np.zeros(self.rows.shape[1], dtype=np.bool_) if self.roles is None else self.roles.bad[b],
        )

    def _members(
        self,
        b: int,
        call: ShardRequest,
        rows: NDArray[np.int64] | None = None,
        places: NDArray[np.int64] | None = None,
    ) -> Members:
        rows = self.rows[b] if rows is None else rows
        vectors, model = self.vectors[rows], call.models[b].view()
        vectors.flags.writeable = model.flags.writeable = False
        return Members(
            seed=int(self.key.seeds[b]),
            run=int(self.key.runs[b]),
            round=call.round,
            places=np.arange(*self._places) if places is None else places,
            ids=self.people[rows],
            vectors=vectors,
            model=model,
            facts={name: fact[b] for name, fact in call.facts.items()},
        )


@dataclass(frozen=True)
class ShardSpec:
    """What a shard is built of, wherever it shall live: small where people are drawn by a key.

    Attributes:
        vectors: gives float64[N, d].
        people, rows, place, key, roles: as a `Shard`'s.
    """

    vectors: Callable[[], NDArray[np.float64]]
    people: NDArray[np.int64]
    rows: NDArray[np.int64]
    place: Place
    key: Key
    roles: Roles | None = None

    def build(self) -> Shard:
        """The shard."""
        return Shard(self.vectors(), self.people, self.rows, self.place, self.key, self.roles)


def count_chunks(n_workers: int, chunk_size: int) -> int:
    """Chunks of a crowd: ⌈n / chunk_size⌉."""
    return -(-n_workers // chunk_size)


@numba.njit(cache=True)
def _chunk_sums(
    vectors: NDArray[np.float64],
    rows: NDArray[np.int64],
    assignment: NDArray[np.integer],
    weights: NDArray[np.float64 | np.uint16],
    chunk_size: int,
    sums: NDArray[np.float64],
) -> None:
    # compiled for each type that travels: to widen them first would cost what they save
    d = vectors.shape[1]
    for b in range(rows.shape[0]):
        for i in range(rows.shape[1]):
            total = sums[b, i // chunk_size, assignment[b, i]]
            weight = np.float64(weights[b, i])
            row = rows[b, i]
            for j in range(d):
                total[j] += weight * vectors[row, j]
            total[d] += weight


@numba.njit(cache=True)
def _add_some(
    vectors: NDArray[np.float64],
    rows: NDArray[np.int64],
    workers: NDArray[np.int64],
    assignment: NDArray[np.integer],
    weights: NDArray[np.float64 | np.uint16],
    chunk_size: int,
    sums: NDArray[np.float64],
) -> None:
    d = vectors.shape[1]
    for k in range(workers.shape[0]):
        i = workers[k]
        total = sums[i // chunk_size, assignment[i]]
        weight = np.float64(weights[i])
        row = rows[k]
        for j in range(d):
            total[j] += weight * vectors[row, j]
        total[d] += weight
