"""What a budget of permutations asks for: pairs of a permutation and its reverse, and the places next to the ends in full."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

from crowd_sim.random import Purpose
from crowd_sim.valuation.complements import with_complements
from crowd_sim.valuation.estimators.permutation.draws import draw
from crowd_sim.valuation.request import chunk_rows


@dataclass(frozen=True)
class Plan:
    """What a budget pays for.

    Attributes:
        n: players.
        n_exact: how many places from either end have their means evaluated: 2, or 1, in the pairs of the first cycle.
        n_pairs: of permutations.
    """

    n: int
    n_exact: int
    n_pairs: int

    @property
    def n_head(self) -> int:
        """Evaluations besides those of the pairs."""
        return 2 + (2 * self.n + self.n * (self.n - 1) if self.n_exact == 2 else 0)

    @property
    def cost(self) -> int:
        """All evaluations."""
        return self.n_head + 2 * sizes_before(self.n, self.n_exact, self.n_pairs)


def plan_of(n: int, budget: int) -> Plan:
    """As many pairs as fit, the places next to the ends in full where they take no more than half of what is left."""
    left = budget - 2 - 2 * n - n * (n - 1)
    if n > 5 and left >= n * (n - 1):
        return Plan(n, 2, left // (2 * (n - 5)))
    wanted = (budget - 2) // 2
    in_first, full = (n + 1) // 2, n // 2
    pairs = min(wanted // (n - 1), full)
    if pairs == full:
        rest = wanted - sizes_before(n, 1, in_first)
        if rest >= 0:
            pairs = in_first + (rest // (n - 3) if n > 3 else 0)
    return Plan(n, 1, pairs)


@numba.njit(cache=True)
def bounds(n: int, n_exact: int, pair: int) -> tuple[int, int]:
    """The first and last size of the prefixes that a pair evaluates, each with its complement."""
    if n_exact == 2:
        return 3, n - 3
    if pair < n // 2:
        return 1, n - 1
    if pair < (n + 1) // 2:  # of an odd number of players one is left for the first place, and none for the last
        return 1, n - 2
    return 2, n - 2


@numba.njit(cache=True)
def sizes_before(n: int, n_exact: int, pair: int) -> int:
    """How many prefixes the pairs before this one evaluate."""
    if n_exact == 2:
        return pair * (n - 5)
    full, in_first = n // 2, (n + 1) // 2
    before = min(pair, full) * (n - 1) + max(pair - in_first, 0) * (n - 3)
    return before + (n - 2 if n % 2 == 1 and pair > full else 0)


def head_of(plan: Plan) -> Iterator[NDArray[np.bool_]]:
    """The empty and the grand coalition; with two exact places all single players and pairs too, each with its complement."""
    ends = np.zeros((2, plan.n), dtype=np.bool_)
    ends[1] = True
    yield ends
    if plan.n_exact == 1:
        return
    n, step = plan.n, chunk_rows(plan.n) // 2
    first, second = np.triu_indices(n, 1)
    first, second = np.append(np.arange(n), first), np.append(np.arange(n), second)
    for start in range(0, len(first), step):
        part = slice(start, start + step)
        some = np.zeros((len(first[part]), n), dtype=np.bool_)
        rows = np.arange(len(some))
        some[rows, first[part]] = some[rows, second[part]] = True
        yield with_complements(some)


def prefixes_of(plan: Plan, seed: int, run: int) -> Iterator[NDArray[np.bool_]]:
    """Of each pair the prefixes of its permutation, each followed by its complement, a prefix of the reverse; in chunks."""
    step = chunk_rows(plan.n)
    n_rows = 2 * sizes_before(plan.n, plan.n_exact, plan.n_pairs)
    pair, size = 0, 0
    for start in range(0, n_rows, 2 * (max(step // 2, 1))):
        chunk = np.zeros((min(2 * max(step // 2, 1), n_rows - start), plan.n), dtype=np.bool_)
        pair, size = _fill(
            np.uint64(seed), np.uint64(run), np.uint64(Purpose.PERMUTATION), plan.n_exact, pair, size, chunk
        )
        yield chunk


@numba.njit(cache=True)
def _fill(
    seed: np.uint64,
    run: np.uint64,
    purpose: np.uint64,
    n_exact: int,
    pair: int,
    size: int,
    out: NDArray[np.bool_],
) -> tuple[int, int]:
    """Rows from the prefix of this pair behind the one of ``size`` players (0: from the first) on; where they end."""
    m, n = out.shape
    order, cycle = np.empty(n, dtype=np.int64), np.empty(n, dtype=np.int64)
    first, last = bounds(n, n_exact, pair)
    draw(seed, run, purpose, pair, True, cycle, order)
    for row in range(0, m, 2):
        if size >= last:
            pair, size = pair + 1, 0
            first, last = bounds(n, n_exact, pair)
            draw(seed, run, purpose, pair, False, cycle, order)
        begin = 0
        if size > 0 and row > 0:
            out[row] = out[row - 2]
            begin = size
        size = max(size + 1, first)
        for k in range(begin, size):
            out[row, order[k]] = True
        out[row + 1] = ~out[row]
    return pair, size
