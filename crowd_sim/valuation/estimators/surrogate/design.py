"""The coalitions of the surrogate: one of every complementary pair, all of size 1, other sizes uniform."""

from __future__ import annotations

import itertools
import math

import numpy as np
from numpy.typing import NDArray

from crowd_sim.random import Purpose, generator

_AHEAD = 6  # times its share that size 1 may get
_SMOOTH_FROM = 8  # pairs a player
_REPEATED, _MOST_REPEATED = 0.125, 256  # of the draws of a game with noise: share, and the most
_LEAST_REPEATED = 1  # of each size


def allocation(n: int, n_pairs: int, *, singles_first: bool = True, smooth: bool = False) -> list[int]:
    """How many pairs each size 1, 2, … n // 2 gets: [k − 1] of size k, a pair counted at its smaller member.

    A share alike for all sizes 1 … n−1 (the leverage scores of the Shapley regression: Musco and Witter, "Provably
    accurate Shapley value estimation via leverage score sampling", ICLR 2025); a size whose share exceeds its
    number of pairs is enumerated and the rest goes to the others. With ``singles_first`` size 1 is from a sixth on: games
    differ from their pattern most where all but nothing, or nothing but one, is left out (errors at five evaluations a
    player are 0.76 times those of a share like the others', on eleven families that were held out). In a ``smooth`` game, of a
    coalition's mean, large coalitions differ little from what is learnt of others: from eight pairs a player on, a size k
    weighs k^−1.5 (below, small sizes alone do not tell what to learn).
    """
    half = n // 2
    number = [_number(n, k) for k in range(1, half + 1)]
    smooth = smooth and n_pairs >= _SMOOTH_FROM * n
    weight = [(1 if 2 * k == n else 2) / (k * math.sqrt(k) if smooth else 1) for k in range(1, half + 1)]
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
    counts = [number[k] if k in full else int(left * weight[k] / total) for k in range(half)]
    for k in sorted(set(range(half)) - full)[: n_pairs - sum(counts)]:  # what rounding left, to the smaller sizes
        counts[k] += 1
    return counts


def repeated(n: int, draws: int, most: int, rng: np.random.Generator) -> tuple[int, NDArray[np.int64]]:
    """Of a game with noise, how many pairs are drawn and how often each, int64[pairs], ascending in size: ``draws`` in all.

    Sizes get draws alike, as in `allocation`, but one whose share exceeds its number of pairs keeps it: its pairs are
    repeated. Values weigh a size by its share and not by its number of pairs, and the noise of small sizes, which have few,
    would be left in them. An eighth of the draws, up to 256, are repetitions in any case: they tell how much noise there is,
    and one of each size at least, where there are as many, whether sizes differ in it.

    Args:
        n: players.
        draws: answers of a pair, at least one.
        most: pairs.
        rng: decides which pairs of a size are repeated once more than others.
    """
    half = n // 2
    wanted = np.array([1.0 if 2 * k == n else 2.0 for k in range(1, half + 1)])
    wanted *= draws / wanted.sum()
    number = np.array([_number(n, k) for k in range(1, half + 1)], dtype=np.float64)
    apart = draws - min(math.ceil(_REPEATED * draws), _MOST_REPEATED)
    n_pairs = max(min(int(np.minimum(wanted, number).sum()), apart, most), 1)
    counts = np.array(allocation(n, n_pairs, singles_first=False))
    more = np.maximum(wanted - counts, 0.0) * (counts > 0)
    more = more if more.any() else counts.astype(np.float64)
    ends = np.round(np.cumsum(more) * ((draws - n_pairs) / more.sum())).astype(np.int64)
    extras = np.diff(ends, prepend=0)
    least = np.where(counts > 0, min(_LEAST_REPEATED, (draws - n_pairs) // max(int((counts > 0).sum()), 1)), 0)
    short = np.maximum(least - extras, 0)
    extras += short
    for _ in range(int(short.sum())):
        extras[extras.argmax()] -= 1
    copies = []
    for count, extra in zip(counts.tolist(), extras.tolist(), strict=True):
        each = np.full(count, 1 + extra // max(count, 1))
        each[rng.permutation(count)[: extra % max(count, 1)]] += 1
        copies.append(each)
    return n_pairs, np.concatenate(copies)


def draw_pairs(
    n: int, n_pairs: int, seed: int, run: int, *, singles_first: bool = True, smooth: bool = False
) -> NDArray[np.bool_]:
    """The smaller member of ``n_pairs`` distinct complementary pairs: bool[n_pairs, n], ascending in size.

    Random permutations are cut into coalitions of the same size, so that players appear about equally often. Size k is
    drawn from the stream (seed, run, SURROGATE, k).
    """
    blocks = []
    for size, count in enumerate(allocation(n, n_pairs, singles_first=singles_first, smooth=smooth), start=1):
        if count == _number(n, size):
            blocks.append(all_of_size(n, size))
        else:
            blocks.append(_some_of_size(n, size, count, generator(seed, run, Purpose.SURROGATE, chunk=size)))
    return np.concatenate(blocks)


def _number(n: int, size: int) -> int:
    return math.comb(n, size) // (2 if 2 * size == n else 1)


def all_of_size(n: int, size: int) -> NDArray[np.bool_]:
    """The smaller member of every pair of a size: bool[m, n]."""
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
