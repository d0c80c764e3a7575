"""Sums over a crowd that do not depend on how the crowd is cut into shards.

Floating-point addition is not associative, so the order of addition is fixed by the data alone: chunks are the leaves of a
binary tree over their indices, and only siblings are added, left to right. A shard adds up what lies wholly inside it and
hands on the few subtrees that remain (at most two per level); whoever holds all shards finishes the tree.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

PartialSums = dict[tuple[int, int], NDArray[np.float64]]
"""Partial sums by (level, index): node i of level l covers the chunks i·2^l to (i + 1)·2^l − 1."""


def fold_shard(chunk_sums: NDArray[np.float64], first_chunk: int, n_chunks: int) -> PartialSums:
    """The subtrees of consecutive chunks.

    Args:
        chunk_sums: float64[B, c, ...], the sums of chunks first_chunk to first_chunk + c − 1.
        first_chunk: index of the first of them in the whole crowd.
        n_chunks: chunks of the whole crowd.

    Returns:
        The roots that cover these chunks and no other, each float64[B, ...].
    """
    remaining: PartialSums = {}
    level, start, sums, count = 0, first_chunk, chunk_sums, n_chunks
    while sums.shape[1]:
        if count == 1:
            remaining[level, 0] = sums[:, 0]
            break
        if start % 2:
            remaining[level, start] = sums[:, 0]
            start, sums = start + 1, sums[:, 1:]
        stop = start + sums.shape[1]
        last = sums[:, -1:] if stop % 2 and sums.shape[1] else sums[:, :0]
        if last.shape[1] and stop != count:
            remaining[level, stop - 1] = last[:, 0]
            last = last[:, :0]
        pairs = sums.shape[1] // 2
        merged = sums[:, 0 : 2 * pairs : 2] + sums[:, 1 : 2 * pairs : 2]
        # the very last chunk of an odd level has no sibling and moves up as it is
        sums = np.concatenate([merged, last], axis=1) if last.shape[1] else merged
        level, start, count = level + 1, start // 2, (count + 1) // 2
    return remaining


def fold_shards(shards: Iterable[PartialSums], n_chunks: int) -> NDArray[np.float64]:
    """The sum over all chunks, from the subtrees of all shards: float64[B, ...]."""
    nodes: PartialSums = {key: value for shard in shards for key, value in shard.items()}
    level, count = 0, n_chunks
    while count > 1:
        for index in sorted(i for at, i in nodes if at == level):
            if index % 2 and (level, index - 1) in nodes:
                nodes[level + 1, index // 2] = nodes.pop((level, index - 1)) + nodes.pop((level, index))
            elif index == count - 1 and not index % 2:
                nodes[level + 1, index // 2] = nodes.pop((level, index))
        level, count = level + 1, (count + 1) // 2
    (total,) = nodes.values()
    return total


def split_evenly(n_chunks: int, n_shards: int) -> list[tuple[int, int]]:
    """Consecutive ranges (first chunk, chunk after the last) for the shards, sizes as equal as possible; none is empty."""
    n_shards = min(n_shards, n_chunks)
    bounds = [n_chunks * i // n_shards for i in range(n_shards + 1)]
    return list(pairwise(bounds))
