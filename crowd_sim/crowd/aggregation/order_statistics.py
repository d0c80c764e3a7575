"""Order statistics of what a group's members contribute, coordinate by coordinate, exact and in folded passes.

A number is found by its bits, as a radix sort does it: float64s are ordered as the 64-bit integers that their bits make (once
the negative ones are turned round), each pass counts how many members have which next four bits among those that have the
bits found so far, and sixteen passes find all. What is counted are members, whole numbers, or their weights, whose sums are
folded in the tree of chunks. The result is a number that a member contributed, to the last bit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

from crowd_sim.crowd.aggregation.base import Contributors
from crowd_sim.crowd.passes import Contributed, Fold
from crowd_sim.tournament.request import RoundRequest

_BITS = 4
_SIGN = np.uint64(1 << 63)


@dataclass(frozen=True, eq=False)
class Statistic:
    """Numbers at some places in the order.

    Attributes:
        values: float64[B, K, d, Q].
        below: [B, K, d, Q], what is counted of members with less.
        equal: [B, K, d, Q], of members with exactly this.
    """

    values: NDArray[np.float64]
    below: NDArray[np.float64]
    equal: NDArray[np.float64]


def totals(crowd: Contributors, asked: RoundRequest) -> NDArray[np.float64]:
    """Of each group the sum of weights and the number of members with a weight above 0: float64[B, K, 2]."""
    return crowd.fold(asked, _Totals())


def order_statistics(
    crowd: Contributors, asked: RoundRequest, places: NDArray[np.float64], strict: tuple[bool, ...], *, weighted: bool
) -> Statistic:
    """The smallest numbers up to which as much is counted as asked.

    Members of weight 0 do not count.

    Args:
        crowd: who contributes.
        asked: to what.
        places: float64[B, K, Q], how much has to be counted.
        strict: of each of the Q, whether it has to be more than that.
        weighted: whether weights are counted, not members.
    """
    d = asked.models.shape[1]
    shape = (*places.shape[:2], d, places.shape[2])
    found, below = np.zeros(shape, dtype=np.uint64), np.zeros(shape)
    wanted = np.broadcast_to(places[:, :, None, :], shape)
    equal = np.zeros(shape)
    for shift in range(64 - _BITS, -1, -_BITS):
        counts = crowd.fold(asked, _NextBits(found, shift, weighted))
        upto = below[..., None] + np.cumsum(counts, axis=-1)
        enough = np.where(np.array(strict)[:, None], upto > wanted[..., None], upto >= wanted[..., None])
        # where rounding leaves too little in all, the last that is there; an empty group finds anything
        last = counts.shape[-1] - 1 - (counts[..., ::-1] > 0).argmax(axis=-1)
        digit = np.where(enough.any(axis=-1), enough.argmax(axis=-1), last)[..., None]
        equal = np.take_along_axis(counts, digit, axis=-1)[..., 0]
        below = np.where(digit[..., 0] > 0, np.take_along_axis(upto, np.maximum(digit - 1, 0), axis=-1)[..., 0], below)
        found = found | (digit[..., 0].astype(np.uint64) << np.uint64(shift))
    return Statistic(_numbers(found), below, equal)


def _numbers(bits: NDArray[np.uint64]) -> NDArray[np.float64]:
    return np.where(bits & _SIGN, bits ^ _SIGN, ~bits).view(np.float64)


@dataclass(frozen=True)
class _Totals:
    fold: Fold = "add"

    def of(self, part: Contributed) -> NDArray[np.float64]:
        weights = part.weights.astype(np.float64)
        return part.sums(np.column_stack([weights, weights > 0]))


@dataclass(frozen=True, eq=False)
class _NextBits:
    """What is counted by the next bits of those that have the bits `found` uint64[B, K, d, Q] above them."""

    found: NDArray[np.uint64]
    shift: int
    weighted: bool
    fold: Fold = "add"

    def of(self, part: Contributed) -> NDArray[np.float64]:
        """float64[chunks, K, d, Q, 16]."""
        found = self.found[part.run]
        out = np.zeros((part.n_chunks, *found.shape, 1 << _BITS))
        _count(
            part.given, part.assignment, part.weights, part.chunk_size, found, np.uint64(self.shift), self.weighted, out
        )
        return out


@numba.njit(cache=True)
def _count(
    given: NDArray[np.float64],
    assignment: NDArray[np.integer],
    weights: NDArray[np.float64 | np.uint16],
    chunk_size: int,
    found: NDArray[np.uint64],
    shift: np.uint64,
    weighted: bool,
    out: NDArray[np.float64],
) -> None:
    bits = given.view(np.uint64)
    sign, mask, width = np.uint64(1) << np.uint64(63), np.uint64(15), np.uint64(4)
    for i in range(len(given)):
        if not weights[i] > 0:
            continue
        weight = np.float64(weights[i]) if weighted else np.float64(1.0)
        group = assignment[i]
        for j in range(given.shape[1]):
            key = bits[i, j]
            if given[i, j] == 0.0:
                key = sign  # 0 and −0 are the same number
            elif key & sign:
                key = ~key
            else:
                key |= sign
            digit = np.int64((key >> shift) & mask)
            # a shift by all 64 bits is undefined: in the first pass everyone is among those that are looked at
            above = np.uint64(0) if shift == np.uint64(60) else (key >> (shift + width))
            for q in range(found.shape[2]):
                known = found[group, j, q]
                if above == (np.uint64(0) if shift == np.uint64(60) else (known >> (shift + width))):
                    out[i // chunk_size, group, j, q, digit] += weight
