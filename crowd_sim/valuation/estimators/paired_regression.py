"""Shapley values of noisy games: paired Kernel SHAP, stratified by size, with as many repetitions as pay.

A pair of a coalition S and its complement knows of v its odd part d(S) = (v(S) − v(N∖S)) / 2. With T = v(N) − v(∅) and signs
x_i = ±1 of who is in S, the values solve the weighted least squares of d on Σ φ_i x_i / 2 under Σ φ_i = T (Covert and Lee,
"Improving KernelSHAP", AISTATS 2021). Every evaluation serves all players, so that noise costs a value 4σ² / budget at
best and π²σ² / budget at most, where a permutation's differences cost 2nσ² / budget.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

from crowd_sim.errors import InputError
from crowd_sim.linear_algebra import cholesky, gram, inverse_of, product, solved, times, transposed_times
from crowd_sim.random import Purpose
from crowd_sim.valuation.complements import with_complements
from crowd_sim.valuation.estimators.unanswered import Gap, misses, of_all, of_draws, of_silent_sizes
from crowd_sim.valuation.noise import with_draws
from crowd_sim.valuation.once import once
from crowd_sim.valuation.request import Request, chunk_rows
from crowd_sim.valuation.result import ShapleyResult, widening
from crowd_sim.valuation.shuffle import shuffle

MAX_PLAYERS = 1000  # the normal equations are a matrix of that size
_STREAMS = 32  # bits for the places of each size
_APART = 1 << 62  # where the draws of a remainder begin, behind all others
_SOME_SHUFFLES, _MANY_SHUFFLES = 3, 8  # of a size: from which on their spread says something, and enough
_ROUNDING = 8.0 * np.finfo(np.float64).eps


def minimum_budget(n: int) -> int:
    """The smallest budget for n players: three pairs a player, and the ends."""
    return 6 * n + 6


def paired_regression(request: Request) -> list[ShapleyResult]:
    """Values and standard errors of noisy games; they hold the noise, and cover what the games answer in the mean.

    Sizes k get pairs in proportion to 1 / √(k (n−k)), best for noise that is the same everywhere. Where that is two of every
    pair there is, all are evaluated equally often; else players are shuffled and cut into coalitions, functions of the key
    (seed, run, size, place). v(∅) and v(N), which every value depends on, but only by 1 / n, are repeated budget / 2n
    times. Without noise the ends are evaluated once, and a size is evaluated in full where its pairs suffice.

    A pair of which a utility is missing (NaN) is left out, and the standard errors hold what it might have said, as if failures
    depended on nothing (`unanswered`). They are NaN where there are no more answers than values.

    Raises:
        InputError: more than 1,000 players, a budget below `minimum_budget`, or too few utilities that are not missing.
    """
    n = request.n_players
    if n > MAX_PLAYERS:
        raise InputError("method", "paired_regression", f"takes at most {MAX_PLAYERS} players; this game has {n}")
    smallest = minimum_budget(n)
    if request.budget < smallest:
        raise InputError(
            "budget", request.budget, f"must be at least {smallest} for paired_regression with {n} players"
        )
    n_ends = max(2, request.budget // (2 * n)) if request.noisy else 1
    parts = _parts(n, (request.budget - 2 * n_ends) // 2, request.noisy)
    plan = _Plan(n, request.budget, n_ends, parts, request.seed, request.run)
    request, different = once(request)
    ends: list[NDArray[np.float64]] = []
    odd: list[NDArray[np.float64]] = []
    for chunk, utilities in request.utilities(request.admitted(lambda: _chunks(plan, request.noisy))):
        halves = 0.5 * utilities[:, ::2] - 0.5 * utilities[:, 1::2]
        (odd if ends else ends).append(halves)
        del chunk
    games = zip(ends[0], np.concatenate([np.empty((len(ends[0]), 0)), *odd], axis=1), strict=True)
    return [ShapleyResult(*_values(plan, *game), different(plan.cost), "paired_regression") for game in games]


def of_remainder(
    request: Request, n_pairs: int, said: Callable[[NDArray[np.bool_]], NDArray[np.float64]], units: NDArray[np.float64]
) -> tuple[list[tuple[NDArray[np.float64], NDArray[np.float64]]], int]:
    """The values, with standard errors, of what a model leaves of games with noise, by draws that nothing else asks for.

    And how many evaluations these are; a remainder too small for every pair of a size is left.

    Args:
        request: of the games.
        n_pairs: to draw, at most.
        said: what the model says of d at the smaller coalitions bool[m, n] of pairs, float64[G, m], in ``units``.
        units: float64[G], of the games.
    """
    plan = _Plan(
        request.n_players, request.budget, 0, _parts(request.n_players, n_pairs, True), request.seed, request.run
    )
    odd = [np.empty((len(request.games), 0))]
    chunks = request.admitted(
        lambda: (with_draws(with_complements(first), np.repeat(_APART + draws, 2)) for first, draws in _pairs(plan))
    )
    for chunk, utilities in request.utilities(chunks):
        halves = 0.5 * utilities[:, ::2] - 0.5 * utilities[:, 1::2]
        odd.append(halves / units[:, None] - said(chunk[::2, : request.n_players]))
    return [_values(plan, np.zeros(1), of_game) for of_game in np.concatenate(odd, axis=1)], plan.cost


@dataclass(frozen=True)
class _Part:
    """The pairs of one size, of the smaller coalition.

    Attributes:
        size: k.
        count: how many are evaluated.
        copies: how often every pair there is; 0 where pairs are drawn.
    """

    size: int
    count: int
    copies: int


@dataclass(frozen=True)
class _Plan:
    """What is evaluated: ``n_ends`` times N and ∅, then the parts."""

    n: int
    budget: int
    n_ends: int
    parts: Sequence[_Part]
    seed: int
    run: int

    @property
    def cost(self) -> int:
        """All evaluations."""
        return 2 * self.n_ends + 2 * sum(part.count for part in self.parts)


def _parts(n: int, n_pairs: int, noisy: bool) -> list[_Part]:
    share = {k: (1.0 if 2 * k == n else 2.0) / math.sqrt(k * (n - k)) for k in range(1, n // 2 + 1)}
    number = {k: _number(n, k) for k in share}
    copies = dict.fromkeys(share, 0)
    left, drawn = n_pairs, set(share)
    while drawn:
        whole = sum(share[k] for k in sorted(drawn))
        k = max(sorted(drawn), key=lambda k: share[k] / number[k])
        often = int(left * share[k] / whole / number[k])
        if often < (2 if noisy else 1):
            break
        copies[k] = often if noisy else 1
        left -= copies[k] * number[k]
        drawn.remove(k)
    counts = {k: often * number[k] for k, often in copies.items()}
    if drawn:
        whole, spare = sum(share[k] for k in sorted(drawn)), max(left - 2 * len(drawn), 0)
        for k in sorted(drawn):
            counts[k] = min(2 + int(spare * share[k] / whole), left)
    elif noisy:  # what is left goes where it is wanted most
        while wanted := [k for k in share if number[k] <= left]:
            k = max(wanted, key=lambda k: share[k] / counts[k])
            copies[k], counts[k], left = copies[k] + 1, counts[k] + number[k], left - number[k]
    return [_Part(k, counts[k], copies[k]) for k in share]


def _number(n: int, size: int) -> int:
    """How many pairs have a smaller coalition of this size."""
    return math.comb(n, size) // (2 if 2 * size == n else 1)


def _chunks(plan: _Plan, noisy: bool) -> Iterator[NDArray[np.bool_]]:
    """N and ∅ in turn, then each pair's smaller coalition and its complement in turn."""
    pieces = itertools.chain([(np.ones((plan.n_ends, plan.n), dtype=np.bool_), np.arange(plan.n_ends))], _pairs(plan))
    for first, draws in pieces:
        rows = with_complements(first)
        yield with_draws(rows, np.repeat(draws, 2)) if noisy else rows


