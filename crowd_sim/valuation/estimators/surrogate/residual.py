"""What the surrogate leaves unexplained, sampled: paired contrasts of the residual at fresh coalitions, stratified by size.

The surrogate as a control variate in the sense of Witter, Liu and Musco, "Regression-adjusted Monte Carlo estimators for
Shapley values and probabilistic values", 2025 (arXiv 2506.11849): its own values, plus an unbiased estimate of those of
the game's difference to it. At the pairs it was fitted to there is none; of the others no pair is drawn twice (Cochran,
"Sampling techniques", 3rd edition, 1977, chapters 2 and 5).
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numba
import numpy as np
from numpy.typing import NDArray

from crowd_sim.random import Purpose
from crowd_sim.valuation.complements import with_complements
from crowd_sim.valuation.request import chunk_rows
from crowd_sim.valuation.shuffle import shuffle
from crowd_sim.valuation.utility_table import Memory, packed

_STREAMS = 1 << 32  # of each size; those before belong to the design
_FEWEST_DRAWN = 256  # at a time


def rest_allocation(n: int, n_pairs: int, unknown: dict[int, int]) -> dict[int, int]:
    """How many fresh pairs each size (of the smaller member) gets, two at least; empty where they do not suffice.

    A share in proportion to the spread of what a draw adds to the values where residuals are alike at all sizes: that of
    the size's pairs which are unknown, times √(1/k + 1/(n−k)), half of it for the middle size, where a pair is one size
    and not two. A size whose share exceeds its unknown pairs gets all of them, and the rest goes to the others.

    Args:
        n: players.
        n_pairs: to be dealt out.
        unknown: for each size how many of its pairs the surrogate was not fitted to.
    """
    counts = {size: min(left, 2) for size, left in unknown.items() if left}
    spare = n_pairs - sum(counts.values())
    if spare < 0:
        return {}
    share = {size: unknown[size] / number_of_pairs(n, size) * np.sqrt(n / (size * (n - size))) for size in counts}
    share = {size: part * (0.5 if 2 * size == n else 1.0) for size, part in share.items()}
    open_sizes = dict.fromkeys(counts)
    while open_sizes:
        rate = spare / sum(share[size] for size in open_sizes)
        full = [size for size in open_sizes if rate * share[size] >= unknown[size] - counts[size]]
        for size in full:
            spare -= unknown[size] - counts[size]
            counts[size] = unknown[size]
            del open_sizes[size]
        if not full:
            break
    rate = spare / sum(share[size] for size in open_sizes) if open_sizes else 0.0
    for size in open_sizes:
        more = int(rate * share[size])
        counts[size] += more
        spare -= more
    for size in list(open_sizes)[:spare]:  # what rounding left, to the smaller sizes
        counts[size] += 1
    return counts


def number_of_pairs(n: int, size: int) -> int:
    """How many complementary pairs have a smaller member of ``size``."""
    return math.comb(n, size) // (2 if 2 * size == n else 1)


def contrasts(sizes: NDArray[np.int64], n: int, counts: dict[int, int]) -> tuple[NDArray[np.float64], ...]:
    """What a residual r of a drawn coalition adds to φ_i, for i in it and for i out of it: float64[m] each, times r.

    For an odd function d, d(N) = 0, φ_i = (2/n) Σ_k mean of d over the coalitions of size k with i. A coalition S of size k
    stands for its complement too, with −d: i in S gets d(S) (n/k), i out of it −d(S) (n/(n−k)), over the number drawn of
    the size; the middle size occurs once in the sum, and not twice. They sum to 0 over the players.
    """
    drawn = np.array([counts[int(size)] for size in sizes])
    once = 2.0 / drawn * np.where(2 * sizes == n, 0.5, 1.0)
    return once / sizes, -once / (n - sizes)


def fresh_pairs(
    n: int, counts: dict[int, int], seed: int, run: int, known: NDArray[np.bool_]
) -> Iterator[NDArray[np.bool_]]:
    """Each drawn coalition followed by its complement, in fixed chunks: all distinct, and none of the pairs ``known``.

    Draw j of size k is keyed (seed, run, SURROGATE, 2³² k + j), and skipped if its pair was there before: more of a size
    begin with the same.

    Args:
        n: players.
        counts: how many pairs of each size of the smaller member, at most those that are not ``known``.
        seed: of the draws.
        run: of the draws.
        known: bool[m, n], the smaller member of every known pair.
    """
    step = max(1, chunk_rows(n) // 2)
    waiting = np.empty((0, n), dtype=np.bool_)
    for rows in _distinct(n, counts, seed, run, known):
        waiting = np.concatenate([waiting, rows])
        while len(waiting) >= step:
            yield with_complements(waiting[:step])
            waiting = waiting[step:]
    if len(waiting):
        yield with_complements(waiting)


def _distinct(
    n: int, counts: dict[int, int], seed: int, run: int, known: NDArray[np.bool_]
) -> Iterator[NDArray[np.bool_]]:
    seen = Memory(n)
    seen.numbers(packed(_of_pair(known)))
    for size, count in counts.items():
        wanted, place = count, 0
        while wanted:
            drawn = np.zeros((min(max(wanted, _FEWEST_DRAWN), chunk_rows(n)), n), dtype=np.bool_)
            stream = np.uint64(size * _STREAMS + place)
            _fill(np.uint64(seed), np.uint64(run), np.uint64(Purpose.SURROGATE), stream, size, drawn)
            place += len(drawn)
            before = len(seen)
            numbers, first = np.unique(seen.numbers(packed(_of_pair(drawn))), return_index=True)
            new = np.sort(first[numbers >= before])[:wanted]
            wanted -= len(new)
            yield drawn[new]


def _of_pair(coalitions: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Of every coalition and its complement the one that has player 0: the same for both."""
    return coalitions ^ ~coalitions[:, :1]


@numba.njit(cache=True)
def _fill(
    seed: np.uint64,
    run: np.uint64,
    purpose: np.uint64,
    stream: np.uint64,
    size: int,
    out: NDArray[np.bool_],
) -> None:
    order = np.empty(out.shape[1], dtype=np.int64)
    for row in range(len(out)):
        shuffle(seed, run, purpose, stream + np.uint64(row), size, order)
        for i in range(size):
            out[row, order[i]] = True
