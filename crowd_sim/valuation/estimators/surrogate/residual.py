"""What the surrogate leaves unexplained, sampled: paired contrasts of the residual at fresh coalitions, stratified by size.

The surrogate as a control variate in the sense of Witter, Liu and Musco, "Regression-adjusted Monte Carlo estimators for
Shapley values and probabilistic values", 2025 (arXiv 2506.11849): its own values, plus an unbiased estimate of those of
the game's difference to it.
"""

from __future__ import annotations

from collections.abc import Iterator

import numba
import numpy as np
from numpy.typing import NDArray

from crowd_sim.random import Purpose
from crowd_sim.valuation.request import chunk_rows
from crowd_sim.valuation.shuffle import shuffle

_STREAMS = 1 << 32  # of each size; those before belong to the design


def rest_allocation(n: int, n_pairs: int, enumerated: set[int]) -> dict[int, int]:
    """How many fresh pairs each size (of the smaller member) gets, two at least; empty where they do not suffice.

    Sizes the surrogate knows in full have no residual. The others get a share in proportion to the spread of what a
    draw adds to the values where residuals are alike at all sizes: √(1/k + 1/(n−k)), half of it for the middle size,
    where a pair is one size and not two.
    """
    sizes = [size for size in range(1, n // 2 + 1) if size not in enumerated]
    if n_pairs < 2 * len(sizes) or not sizes:
        return {}
    share = {size: np.sqrt(n / (size * (n - size))) * (0.5 if 2 * size == n else 1.0) for size in sizes}
    total = sum(share.values())
    counts = {size: 2 + int((n_pairs - 2 * len(sizes)) * share[size] / total) for size in sizes}
    for size in sizes[: n_pairs - sum(counts.values())]:  # what rounding left, to the smaller sizes
        counts[size] += 1
    return counts


def contrasts(sizes: NDArray[np.int64], n: int, counts: dict[int, int]) -> tuple[NDArray[np.float64], ...]:
    """What a residual r of a drawn coalition adds to φ_i, for i in it and for i out of it: float64[m] each, times r.

    For an odd function d, d(N) = 0, φ_i = (2/n) Σ_k mean of d over the coalitions of size k with i. A coalition S of size k
    stands for its complement too, with −d: i in S gets d(S) (n/k), i out of it −d(S) (n/(n−k)), over the number drawn of
    the size; the middle size occurs once in the sum, and not twice. They sum to 0 over the players.
    """
    drawn = np.array([counts[int(size)] for size in sizes])
    once = 2.0 / drawn * np.where(2 * sizes == n, 0.5, 1.0)
    return once / sizes, -once / (n - sizes)


def fresh_pairs(n: int, counts: dict[int, int], seed: int, run: int) -> Iterator[NDArray[np.bool_]]:
    """Each drawn coalition followed by its complement, in fixed chunks.

    Draw j of size k is keyed (seed, run, SURROGATE, 2³² k + j): more of a size begin with the same.
    """
    sizes = np.repeat(np.array(list(counts), dtype=np.int64), list(counts.values()))
    places = np.concatenate([np.arange(count) for count in counts.values()] or [np.empty(0, dtype=np.int64)])
    streams = (sizes * _STREAMS + places).astype(np.uint64)
    step = max(1, chunk_rows(n) // 2)
    for start in range(0, len(sizes), step):
        part = sizes[start : start + step]
        chunk = np.zeros((2 * len(part), n), dtype=np.bool_)
        _fill(np.uint64(seed), np.uint64(run), np.uint64(Purpose.SURROGATE), streams[start : start + step], part, chunk)
        yield chunk


@numba.njit(cache=True)
def _fill(
    seed: np.uint64,
    run: np.uint64,
    purpose: np.uint64,
    streams: NDArray[np.uint64],
    sizes: NDArray[np.int64],
    out: NDArray[np.bool_],
) -> None:
    n = out.shape[1]
    order = np.empty(n, dtype=np.int64)
    for pair in range(len(sizes)):
        shuffle(seed, run, purpose, streams[pair], sizes[pair], order)
        for i in range(n):
            inside = i < sizes[pair]
            out[2 * pair, order[i]] = inside
            out[2 * pair + 1, order[i]] = not inside
