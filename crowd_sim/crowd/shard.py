"""A shard: consecutive chunks of every run's crowd, and what it contributes to a round."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

from crowd_sim.crowd.behaviours import HONEST, Members, contributions
from crowd_sim.crowd.folding import Subtrees, fold_shard
from crowd_sim.crowd.groups import Groups


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
    """

    behaviour: str
    seeds: NDArray[np.uint64]
    runs: NDArray[np.uint64]


@dataclass(frozen=True)
class Call:
    """What a round asks of a shard, for B runs.

    Attributes:
        round: its number, from 1.
        models: float64[B, d], from which the round starts.
        assignment: int64[B, m], each worker's group; of a smaller type where it travels.
        weights: float64[B, m], each worker's weight; uint16 where it travels and that loses nothing.
        n_groups: K.
    """

    round: int
    models: NDArray[np.float64]
    assignment: NDArray[np.integer]
    weights: NDArray[np.float64 | np.uint16]
    n_groups: int


@dataclass(frozen=True)
class Request:
    """What a round asks of the whole crowd, for B runs.

    Attributes:
        round, models, n_groups: as a `Call`'s.
        groups: of every worker.
        weights: float64[B, n], every worker's weight.
    """

    round: int
    models: NDArray[np.float64]
    groups: Groups
    weights: NDArray[np.float64]
    n_groups: int

    def of_everyone(self) -> Call:
        """The call for all workers."""
        return Call(self.round, self.models, self.groups.of_everyone(), self.weights, self.n_groups)

    def of(self, members: slice) -> Call:
        """The call for some of the workers, as small as it gets without a loss: sending it costs more than anything in it."""
        kind = np.min_scalar_type(self.n_groups - 1)
        assignment, weights = self.groups.of(members).astype(kind), _narrowed(self.weights[:, members])
        return Call(self.round, self.models, assignment, weights, self.n_groups)


@dataclass(frozen=True)
class Shard:
    """The workers of some chunks, for B runs.

    Attributes:
        vectors: float64[N, d], the people the runs draw from (or those of them that this shard needs).
        people: int64[N], their rows in the source.
        rows: int64[B, m], the row in `vectors` of each of the shard's m workers.
        place: in the whole crowd.
        key: behaviour and random streams.
    """

    vectors: NDArray[np.float64]
    people: NDArray[np.int64]
    rows: NDArray[np.int64]
    place: Place
    key: Key

    def group_sums(self, call: Call) -> Subtrees:
        """Per group the sum of weight × contribution and, in the last column, of the weights.

        Returns:
            Subtrees of float64[B, K, d + 1]; `fold_shards` makes the whole crowd's sums of them.

        Raises:
            StrategyError: the behaviour raised.
            InputError: the behaviour returned what cannot be summed.
        """
        chunks = count_chunks(self.rows.shape[1], self.place.chunk_size)
        sums = np.zeros((len(self.rows), chunks, call.n_groups, self.vectors.shape[1] + 1))
        if self.key.behaviour == HONEST:
            _chunk_sums(self.vectors, self.rows, call.assignment, call.weights, self.place.chunk_size, sums)
        else:
            everyone = np.arange(self.rows.shape[1])[None]
            for b in range(len(self.rows)):
                given = contributions(self.key.behaviour, self._members(b, call))
                one = slice(b, b + 1)
                _chunk_sums(given, everyone, call.assignment[one], call.weights[one], self.place.chunk_size, sums[one])
        return fold_shard(sums, self.place.first_chunk, self.place.n_chunks)

    def _members(self, b: int, call: Call) -> Members:
        rows = self.rows[b]
        first = self.place.first_chunk * self.place.chunk_size
        vectors, model = self.vectors[rows], call.models[b].view()
        vectors.flags.writeable = model.flags.writeable = False
        return Members(
            seed=int(self.key.seeds[b]),
            run=int(self.key.runs[b]),
            round=call.round,
            places=np.arange(first, first + len(rows)),
            ids=self.people[rows],
            vectors=vectors,
            model=model,
        )


@dataclass(frozen=True)
class Origin:
    """What a shard is built of, wherever it shall live: small where people are drawn by a key.

    Attributes:
        vectors: gives float64[N, d].
        people, rows, place, key: as a `Shard`'s.
    """

    vectors: Callable[[], NDArray[np.float64]]
    people: NDArray[np.int64]
    rows: NDArray[np.int64]
    place: Place
    key: Key

    def build(self) -> Shard:
        """The shard."""
        return Shard(self.vectors(), self.people, self.rows, self.place, self.key)


def count_chunks(n_workers: int, chunk_size: int) -> int:
    """Chunks of a crowd: ⌈n / chunk_size⌉."""
    return -(-n_workers // chunk_size)


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
