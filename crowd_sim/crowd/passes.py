"""Passes over what a crowd contributes in a round: whatever is to be known of all contributions beyond their weighted sums.

A pass travels to every shard, which answers with a row of numbers per chunk; these are folded over the whole crowd, sums in
the tree of `crowd_sim.crowd.reduction`, so that the result has the same bits however the crowd is cut into shards. A defence or
an attack that needs several rounds of questions (a geometric median, a bisection) asks for several passes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numba
import numpy as np
from numpy.typing import NDArray

from crowd_sim.crowd.reduction import PartialSums, fold_shard, fold_shards

Fold = Literal["add", "minimum", "maximum"]


@dataclass(frozen=True, eq=False)
class Contributed:
    """What the m workers of a shard contribute in one run and round.

    Attributes:
        run: number of the run in the batch.
        given: float64[m, d].
        places: int64[m], numbers of the workers in their run.
        assignment: int[m], their groups.
        weights: [m], their weights.
        n_groups: K.
        chunk_size: workers per chunk; the shard begins with a whole one.
        bad: bool[m], who is bad; empty where nobody is.
    """

    run: int
    given: NDArray[np.float64]
    places: NDArray[np.int64]
    assignment: NDArray[np.integer]
    weights: NDArray[np.float64 | np.uint16]
    n_groups: int
    chunk_size: int
    bad: NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, dtype=np.bool_))

    @property
    def n_chunks(self) -> int:
        """Chunks of the shard."""
        return -(-len(self.given) // self.chunk_size)

    def sums(self, rows: NDArray[np.float64], counted: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
        """Sums by chunk and group of float64[m, c], in order of place: float64[chunks, K, c].

        Args:
            rows: what is added up.
            counted: bool[m], whose rows are; absent: everyone's.
        """
        out = np.zeros((self.n_chunks, self.n_groups, rows.shape[1]))
        # a group of −1 for those left out would be one of 255 where assignments travel as uint8
        everyone = np.empty(0, dtype=np.bool_)
        _add_by_group(rows, self.assignment, everyone if counted is None else counted, self.chunk_size, out)
        return out


class Pass(Protocol):
    """A question to every shard. Small: it travels."""

    @property
    def fold(self) -> Fold:
        """How the rows of chunks become one."""

    def of(self, part: Contributed) -> NDArray[np.float64]:
        """What a shard answers for one run: float64[chunks, ...]."""


def folded(chunks: NDArray[np.float64], fold: Fold, first_chunk: int, n_chunks: int) -> PartialSums:
    """What leaves a shard, of its chunks' rows float64[B, c, ...]."""
    if fold == "add":
        return fold_shard(chunks, first_chunk, n_chunks)
    return {(0, first_chunk): _REDUCTIONS[fold].reduce(chunks, axis=1)}


def fold_parts(parts: Iterable[PartialSums], fold: Fold, n_chunks: int) -> NDArray[np.float64]:
    """The result for the whole crowd, of what has left all shards: float64[B, ...]."""
    if fold == "add":
        return fold_shards(parts, n_chunks)
    return _REDUCTIONS[fold].reduce([value for part in parts for value in part.values()], axis=0)


_REDUCTIONS: Mapping[str, np.ufunc] = {"minimum": np.minimum, "maximum": np.maximum}


@numba.njit(cache=True)
def _add_by_group(
    rows: NDArray[np.float64],
    groups: NDArray[np.integer],
    counted: NDArray[np.bool_],
    chunk_size: int,
    out: NDArray[np.float64],
) -> None:
    for i in range(rows.shape[0]):
        if not len(counted) or counted[i]:
            total = out[i // chunk_size, groups[i]]
            for j in range(rows.shape[1]):
                total[j] += rows[i, j]
