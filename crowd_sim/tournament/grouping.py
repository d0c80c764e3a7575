"""Groupings: who tunes together in a round. Source: Crowd-SFT (arXiv 2506.04063), section on grouping.

A grouping takes points float64[B, n], the number of groups K, the round's `Draws` and the number of rounds, and returns
for every run the group of every worker: int64[B, n] with values 0..K−1.
"""

from __future__ import annotations

from collections.abc import Callable

import numba
import numpy as np
from numpy.typing import NDArray

from crowd_sim.random import Purpose
from crowd_sim.tournament.draws import Draws

Grouping = Callable[[NDArray[np.float64], int, Draws, int], NDArray[np.int64]]

# epsilon_greedy never explores less often than this
_MINIMUM_EXPLORATION = 0.4


def random(points: NDArray[np.float64], n_groups: int, draws: Draws, rounds: int) -> NDArray[np.int64]:
    """A random permutation cut into K parts, sizes as equal as possible, the first ones larger."""
    del rounds
    return _cut(draws.uniforms(Purpose.GROUPING, points.shape[1]), n_groups)


def epsilon_greedy(points: NDArray[np.float64], n_groups: int, draws: Draws, rounds: int) -> NDArray[np.int64]:
    """With probability max(0.4, 1 − t/R) random, else ordered by points, ascending, and cut; t = 0 in the first round.

    Workers with equal points keep their order.
    """
    epsilon = max(_MINIMUM_EXPLORATION, 1 - (draws.round - 1) / rounds)
    explore = draws.uniforms(Purpose.EXPLORE, 1) < epsilon
    # what is drawn for a run that does not explore is never looked at: its stream has no other reader
    return _cut(np.where(explore, draws.uniforms(Purpose.GROUPING, points.shape[1]), points), n_groups)


def interleaved(points: NDArray[np.float64], n_groups: int, draws: Draws, rounds: int) -> NDArray[np.int64]:
    """Ordered by points, cut into a lower half of ⌊n/2⌋ and an upper half, each shuffled and dealt round-robin.

    Both halves are dealt from the first group on, so with K > ⌈n/2⌉ the last groups stay empty.
    """
    del rounds
    n = points.shape[1]
    half = n // 2
    order = np.argsort(points, axis=1, kind="stable")
    keys = draws.uniforms(Purpose.GROUPING, n)
    shuffled = np.concatenate(
        [
            np.take_along_axis(order[:, part], np.argsort(keys[:, part], axis=1, kind="stable"), axis=1)
            for part in (slice(0, half), slice(half, n))
        ],
        axis=1,
    )
    dealt = np.concatenate([np.arange(half), np.arange(n - half)]) % n_groups
    return _scatter(shuffled, dealt)


def _cut(keys: NDArray[np.float64], n_groups: int) -> NDArray[np.int64]:
    """The group of every worker when each row, ordered by keys (equal ones as they stand), is cut into K parts."""
    n = keys.shape[1]
    size, larger = divmod(n, n_groups)
    stops = np.cumsum(size + (np.arange(n_groups) < larger))
    # to know the first key of each part is enough: a whole order would take several times as long
    firsts = stops[:-1]
    bounds = np.partition(keys, firsts, axis=1)[:, firsts]
    assignment = np.empty(keys.shape, dtype=np.int64)
    _deal(keys, bounds, stops, assignment)
    return assignment


@numba.njit(cache=True)
def _deal(
    keys: NDArray[np.float64], bounds: NDArray[np.float64], stops: NDArray[np.int64], out: NDArray[np.int64]
) -> None:
    """out[b, i]: the part in which key i of row b comes; `bounds`: the first key of each part but the first."""
    n_bounds = bounds.shape[1]
    below, seen = np.empty(n_bounds + 1, dtype=np.int64), np.empty(n_bounds + 1, dtype=np.int64)
    for b in range(keys.shape[0]):
        below[:] = 0
        seen[:] = 0
        for i in range(keys.shape[1]):
            part = np.searchsorted(bounds[b], keys[b, i], side="right")
            out[b, i] = part
            below[part] += 1
        for k in range(1, n_bounds):
            below[k] += below[k - 1]  # now: how many keys are less than bound k
        for i in range(keys.shape[1]):
            part = out[b, i]
            if part > 0 and keys[b, i] == bounds[b, part - 1]:
                # the first of those that equal a bound may still belong to the parts before it
                first = part - 1
                while first > 0 and bounds[b, first - 1] == bounds[b, part - 1]:
                    first -= 1
                position = below[first] + seen[part]
                seen[part] += 1
                while part > 0 and stops[part - 1] > position:
                    part -= 1
                out[b, i] = part


def _scatter(order: NDArray[np.int64], groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """assignment[b, order[b, j]] = groups[j]."""
    assignment = np.empty(order.shape, dtype=np.int64)
    assignment[np.arange(len(order))[:, None], order] = groups
    return assignment


GROUPINGS: dict[str, Grouping] = {"random": random, "epsilon_greedy": epsilon_greedy, "interleaved": interleaved}
