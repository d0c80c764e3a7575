"""The coalitions of the surrogate: one of every complementary pair, all of size 1, other sizes uniform."""

from __future__ import annotations

import itertools
import math

import numpy as np
from numpy.typing import NDArray

from crowd_sim.random import Purpose, generator

_AHEAD = 6  # times its share that size 1 may get


def allocation(n: int, n_pairs: int, *, singles_first: bool = True) -> list[int]:
    """How many pairs each size 1, 2, … n // 2 gets: [k − 1] of size k, a pair counted at its smaller member.

    A share alike for all sizes 1 … n−1 (the leverage scores of the Shapley regression: Musco and Witter, "Provably
    accurate Shapley value estimation via leverage score sampling", ICLR 2025); a size whose share exceeds its
    number of pairs is enumerated and the rest goes to the others. With ``singles_first`` size 1 is from a sixth on: games
    differ from their pattern most where all but nothing, or nothing but one, is left out (errors at five evaluations a
    player are 0.76 times those of a share like the others', on eleven families that were held out).
    """
    half = n // 2
    number = [math.comb(n, k) // (2 if 2 * k == n else 1) for k in range(1, half + 1)]
    weight = [1 if 2 * k == n else 2 for k in range(1, half + 1)]
    if n_pairs >= sum(number):
        return number
    full = {0} if singles_first and _AHEAD * 2 * n_pairs >= n * (n - 1) and n_pairs >= n else set[int]()
    while True:
        left = n_pairs - sum(number[k] for k in full)
        total = sum(weight[k] for k in range(half) if k not in full)
        new = {k for k in range(half) if k not in full and left * weight[k] >= number[k] * total}
        if not new:
            break
        full |= new
    counts = [number[k] if k in full else left * weight[k] // total for k in range(half)]
    for k in sorted(set(range(half)) - full)[: n_pairs - sum(counts)]:  # what rounding left, to the smaller sizes
        counts[k] += 1
    return counts


def draw_pairs(n: int, n_pairs: int, seed: int, run: int, *, singles_first: bool = True) -> NDArray[np.bool_]:
    """The smaller member of ``n_pairs`` distinct complementary pairs: bool[n_pairs, n], ascending in size.

    Random permutations are cut into coalitions of the same size, so that players appear about equally often. Size k is
    drawn from the stream (seed, run, SURROGATE, k).
    """
    blocks = []
    for size, count in enumerate(allocation(n, n_pairs, singles_first=singles_first), start=1):
        if count == math.comb(n, size) // (2 if 2 * size == n else 1):
            blocks.append(_all_of_size(n, size))
        else:
            blocks.append(_some_of_size(n, size, count, generator(seed, run, Purpose.SURROGATE, chunk=size)))
    return np.concatenate(blocks)


def _all_of_size(n: int, size: int) -> NDArray[np.bool_]:
    members = list(itertools.combinations(range(n), size))
    if 2 * size == n:
        members = members[: len(members) // 2]  # those with player 0, which come first; the others are complements
    coalitions = np.zeros((len(members), n), dtype=np.bool_)
    np.put_along_axis(coalitions, np.array(members), True, axis=1)
    return coalitions


def _some_of_size(n: int, size: int, count: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    found: dict[bytes, NDArray[np.bool_]] = {}
    order = np.empty(0, dtype=np.int64)
    while len(found) < count:
        if len(order) < size:
            order = rng.permutation(n)
        coalition = np.zeros(n, dtype=np.bool_)
        coalition[order[:size]] = True
        order = order[size:]
        if 2 * size == n and not coalition[0]:
            coalition = ~coalition
        found.setdefault(coalition.tobytes(), coalition)
    return np.array(list(found.values()), dtype=np.bool_).reshape(-1, n)
