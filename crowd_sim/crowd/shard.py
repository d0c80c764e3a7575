"""A shard: consecutive chunks of every run's crowd, and what it contributes to a round."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numba
import numpy as np
from numpy.typing import NDArray

from crowd_sim.crowd.folding import Subtrees, fold_shard


@dataclass(frozen=True)
class Shard:
    """The workers of some chunks, for B runs.

    Attributes:
        vectors: float64[N, d], the people the runs draw from (or those of them that this shard needs).
        rows: int64[B, m], the row in `vectors` of each of the shard's m workers.
        chunk_size: workers per chunk; the last chunk of the whole crowd may be smaller.
        first_chunk: index of the shard's first chunk in the whole crowd.
        n_chunks: chunks of the whole crowd.
    """

    vectors: NDArray[np.float64]
    rows: NDArray[np.int64]
    chunk_size: int
    first_chunk: int
    n_chunks: int

    def group_sums(self, assignment: NDArray[np.int64], weights: NDArray[np.float64], n_groups: int) -> Subtrees:
        """Per group the sum of weight × vector and, in the last column, of the weights.

        Args:
            assignment: int64[B, m], each worker's group.
            weights: float64[B, m], each worker's weight.
            n_groups: K.

        Returns:
            Subtrees of float64[B, K, d + 1]; `fold_shards` makes the whole crowd's sums of them.
        """
        chunks = -(-self.rows.shape[1] // self.chunk_size)
        sums = np.zeros((len(self.rows), chunks, n_groups, self.vectors.shape[1] + 1))
        _chunk_sums(self.vectors, self.rows, assignment, weights, self.chunk_size, sums)
        return fold_shard(sums, self.first_chunk, self.n_chunks)


def count_chunks(n_workers: int, chunk_size: int) -> int:
    """Chunks of a crowd: ⌈n / chunk_size⌉."""
    return -(-n_workers // chunk_size)


def cut(n_chunks: int, n_shards: int) -> list[tuple[int, int]]:
    """Consecutive ranges (first chunk, chunk after the last) for the shards, sizes as equal as possible; none is empty."""
    n_shards = min(n_shards, n_chunks)
    bounds = [n_chunks * i // n_shards for i in range(n_shards + 1)]
    return list(pairwise(bounds))


@numba.njit(cache=True)
def _chunk_sums(
    vectors: NDArray[np.float64],
    rows: NDArray[np.int64],
    assignment: NDArray[np.int64],
    weights: NDArray[np.float64],
    chunk_size: int,
    sums: NDArray[np.float64],
) -> None:
    d = vectors.shape[1]
    for b in range(rows.shape[0]):
        for i in range(rows.shape[1]):
            total = sums[b, i // chunk_size, assignment[b, i]]
            weight = weights[b, i]
            row = rows[b, i]
            for j in range(d):
                total[j] += weight * vectors[row, j]
            total[d] += weight
