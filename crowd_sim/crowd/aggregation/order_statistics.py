"""Order statistics of what a group's members contribute, coordinate by coordinate, exact and in folded passes.

By bisection: of two numbers that members contributed, between which the wanted one is, one pass counts the members, or their
weights, up to the middle, and another finds the members' numbers on either side of it, which are the next two. So the result is
a number that a member contributed, to the last bit, and the same for any shards: counts are whole, weights are folded in the
tree of chunks, and the largest of numbers is the largest in any order. The middle is by turns that of the numbers and that of
their bits (float64s are ordered as the integers that their bits make), so that neither numbers of different sizes nor
distant outliers take more than some 64 halvings; 10 to 20 are usual.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

from crowd_sim.crowd.passes import Contributed, Fold
from crowd_sim.crowd.protocol import Crowd
from crowd_sim.tournament.request import RoundRequest

_SIGN = np.uint64(1 << 63)


def totals(crowd: Crowd, asked: RoundRequest) -> NDArray[np.float64]:
    """Of each group the sum of weights and the number of members with a weight above 0: float64[B, K, 2]."""
    return crowd.fold(asked, _Totals())


def order_statistics(
    crowd: Crowd, asked: RoundRequest, places: NDArray[np.float64], strict: tuple[bool, ...], *, weighted: bool
) -> NDArray[np.float64]:
    """The smallest numbers up to which as much is counted as asked: float64[B, K, d, Q]; of empty groups anything.

    Members of weight 0 do not count.

    Args:
        crowd: who contributes.
        asked: to what.
        places: float64[B, K, Q], how much has to be counted.
        strict: of each of the Q, whether it has to be more than that.
        weighted: whether weights are counted, not members.
    """
    shape = (*places.shape[:2], asked.models.shape[1], places.shape[2])
    high, low = _neighbours(crowd, asked, np.full(shape, np.inf), np.full(shape, -np.inf))
    wanted, turn = np.broadcast_to(places[:, :, None, :], shape), 0
    while (going := low < high).any():
        middle = np.where(going, (_middle if turn % 2 else _middle_of_bits)(low, high), low)
        counts = crowd.fold(asked, _Counts(middle, weighted))
        enough = np.where(strict, counts > wanted, counts >= wanted)
        below, above = _neighbours(crowd, asked, middle, middle)
        high, low = np.where(going & enough, below, high), np.where(going & ~enough, above, low)
        turn += 1
    return low


def _neighbours(
    crowd: Crowd, asked: RoundRequest, upto: NDArray[np.float64], beyond: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The members' largest number that is at most `upto` and the least above `beyond`; 0 where there is none."""
    found = crowd.fold(asked, _Neighbours(upto, beyond))
    found = np.where(np.isfinite(found), found, 0.0)
    return found[..., 0] + 0.0, 0.0 - found[..., 1]  # never −0


def _middle(low: NDArray[np.float64], high: NDArray[np.float64]) -> NDArray[np.float64]:
    """From `low` to below `high`."""
    middle = low + (high - low) / 2
    return np.where(middle < high, middle, low)


def _middle_of_bits(low: NDArray[np.float64], high: NDArray[np.float64]) -> NDArray[np.float64]:
    first, last = _ordered(low), _ordered(high)
    bits = np.where(low < high, first + (last - first) // np.uint64(2), first)
    return np.where(bits & _SIGN, bits ^ _SIGN, ~bits).view(np.float64)


def _ordered(numbers: NDArray[np.float64]) -> NDArray[np.uint64]:
    """Integers in the order of the numbers; 0 and −0 are one."""
    bits = (numbers + 0.0).view(np.uint64)
    return np.where(bits & _SIGN, ~bits, bits | _SIGN)


@dataclass(frozen=True)
class _Totals:
    fold: Fold = "add"

    def of(self, part: Contributed) -> NDArray[np.float64]:
        weights = part.weights.astype(np.float64)
        return part.sums(np.column_stack([weights, weights > 0]))


@dataclass(frozen=True, eq=False)
class _Counts:
    """What is counted of members with at most `upto` float64[B, K, d, Q]."""

    upto: NDArray[np.float64]
    weighted: bool
    fold: Fold = "add"

    def of(self, part: Contributed) -> NDArray[np.float64]:
        """float64[chunks, K, d, Q]."""
        upto = self.upto[part.run]
        out = np.zeros((part.n_chunks, *upto.shape))
        _count(part.given, part.assignment, part.weights, part.chunk_size, upto, self.weighted, out)
        return out


@dataclass(frozen=True, eq=False)
class _Neighbours:
    """Members' largest numbers up to `upto`, and their least beyond `beyond` with the sign turned; float64[B, K, d, Q]."""

    upto: NDArray[np.float64]
    beyond: NDArray[np.float64]
    fold: Fold = "maximum"

    def of(self, part: Contributed) -> NDArray[np.float64]:
        """float64[1, K, d, Q, 2]."""
        upto = self.upto[part.run]
        out = np.full((*upto.shape, 2), -np.inf)
        _extremes(part.given, part.assignment, part.weights, upto, self.beyond[part.run], out)
        return out[None]


@numba.njit(cache=True)
def _count(
    given: NDArray[np.float64],
    assignment: NDArray[np.integer],
    weights: NDArray[np.float64 | np.uint16],
    chunk_size: int,
    upto: NDArray[np.float64],
    weighted: bool,
    out: NDArray[np.float64],
) -> None:
    for i in range(len(given)):
        if not weights[i] > 0:
            continue
        weight = np.float64(weights[i]) if weighted else np.float64(1.0)
        bounds, total = upto[assignment[i]], out[i // chunk_size, assignment[i]]
        for j in range(given.shape[1]):
            for q in range(bounds.shape[1]):
                if given[i, j] <= bounds[j, q]:
                    total[j, q] += weight


@numba.njit(cache=True)
def _extremes(
    given: NDArray[np.float64],
    assignment: NDArray[np.integer],
    weights: NDArray[np.float64 | np.uint16],
    upto: NDArray[np.float64],
    beyond: NDArray[np.float64],
    out: NDArray[np.float64],
) -> None:
    for i in range(len(given)):
        if not weights[i] > 0:
            continue
        k = assignment[i]
        for j in range(given.shape[1]):
            number = given[i, j]
            for q in range(out.shape[2]):
                if number <= upto[k, j, q]:
                    out[k, j, q, 0] = max(out[k, j, q, 0], number)
                if number > beyond[k, j, q]:
                    out[k, j, q, 1] = max(out[k, j, q, 1], -number)
