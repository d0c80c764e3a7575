"""Groupings: who tunes together in a round. Source: Crowd-SFT (arXiv 2506.04063), section on grouping.

A grouping takes points float64[B, n], the number of groups K, the round's `Draws` and the number of rounds, and returns
for every run the group of every worker: int64[B, n] with values 0..K−1.
"""

from __future__ import annotations

from collections.abc import Callable

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
    return _cut(np.argsort(draws.uniforms(Purpose.GROUPING, points.shape[1]), axis=1, kind="stable"), n_groups)


def epsilon_greedy(points: NDArray[np.float64], n_groups: int, draws: Draws, rounds: int) -> NDArray[np.int64]:
    """With probability max(0.4, 1 − t/R) random, else ordered by points, ascending, and cut; t = 0 in the first round.

    Workers with equal points keep their order.
    """
    epsilon = max(_MINIMUM_EXPLORATION, 1 - (draws.round - 1) / rounds)
    explore = draws.uniforms(Purpose.EXPLORE, 1) < epsilon
    greedy = _cut(np.argsort(points, axis=1, kind="stable"), n_groups)
    return np.where(explore, random(points, n_groups, draws, rounds), greedy)


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


def _cut(order: NDArray[np.int64], n_groups: int) -> NDArray[np.int64]:
    """The group of every worker when each row's order is cut into K consecutive parts."""
    n = order.shape[1]
    size, larger = divmod(n, n_groups)
    parts = np.repeat(np.arange(n_groups), size + (np.arange(n_groups) < larger))
    return _scatter(order, parts)


def _scatter(order: NDArray[np.int64], groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """assignment[b, order[b, j]] = groups[j]."""
    assignment = np.empty(order.shape, dtype=np.int64)
    assignment[np.arange(len(order))[:, None], order] = groups
    return assignment


GROUPINGS: dict[str, Grouping] = {"random": random, "epsilon_greedy": epsilon_greedy, "interleaved": interleaved}
