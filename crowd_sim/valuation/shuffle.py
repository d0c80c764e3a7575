"""Drawing coalitions inside compiled kernels, from the keyed streams of `crowd_sim.random`."""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

from crowd_sim.random import philox


@numba.njit(cache=True)
def shuffle(
    seed: np.uint64, run: np.uint64, purpose: np.uint64, draw: np.uint64, size: int, order: NDArray[np.int64]
) -> None:
    """Make ``order`` a permutation whose first ``size`` places are uniformly drawn (a partial Fisher–Yates shuffle).

    It is a function of its key (seed, run, purpose, draw) and of the length of ``order`` alone.
    """
    n = len(order)
    for i in range(n):
        order[i] = i
    for start in range(0, min(size, n - 1), 4):
        words = philox(seed, run, np.uint64(start // 4 + 1), np.uint64(0), purpose, draw)
        for i in range(start, min(start + 4, size, n - 1)):
            # The top 53 bits as a number in [0, 1): its bias over n places is below n / 2^53
            uniform = np.float64(words[i - start] >> np.uint64(11)) * 2.0**-53
            j = i + int(uniform * (n - i))
            order[i], order[j] = order[j], order[i]