def _pairs(plan: _Plan) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.int64]]]:
    """The pairs' smaller coalitions with the numbers of their draws, in chunks that lie within a size."""
    n = plan.n
    key = np.uint64(plan.seed), np.uint64(plan.run), np.uint64(Purpose.PAIRED_REGRESSION)
    for part in plan.parts:
        blocks = _blocks(n, part.size)  # a shuffle's coalitions stay together
        step = max(1, chunk_rows(n) // 2 // blocks) * blocks
        for start in range(0, part.count, step):
            places = np.arange(start, min(start + step, part.count))
            masks = np.zeros((len(places), n), dtype=np.bool_)
            if part.copies:  # the copies of a pair follow each other
                which, copy = np.divmod(places, part.copies)
                _unrank(which, part.size, 2 * part.size == n, masks)
                places = copy * (part.count // part.copies) + which
            else:
                _draw(*key, part.size, places, masks)
            yield masks, (part.size << _STREAMS) + places


@numba.njit(cache=True)
def _blocks(n: int, size: int) -> int:
    """How many pairs a shuffle is cut into; two halves would be one pair."""
    return 1 if 2 * size == n else n // size


@numba.njit(cache=True)
def _draw(
    seed: np.uint64, run: np.uint64, purpose: np.uint64, size: int, places: NDArray[np.int64], out: NDArray[np.bool_]
) -> None:
    n = out.shape[1]
    order, blocks = np.empty(n, dtype=np.int64), _blocks(n, size)
    for row in range(len(places)):
        number, block = divmod(places[row], blocks)
        if row == 0 or block == 0:
            shuffle(seed, run, purpose, np.uint64((size << _STREAMS) + number), n, order)
        for k in range(block * size, (block + 1) * size):
            out[row, order[k]] = True


@numba.njit(cache=True)
def _unrank(which: NDArray[np.int64], size: int, halves: bool, out: NDArray[np.bool_]) -> None:
    """The coalitions of these numbers in lexicographic order; of halves of all players those with player 0 come first."""
    n = out.shape[1]
    for row in range(len(which)):
        rank, player, left = which[row], 0, size
        if halves:
            out[row, 0] = True
            player, left = 1, size - 1
        while left:
            with_it = 1  # how many of the rest's coalitions hold this player: C(n − player − 1, left − 1)
            for t in range(left - 1):
                with_it = with_it * (n - player - 1 - t) // (t + 1)
            if rank < with_it:
                out[row, player] = True
                left -= 1
            else:
                rank -= with_it
            player += 1


def _values(
    plan: _Plan, ends: NDArray[np.float64], odd: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Values and standard errors of a game from d(N) float64[copies] and d of the pairs float64[m]; NaN is missing."""
    n = plan.n
    known = ends[~np.isnan(ends)]
    if not len(known):
        raise InputError("game", math.nan, "utilities of the empty and the grand coalition must not be missing")
    total = 2.0 * float(known.mean())
    of_total = 4.0 * float(known.var(ddof=1)) / len(known) if len(known) > 1 else 0.0
    if n == 1:
        return np.array([total]), _widened(np.array([of_total]), np.array([len(known) - 1.0]))
    used, weights, alone, off = _weights(plan, odd)
    level = np.concatenate([np.full(part.count, (2.0 * part.size - n) / (2.0 * n)) for part in plan.parts])
    rest = np.where(used, odd - total * level, 0.0)
    normal, right = np.zeros((n, n)), np.zeros(n)
    for rows, z in _factors(plan):
        scaled = np.sqrt(weights[rows])[:, None] * z
        normal += gram(scaled)
        right += transposed_times(z, weights[rows] * rest[rows])
    normal += normal.trace() / n**2  # the rows of z sum to 0: this makes the solution do so
    upper, definite = cholesky(normal)
    pivots = upper.diagonal()
    if not definite or pivots.min() < 1e-7 * pivots.max():
        some = "" if used.all() else f" of {len(odd)} have both utilities"
        raise InputError("budget", plan.budget, f"leaves too few pairs for {n} players: {int(used.sum())}{some}")
    slopes, inverse = solved(upper, right), inverse_of(upper)
    variance, largest = np.zeros(n), float(np.abs(np.where(used, odd, 0.0)).max())
    spreads = {part.size: _Spread(n, _blocks(n, part.size)) for part in plan.parts}
    gaps = {part.size: Gap(n) for part in plan.parts}
    sizes = np.repeat([part.size for part in plan.parts], [part.count for part in plan.parts])
    for rows, z in _factors(plan):
        k = int(sizes[rows.start])
        moved = product(z, inverse)
        if in_full := not np.isnan(alone[rows.start]):
            variance += transposed_times(moved**2, weights[rows] ** 2 * alone[rows])
            if used.all():
                continue
        own = weights[rows] * (moved * z).sum(axis=1)
        residual = (rest[rows] - times(z, slopes)) / np.sqrt(np.maximum(1.0 - own, 0.01))
        gaps[k].add(moved, off[rows], residual[used[rows]])
        if in_full:
            continue
        moved *= (weights[rows] * residual)[:, None]
        spreads[k].add(moved)
    # the sizes are strata: what differs between them is no chance
    variance += _of_sizes(_widened_by_failures(plan, spreads, used))
    freedom = _freedom(plan, int(used.sum()))
    of_gaps, their_part = np.zeros(n), np.zeros(n)
    if not used.all():
        answered = _answered(plan, used)
        if answered <= n:  # no more answers than values: nothing, or one number, tells how good they are
            return total / n + slopes, np.full(n, np.nan)
        of_gaps, their_part = of_all(list(gaps.values()), 1.0 - n / answered)
    both = variance + of_gaps + of_total / n**2
    apart = variance**2 / freedom + their_part + (of_total / n**2) ** 2 / max(len(known) - 1, 1)
    degrees = np.where(both > 0.0, both**2 / np.maximum(apart, 1e-300), np.inf)
    return total / n + slopes, np.sqrt(_widened(both, degrees) ** 2 + (_ROUNDING * largest) ** 2)


class _Spread:
    """The variance of a sum of addends, taken one by one and, as a shuffle's coalitions exclude each other, in groups."""

    def __init__(self, n: int, group: int) -> None:
        self._group = group
        self.n_groups = self._count = 0
        self._sum, self._squares, self._in_groups = np.zeros(n), np.zeros(n), np.zeros(n)

    def add(self, addends: NDArray[np.float64]) -> None:
        """Take in the addends float64[m, n] of whole groups."""
        groups = np.add.reduceat(addends, np.arange(0, len(addends), self._group), axis=0)
        self._count += len(addends)
        self.n_groups += len(groups)
        self._sum += addends.sum(axis=0)
        self._squares += (addends**2).sum(axis=0)
        self._in_groups += (groups**2).sum(axis=0)

    @property
    def alone(self) -> NDArray[np.float64]:
        """Were they independent."""
        return _about_mean(self._squares, self._sum, self._count)

    @property
    def grouped(self) -> NDArray[np.float64]:
        """Were groups independent; for at least two of them."""
        return _about_mean(self._in_groups, self._sum, self.n_groups)


def _about_mean(squares: NDArray[np.float64], total: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    return np.maximum(squares - total**2 / count, 0.0) * (count / (count - 1)) if count > 1 else squares


def _widened_by_failures(
    plan: _Plan, spreads: dict[int, _Spread], used: NDArray[np.bool_]
) -> list[tuple[_Spread, float]]:
    """The sizes' spreads, each with the factor that draws without an answer make of its variance."""
    found, start = {}, 0
    for part in plan.parts:
        rows = used[start : start + part.count]
        start += part.count
        found[part.size] = 1.0 if part.copies else of_draws(rows, _number(plan.n, part.size)), rows.any()
    drawn = [
        (1.0 if 2 * part.size == plan.n else 2.0, bool(found[part.size][1])) for part in plan.parts if not part.copies
    ]
    silent = of_silent_sizes(*zip(*drawn, strict=True)) if drawn else 1.0
    return [(spread, silent * found[k][0]) for k, spread in spreads.items()]


def _of_sizes(spreads: Sequence[tuple[_Spread, float]]) -> NDArray[np.float64]:
    """What sizes that are drawn add to the variance, with their factors; few groups are worth what many of other sizes are."""
    some = [spread for spread, _ in spreads if spread.n_groups >= _SOME_SHUFFLES]
    alone = float(sum(spread.alone.sum() for spread in some))
    ratio = min(float(sum(spread.grouped.sum() for spread in some)) / alone, 1.0) if alone > 0.0 else 1.0
    return sum(
        (factor * (s.grouped if s.n_groups >= _MANY_SHUFFLES else ratio * s.alone) for s, factor in spreads),
        np.zeros(len(spreads[0][0].alone)),
    )


def _widened(variance: NDArray[np.float64], degrees: NDArray[np.float64]) -> NDArray[np.float64]:
    """Standard errors of which ± 1.96 cover as Student's t of these degrees of freedom does."""
    return np.sqrt(variance) * widening(np.clip(degrees, 1.0, 1e9))


def _freedom(plan: _Plan, used: int) -> float:
    drawn = sum(part.count for part in plan.parts if not part.copies)
    repeated = sum(part.count - part.count // part.copies for part in plan.parts if part.copies)
    missing = sum(part.count for part in plan.parts) - used
    return max(repeated + max(drawn - plan.n, 0) - missing, 1.0)


def _answered(plan: _Plan, used: NDArray[np.bool_]) -> int:
    """How many different pairs were answered."""
    found = [np.empty((0, (plan.n + 7) // 8), dtype=np.uint8)]
    for rows, z in _factors(plan):
        first = z[used[rows]] > 0.0
        found.append(np.packbits(first ^ first[:, :1], axis=1))  # of two halves either may be the first
    return len(np.unique(np.concatenate(found), axis=0))


def _weights(
    plan: _Plan, odd: NDArray[np.float64]
) -> tuple[NDArray[np.bool_], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Of the pairs: which are there bool[m], what each weighs float64[m], its noise's variance where it has copies, else NaN.

    And by how much the weight of one is off, as copies, or all that was drawn of a size, were not answered.
    """
    used = ~np.isnan(odd)
    weights, alone, off = np.zeros(len(odd)), np.full(len(odd), np.nan), np.zeros(len(odd))
    start = 0
    for part in plan.parts:
        rows = slice(start, start + part.count)
        start = rows.stop
        there = int(used[rows].sum())
        kernel = (1.0 if 2 * part.size == plan.n else 2.0) / (part.size * (plan.n - part.size))
        weights[rows] = np.where(used[rows], kernel / max(there, 1), 0.0)
        if part.copies:
            alone[rows] = _noise(odd[rows].reshape(-1, part.copies))
            if there < part.count:
                by_pair = kernel * misses(used[rows].reshape(-1, part.copies).sum(axis=1))
                off[rows] = np.repeat(by_pair, part.copies) / math.sqrt(part.copies)
        elif not there and part.count:  # as the mean over the size's pairs
            off[rows] = kernel / math.sqrt(part.count * _number(plan.n, part.size))
    return used, weights, alone, off


def _noise(copies: NDArray[np.float64]) -> float:
    """The variance between copies float64[m, c] of m pairs; 0 where there is one of each."""
    there = ~np.isnan(copies)
    count = there.sum(axis=1)
    mean = np.where(there, copies, 0.0).sum(axis=1) / np.maximum(count, 1)
    squares = (np.where(there, copies - mean[:, None], 0.0) ** 2).sum()
    return float(squares / max(int((count - 1).clip(0).sum()), 1))


def _factors(plan: _Plan) -> Iterator[tuple[slice, NDArray[np.float64]]]:
    """The regressors z = (x − mean of x) / 2 of the pairs, float64[rows, n]."""
    start = 0
    for masks, _ in _pairs(plan):
        rows = slice(start, start + len(masks))
        start = rows.stop
        yield rows, masks - masks[:1].sum() / plan.n
