"""Groupings: who tunes together in a round. Source: Crowd-SFT (arXiv 2506.04063), section on grouping.

A grouping takes points float64[B, n], the number of groups K, the round's `RoundStreams` and the number of rounds, and returns
for every run the group of every worker: `Groups` of int64[B, n] with values 0..K−1.
"""

from __future__ import annotations

from collections.abc import Callable

import numba
import numpy as np
from numpy.typing import NDArray

from crowd_sim.random import Purpose
from crowd_sim.tournament.groups import Groups
from crowd_sim.tournament.streams import RoundStreams

Grouping = Callable[[NDArray[np.float64], int, RoundStreams, int], Groups]

# epsilon_greedy never explores less often than this
_MINIMUM_EXPLORATION = 0.4

# bounds that are compared with faster one by one than by halves, whose branches nobody can foresee
_FEW = 16


def random(points: NDArray[np.float64], n_groups: int, draws: RoundStreams, rounds: int) -> Groups:
    """A random permutation cut into K parts, sizes as equal as possible, the first ones larger."""
    del rounds
    return _cut(draws.uniforms(Purpose.GROUPING, points.shape[1]), n_groups)


def epsilon_greedy(points: NDArray[np.float64], n_groups: int, draws: RoundStreams, rounds: int) -> Groups:
    """With probability max(0.4, 1 − t/R) random, else ordered by points, ascending, and cut; t = 0 in the first round.

    Workers with equal points keep their order.
    """
    epsilon = max(_MINIMUM_EXPLORATION, 1 - (draws.round - 1) / rounds)
    explore = draws.uniforms(Purpose.EXPLORE, 1) < epsilon
    # what is drawn for a run that does not explore is never looked at: its stream has no other reader
    return _cut(np.where(explore, draws.uniforms(Purpose.GROUPING, points.shape[1]), points), n_groups)


def interleaved(points: NDArray[np.float64], n_groups: int, draws: RoundStreams, rounds: int) -> Groups:
    """Ordered by points, cut into a lower half of ⌊n/2⌋ and an upper half, each shuffled and dealt round-robin.

    Both halves are dealt from the first group on. With K > ⌈n/2⌉ that would leave the last groups empty, so the upper half is
    dealt from where the lower one has ended.
    """
    del rounds
    assignment = np.empty(points.shape, dtype=np.int64)
    _deal_halves(_order(points), draws.uniforms(Purpose.GROUPING, points.shape[1]), n_groups, assignment)
    return Groups(assignment)


def _order(points: NDArray[np.float64]) -> NDArray[np.int64]:
    """Each row's places in the order of its points, equal ones as they stand."""
    if points.size and points.min() >= 0 and points.max() < 2**16:
        small = points.astype(np.uint16)
        if (small == points).all():  # ranks add up to these, and NumPy sorts them by digits
            return np.argsort(small, axis=1, kind="stable")
    return np.argsort(points, axis=1, kind="stable")


@numba.njit(cache=True)
def _deal_halves(order: NDArray[np.int64], keys: NDArray[np.float64], n_groups: int, out: NDArray[np.int64]) -> None:
    """out[b, i]: the group of worker i when the halves of order[b] are shuffled by their keys in [0, 1) and dealt."""
    n = order.shape[1]
    half = n // 2
    upper = half if n_groups > n - half else 0
    for b in range(order.shape[0]):
        for low, size, first in ((0, half, 0), (half, n - half, upper)):
            # as many buckets as keys all but sort them; insertion, which keeps equal keys as they stand, does the rest
            stops = np.zeros(size + 1, dtype=np.int64)
            buckets, shuffled = np.empty(size, dtype=np.int64), np.empty(size, dtype=np.int64)
            for j in range(size):
                buckets[j] = min(int(keys[b, low + j] * size), size - 1)
                stops[buckets[j] + 1] += 1
            for bucket in range(size):
                stops[bucket + 1] += stops[bucket]
            for j in range(size):
                shuffled[stops[buckets[j]]] = j
                stops[buckets[j]] += 1
            for i in range(1, size):
                j, place = shuffled[i], i
                while place > 0 and keys[b, low + shuffled[place - 1]] > keys[b, low + j]:
                    shuffled[place] = shuffled[place - 1]
                    place -= 1
                shuffled[place] = j
            for i in range(size):
                out[b, order[b, low + shuffled[i]]] = (first + i) % n_groups


def _cut(keys: NDArray[np.float64], n_groups: int) -> Groups:
    """The group of every worker when each row, ordered by keys (equal ones as they stand), is cut into K parts."""
    n = keys.shape[1]
    size, larger = divmod(n, n_groups)
    stops = np.cumsum(size + (np.arange(n_groups) < larger))
    # to know the first key of each part is enough: a whole order would take several times as long
    firsts = stops[:-1]
    parts = np.partition(keys, firsts, axis=1)
    bounds = parts[:, firsts]
    below = np.empty(bounds.shape, dtype=np.int64)
    _count_below(parts, firsts, below)
    seen, dealt = np.zeros(bounds.shape, dtype=np.int64), np.empty(keys.shape, dtype=np.int64)

    def deal(start: int, stop: int) -> None:
        _deal(keys, bounds, below, stops, start, stop, seen, dealt)

    return Groups(dealt, deal)


@numba.njit(cache=True)
def _count_below(parts: NDArray[np.float64], firsts: NDArray[np.int64], below: NDArray[np.int64]) -> None:
    """below[b, k]: how many keys of row b are less than its bound k, the key at `firsts[k]`."""
    for b in range(parts.shape[0]):
        start = 0  # what comes before it is less than the bound
        for k in range(len(firsts)):
            bound = parts[b, firsts[k]]
            if k > 0 and bound != parts[b, firsts[k - 1]]:
                start = firsts[k - 1]
            equal = 0
            for i in range(start, firsts[k]):
                equal += parts[b, i] == bound
            below[b, k] = firsts[k] - equal


@numba.njit(cache=True)
def _deal(
    keys: NDArray[np.float64],
    bounds: NDArray[np.float64],
    below: NDArray[np.int64],
    stops: NDArray[np.int64],
    start: int,
    stop: int,
    seen: NDArray[np.int64],
    out: NDArray[np.int64],
) -> None:
    """out[b, i], from `start` to `stop`: the part in which key i of row b comes.

    `bounds`: the first key of each part but the first; `below`: how many keys are less; `seen`: of how many that equal
    it the part is known, counted on.
    """
    for b in range(keys.shape[0]):
        for i in range(start, stop):
            key, part = keys[b, i], 0
            if bounds.shape[1] <= _FEW:
                for k in range(bounds.shape[1]):
                    part += key >= bounds[b, k]
            else:
                part = np.searchsorted(bounds[b], key, side="right")
            if part > 0 and key == bounds[b, part - 1]:
                # the first of those that equal a bound may still belong to the parts before it
                position = below[b, part - 1] + seen[b, part - 1]
                seen[b, part - 1] += 1
                while part > 0 and stops[part - 1] > position:
                    part -= 1
            out[b, i] = part


GROUPINGS: dict[str, Grouping] = {"random": random, "epsilon_greedy": epsilon_greedy, "interleaved": interleaved}
