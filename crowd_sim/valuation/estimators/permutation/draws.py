"""The permutations, whose first and last players are balanced."""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

from crowd_sim.valuation.shuffle import shuffle

_CYCLES = np.uint64(2**63)  # where the streams of the cycles begin, behind those of the pairs


@numba.njit(cache=True)
def draw(
    seed: np.uint64,
    run: np.uint64,
    purpose: np.uint64,
    pair: int,
    fresh: bool,
    cycle: NDArray[np.int64],
    order: NDArray[np.int64],
) -> None:
    """The pair's permutation into ``order``; ``cycle`` holds who is at the ends, and is drawn where the cycle is another."""
    n = len(order)
    number, within = divmod(pair, (n + 1) // 2)
    if fresh or within == 0:
        shuffle(seed, run, purpose, _CYCLES + np.uint64(number), n, cycle)
    shuffle(seed, run, purpose, np.uint64(pair), n, order)
    for end in range(2):
        if 2 * within + end < n:
            player, place = cycle[2 * within + end], end * (n - 1)
            at = place
            while order[at] != player:
                at = (at + 1) % n
            order[at], order[place] = order[place], player
