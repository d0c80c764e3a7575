"""The coalitions of Kernel SHAP: which sizes are enumerated, which coalitions are drawn, and what each weighs."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

from crowd_sim.random import Purpose, uniforms
from crowd_sim.valuation.complements import with_complements
from crowd_sim.valuation.shuffle import shuffle


@dataclass(frozen=True, eq=False)
class Design:
    """The coalitions of a weighted least squares, without the empty and the grand one.

    Attributes:
        coalitions: bool[m, n], no two alike.
        weights: float64[m], summing to 1.
        n_enumerated: how many of the rows, from the first, belong to sizes that are enumerated in full.
    """

    coalitions: NDArray[np.bool_]
    weights: NDArray[np.float64]
    n_enumerated: int


def size_weights(n: int) -> NDArray[np.float64]:
    """The share of the weight of sizes 1, 2, … ⌈(n−1)/2⌉, each together with the complementary size: sums to 1.

    Size s weighs (n−1)/(s(n−s)), the Shapley kernel summed over its coalitions.
    """
    sizes = np.arange(1, math.ceil((n - 1) / 2) + 1)
    weights = (n - 1.0) / (sizes * (n - sizes))
    weights[: (n - 1) // 2] *= 2.0  # all but the middle size of an even n have a complementary size
    return weights / weights.sum()


def design(n: int, budget: int, seed: int, run: int) -> Design:
    """The coalitions and weights for ``budget`` evaluations: sizes enumerated from the outside in, the rest drawn.

    A size is enumerated, with its complementary one, while the share of the remaining budget that its weight entitles
    it to covers it. From the other sizes a coalition is drawn together with its complement; one that was drawn before
    adds to the weight of the first instead of costing budget. Drawing ends when the budget is reached or four draws
    for every coalition still wanted are spent, as in the package.
    """
    if n == 1:
        return Design(np.zeros((0, 1), dtype=np.bool_), np.zeros(0), 0)
    shares = size_weights(n)
    n_paired = (n - 1) // 2
    budget = min(budget, 2**n - 2)
    left, remaining = budget, shares.copy()
    blocks: list[NDArray[np.bool_]] = []
    weights: list[NDArray[np.float64]] = []
    for size in range(1, len(shares) + 1):
        paired = size <= n_paired
        count = math.comb(n, size) * (2 if paired else 1)
        share = remaining[size - 1]
        if left * share / count < 1.0 - 1e-8:
            break
        left -= count
        if share < 1.0:
            remaining /= 1.0 - share
        blocks.append(_enumerated(n, size, paired))
        weights.append(np.full(count, shares[size - 1] / count))
    n_full, n_enumerated = len(blocks), budget - left
    if n_full < len(shares):
        chances = shares.copy()
        chances[:n_paired] /= 2.0  # a draw of a paired size gives two coalitions
        cumulative = np.cumsum(chances[n_full:])
        key = np.array([seed], dtype=np.uint64), np.array([run], dtype=np.uint64)
        places = uniforms(*key, 0, Purpose.KERNEL_SHAP, 4 * left)[0] * cumulative[-1]
        drawn = np.zeros((left, n), dtype=np.bool_)
        counts = np.zeros(left)
        rows = _draw(
            np.uint64(seed),
            np.uint64(run),
            np.uint64(Purpose.KERNEL_SHAP),
            places,
            cumulative[:-1],
            n_full + 1,
            n_paired,
            drawn,
            counts,
        )
        blocks.append(drawn[:rows])
        weights.append(counts[:rows] * (shares[n_full:].sum() / counts[:rows].sum()))
    return Design(np.concatenate(blocks), np.concatenate(weights), n_enumerated)


def _enumerated(n: int, size: int, paired: bool) -> NDArray[np.bool_]:
    """All coalitions of a size, each followed by its complement where sizes are paired."""
    count = math.comb(n, size)
    flat = np.fromiter(
        itertools.chain.from_iterable(itertools.combinations(range(n), size)), dtype=np.int64, count=count * size
    )
    coalitions = np.zeros((count, n), dtype=np.bool_)
    np.put_along_axis(coalitions, flat.reshape(count, size), True, axis=1)
    if not paired:
        return coalitions
    return with_complements(coalitions)


@numba.njit(cache=True)
def _hash(order: NDArray[np.int64], size: int) -> np.uint64:
    """A sum of scrambled player numbers (splitmix64's finaliser): the same in any order of the players."""
    total = np.uint64(0)
    for k in range(size):
        x = np.uint64(order[k] + 1) * np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        total += x ^ (x >> np.uint64(31))
    return total


@numba.njit(cache=True)
def _draw(
    seed: np.uint64,
    run: np.uint64,
    purpose: np.uint64,
    places: NDArray[np.float64],
    bounds: NDArray[np.float64],
    smallest: int,
    n_paired: int,
    masks: NDArray[np.bool_],
    counts: NDArray[np.float64],
) -> int:
    """Draw coalitions, with complements, into zeroed masks and counts; returns how many rows are in use.

    Draw t has size ``smallest`` plus the number of ``bounds`` that do not exceed ``places[t]``. A repeated coalition
    counts for the row it has.
    """
    wanted, n = masks.shape
    slots = 1
    while slots < 2 * wanted:
        slots *= 2
    table = np.full(slots, -1, dtype=np.int64)  # open addressing; holds the row of a coalition that was drawn before
    size_of = np.zeros(wanted, dtype=np.int64)
    order = np.empty(n, dtype=np.int64)
    rows = 0
    for t in range(len(places)):
        if rows == wanted:
            break
        size = smallest + np.searchsorted(bounds, places[t], side="right")
        shuffle(seed, run, purpose, np.uint64(t + 1), size, order)  # stream 0 holds the sizes
        slot = np.int64(_hash(order, size) & np.uint64(slots - 1))
        row = table[slot]
        while row >= 0:
            same = size_of[row] == size
            for k in range(size):
                same = same and masks[row, order[k]]
            if same:
                break
            slot = (slot + 1) % slots
            row = table[slot]
        if row >= 0:
            counts[row] += 1.0
            if size <= n_paired:
                counts[row + 1] += 1.0
            continue
        table[slot] = rows
        size_of[rows] = size
        for k in range(size):
            masks[rows, order[k]] = True
        counts[rows] = 1.0
        rows += 1
        if size <= n_paired and rows < wanted:
            masks[rows] = ~masks[rows - 1]
            counts[rows] = 1.0
            rows += 1
    return rows
