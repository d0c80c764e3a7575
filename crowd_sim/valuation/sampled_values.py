"""Other values than Shapley's from coalitions that a valuation has evaluated anyway, and Owen values from drawn orders.

>>> from crowd_sim.valuation import AveragingGame, MaxEvaluations, SampledUtilities, shapley
>>> game = AveragingGame([[float(i)] for i in range(30)], [9.0], score=lambda x, t: -((x - t) ** 4).sum(axis=1))
>>> some = SampledUtilities.of(shapley(game, budget=1000, stop=MaxEvaluations(1000)))
>>> some.banzhaf().values.shape, some.interactions().values.shape
((30,), (30, 30))

Coalitions are taken to be drawn uniformly within each size, as all methods do. With μ_s the mean utility of size s and c_si the
mean with i less that without i, the semivalue of weights w is

    Σ_s (w_{s−1} − w_s) μ_s + Σ_s κ_s c_si,    κ_s = w_{s−1} (1 − s/n) + w_s s/n,

so that every semivalue is a weighted least squares on the same utilities, with its own weights of the sizes (for Banzhaf values
maximum sample reuse: Wang and Jia, AISTATS 2023). Standard errors are a jackknife's over groups of pairs, on the safe side: it
takes also coalitions for drawn that belong to a size that was evaluated in full.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numba
import numpy as np
from numpy.typing import ArrayLike, NDArray

from crowd_sim.errors import InputError
from crowd_sim.linear_algebra import cholesky, gram, solved, transposed_times
from crowd_sim.random import Purpose
from crowd_sim.valuation.agreement import Seen, seen_in, unsure, unsure_alone
from crowd_sim.valuation.complements import with_complements
from crowd_sim.valuation.estimators.exact import all_coalitions
from crowd_sim.valuation.games import Game, players_of
from crowd_sim.valuation.noise import DRAW_BITS
from crowd_sim.valuation.once import once
from crowd_sim.valuation.request import Evaluate, Request, chunk_rows
from crowd_sim.valuation.result import ShapleyResult, widening
from crowd_sim.valuation.semivalue_weights import banzhaf_weights, beta_weights, checked_weights
from crowd_sim.valuation.shuffle import shuffle
from crowd_sim.valuation.validation import checked_budget, finite, integer
from crowd_sim.valuation.values import (
    AllUtilities,
    LeastCore,
    check_not_noisy,
    checked_groups,
    least_core_of,
    semivalue,
)

if TYPE_CHECKING:
    import pandas as pd

_GROUPS = 20  # of the jackknife
_LARGEST_KEY = 2**64 - 1
_STREAMS = np.uint64(2**62)  # apart from those of permutations and their cycles
_MOST_ENUMERATED = 2**20  # coalitions
_MOST_PAIRED = 100  # players whose interactions are a sum by size and pair


@dataclass(frozen=True, eq=False)
class Interactions:
    """Pairwise interactions.

    Attributes:
        values: float64[n, n], 0 on the diagonal: below 0 who overlap, above 0 who complement each other.
        stderr: float64[n, n], their standard errors.
    """

    values: NDArray[np.float64]
    stderr: NDArray[np.float64]

    def to_frame(self) -> pd.DataFrame:
        """One row a pair: ``player`` and ``other`` (their numbers in the game), ``value``, ``stderr``."""
        import pandas as pd

        one, other = np.triu_indices(len(self.values), 1)
        columns = {"value": self.values[one, other], "stderr": self.stderr[one, other]}
        return pd.DataFrame({"player": one, "other": other, **columns})


@dataclass(frozen=True, eq=False)
class SampledUtilities:
    """Some coalitions of a game with their utilities.

    Attributes:
        coalitions: bool[m, n], the empty and the grand one among them.
        utilities: float64[m].
        groups: int64[m], which of them the jackknife leaves out together, from 0 to 19; −1: never.

    Raises:
        InputError: arrays of other shapes or kinds, utilities that are not finite, or neither end among the coalitions.
    """

    coalitions: NDArray[np.bool_]
    utilities: NDArray[np.float64]
    groups: NDArray[np.int64]

    def __post_init__(self) -> None:
        coalitions, groups = np.asarray(self.coalitions), np.asarray(self.groups)
        if coalitions.ndim != 2 or coalitions.dtype != np.bool_ or not coalitions.shape[1]:
            raise InputError("coalitions", coalitions.shape, "must be an array bool[m, n]")
        sizes = coalitions.sum(axis=1)
        if not (sizes == 0).any() or not (sizes == coalitions.shape[1]).any():
            raise InputError("coalitions", coalitions.shape, "must hold the empty and the grand one")
        object.__setattr__(self, "utilities", finite("utilities", self.utilities, (len(coalitions),)))
        if groups.shape != sizes.shape or groups.dtype.kind not in "iu" or not (groups < _GROUPS).all():
            raise InputError("groups", groups.shape, f"must be an array int64[{len(sizes)}] of numbers below {_GROUPS}")

    @classmethod
    def of(cls, result: ShapleyResult) -> SampledUtilities:
        """The coalitions that a result was made of: one that was given a rule (``stop=MaxEvaluations(budget)``, say).

        Raises:
            InputError: a result without its evaluations, or without v(∅) or v(N).
        """
        if not isinstance(result, ShapleyResult) or result.evaluated is None:
            raise InputError("result", None, "must be a result with its evaluations: one that was given a rule")
        n, rows = len(result.values), result.evaluated.masks()
        if rows.shape[1] == n + DRAW_BITS:
            rows = rows[:, :n]
        there = ~np.isnan(result.evaluated.utilities)
        rows, utilities = np.ascontiguousarray(rows[there]), result.evaluated.utilities[there]
        sizes = rows.sum(axis=1)
        for size, name in ((0, "the empty"), (n, "the grand")):
            if not (sizes == size).any():
                raise InputError("result", result.method, f"must have evaluated {name} coalition")
        return cls(rows, utilities, _grouped(rows, result.method))

    @property
    def n_players(self) -> int:
        """Number of players."""
        return self.coalitions.shape[1]

    def semivalue(self, weights: ArrayLike) -> ShapleyResult:
        """The semivalue of ``weights`` float64[n], of k = 0, … n − 1 others (see `crowd_sim.valuation.semivalue`).

        Sizes of which nothing was evaluated are taken from those next to them.

        Raises:
            InputError: weights that are none, or too few coalitions to tell the players apart.
        """
        return self._result(checked_weights(weights, self.n_players), "Semivalue")

    def banzhaf(self) -> ShapleyResult:
        """Banzhaf values, see `crowd_sim.valuation.banzhaf`."""
        return self._result(banzhaf_weights(self.n_players), "Banzhaf")

    def beta_shapley(self, alpha: float, beta: float) -> ShapleyResult:
        """Beta(α, β)-Shapley values, see `crowd_sim.valuation.beta_shapley`."""
        return self._result(beta_weights(self.n_players, alpha, beta), "Beta-Shapley")

    def interactions(self) -> Interactions:
        """Pairwise Shapley interactions, see `crowd_sim.valuation.interactions`.

        Of sizes and pairs of which nothing was drawn only what single players and the size explain is known.

        Raises:
            InputError: fewer than two or more than 100 players, or too few coalitions to tell the players apart.
        """
        n = self.n_players
        if not 2 <= n <= _MOST_PAIRED:
            raise InputError("n_players", n, f"must be in [2, {_MOST_PAIRED}] for interactions")
        values, stderr = self._jackknifed(lambda x, v: _interactions(x, v).ravel())
        np.fill_diagonal(stderr := stderr.reshape(n, n), 0.0)
        return Interactions(values.reshape(n, n), stderr)

    def least_core(self) -> LeastCore:
        """The least core of the coalitions that were evaluated (Yan and Procaccia, AAAI 2021): the true deficit is no less.

        Raises:
            InputError: fewer than two players.
        """
        return least_core_of(self.coalitions, self.utilities)

    def _result(self, weights: NDArray[np.float64], name: str) -> ShapleyResult:
        values, stderr = self._jackknifed(lambda x, v: _semivalue(x, v, weights))
        return ShapleyResult(values, stderr, len(self.utilities), name.lower().replace("-", "_"), kind=name)

    def _jackknifed(
        self, estimate: Callable[[NDArray[np.bool_], NDArray[np.float64]], NDArray[np.float64]]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        n = self.n_players
        values = estimate(self.coalitions, self.utilities)
        if len(self.utilities) == 2**n:
            return values, np.zeros_like(values)
        parts = []
        for group in range(_GROUPS):
            rows = self.groups != group
            try:
                parts.append(estimate(self.coalitions[rows], self.utilities[rows]))
            except InputError:
                share = f"1 in {_GROUPS} left out"
                allowed = f"has too few coalitions to tell {n} players apart with {share}, which standard errors take"
                raise InputError("result", len(self.utilities), allowed) from None
        left_out = np.stack(parts)
        variance = (_GROUPS - 1) / _GROUPS * ((left_out - left_out.mean(axis=0)) ** 2).sum(axis=0)
        stderr = widening(_GROUPS - 1) * np.sqrt(variance)
        return values, unsure(stderr, seen_in(self.coalitions, self.utilities), len(self.utilities))


def _grouped(rows: NDArray[np.bool_], method: str) -> NDArray[np.int64]:
    """A coalition and its complement stay together, and so does a permutation."""
    n = rows.shape[1]
    if method == "permutation":
        groups = np.arange(len(rows)) // max(2 * (n - 1), 1) % _GROUPS
        few = np.minimum(rows.sum(axis=1), n - rows.sum(axis=1)) <= 2  # these are evaluated in full
        groups = np.where(few, np.arange(len(rows)) // 2 % _GROUPS, groups)
    else:
        canonical = np.packbits(rows ^ rows[:, :1], axis=1)
        _, first, which = np.unique(canonical, axis=0, return_index=True, return_inverse=True)
        groups = np.argsort(np.argsort(first))[which.ravel()] % _GROUPS
    sizes = rows.sum(axis=1)
    return np.where((sizes == 0) | (sizes == n), -1, groups)


@dataclass(frozen=True, eq=False)
class _Sizes:
    """Mean utilities by size.

    Attributes:
        of: int64[m], each coalition's size.
        count: int64[n + 1], coalitions of each size.
        mean: float64[n + 1], of their utilities; where there are none, on the line between the sizes next to it.
    """

    of: NDArray[np.int64]
    count: NDArray[np.int64]
    mean: NDArray[np.float64]

    @classmethod
    def find(cls, coalitions: NDArray[np.bool_], utilities: NDArray[np.float64]) -> _Sizes:
        n = coalitions.shape[1]
        sizes = coalitions.sum(axis=1)
        count = np.bincount(sizes, minlength=n + 1)
        total = np.zeros(n + 1)
        np.add.at(total, sizes, utilities)
        known = np.flatnonzero(count)
        mean = np.interp(np.arange(n + 1), known, total[known] / count[known])
        return cls(sizes, count, mean)

    def inside(self, coalitions: NDArray[np.bool_]) -> NDArray[np.float64]:
        """float64[n + 1, n], the share of each size's coalitions that hold a player."""
        total = np.zeros((len(self.count), coalitions.shape[1]))
        np.add.at(total, self.of, coalitions.astype(np.float64))
        return total / np.maximum(self.count, 1)[:, None]


def _semivalue(
    coalitions: NDArray[np.bool_], utilities: NDArray[np.float64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    n = coalitions.shape[1]
    slopes, sizes = _slopes(coalitions, utilities, weights)
    before, after = np.append(0.0, weights), np.append(weights, 0.0)
    # what a size's mean owes to who happens to be in its coalitions
    share = sizes.inside(coalitions) - (np.arange(n + 1) / n)[:, None]
    owed = np.where(sizes.count > 0, (share * slopes).sum(axis=1), 0.0)
    known = np.flatnonzero(sizes.count)
    mean = np.interp(np.arange(n + 1), known, (sizes.mean - owed)[known])
    level = float(((before - after) * mean).sum())
    return level + slopes


def _slopes(
    coalitions: NDArray[np.bool_], utilities: NDArray[np.float64], weights: NDArray[np.float64]
) -> tuple[NDArray[np.float64], _Sizes]:
    """(n − 1) / n times the contrasts float64[n], averaged over the sizes with κ, by weighted least squares within sizes.

    The κ of weights that sum to 1 sum to (n − 1) / n, so that these are what players' values differ by.
    """
    n = coalitions.shape[1]
    sizes = _Sizes.find(coalitions, utilities)
    if n == 1:
        return np.zeros(1), sizes
    s = np.arange(1, n)
    kappa = np.zeros(n + 1)
    kappa[1:n] = weights[s - 1] * (1.0 - s / n) + weights[s] * s / n
    inner = np.flatnonzero(sizes.count[1:n] > 1) + 1
    if not len(inner):
        raise InputError("result", len(utilities), f"has too few coalitions to tell {n} players apart")
    nearest = inner[np.abs(inner[None, :] - s[:, None]).argmin(axis=1)]
    moved = np.zeros(n + 1)
    np.add.at(moved, nearest, kappa[1:n])
    part = np.arange(n + 1) / n
    # a size that is cut about its own mean keeps one draw less, of all there are none less
    number = np.array([float(min(math.comb(n, size), 2**53)) for size in range(n + 1)])
    drawn = (sizes.count - 1) * (number / np.maximum(number - 1.0, 1.0))
    each = np.divide(moved, drawn * part * (1.0 - part), out=np.zeros(n + 1), where=moved > 0.0)
    row = each[sizes.of]
    used = row > 0.0
    z = coalitions[used] - sizes.inside(coalitions)[sizes.of[used]]
    rest = utilities[used] - sizes.mean[sizes.of[used]]
    normal = gram(np.sqrt(row[used])[:, None] * z)
    normal += normal.trace() / n**2  # the rows of z sum to 0: this makes the solution do so
    upper, definite = cholesky(normal)
    pivots = upper.diagonal()
    if not definite or pivots.min() < 1e-7 * pivots.max():
        raise InputError("result", len(utilities), f"has too few coalitions to tell {n} players apart")
    return solved(upper, transposed_times(z, row[used] * rest)), sizes


def _interactions(coalitions: NDArray[np.bool_], utilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Means over sizes of the means of v with both, with one and without, after what sizes and single players explain."""
    n = coalitions.shape[1]
    slopes, sizes = _slopes(coalitions, utilities, np.full(n, 1.0 / n))
    residual = utilities - sizes.mean[sizes.of]
    residual = residual - (coalitions * slopes).sum(axis=1) + slopes.sum() * sizes.of / n
    both, both_count = np.zeros((n + 1, n, n)), np.zeros((n + 1, n, n))
    _cells(coalitions, residual, both, both_count)
    alone, apart = np.zeros((n + 1, n)), np.zeros((n + 1, n))
    np.add.at(alone, sizes.of, coalitions * residual[:, None])
    np.add.at(apart, sizes.of, coalitions.astype(np.float64))
    whole = np.zeros(n + 1)
    np.add.at(whole, sizes.of, residual)
    one, one_count = (
        alone[:, :, None] - both,
        apart[:, :, None] - both_count,
    )  # with the first of the two, and not the other
    none = whole[:, None, None] - one - one.transpose(0, 2, 1) - both
    none_count = sizes.count[:, None, None] - one_count - one_count.transpose(0, 2, 1) - both_count
    found = np.zeros((n, n))
    for k in range(n - 1):
        change = _mean(both[k + 2], both_count[k + 2]) + _mean(none[k], none_count[k])
        found += change - _mean(one[k + 1], one_count[k + 1]) - _mean(one[k + 1].T, one_count[k + 1].T)
        # of what the sizes explain
        found += sizes.mean[k + 2] - 2.0 * sizes.mean[k + 1] + sizes.mean[k]
    found /= n - 1
    np.fill_diagonal(found, 0.0)
    return found


def _mean(total: NDArray[np.float64], count: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.divide(total, count, out=np.zeros_like(total), where=count > 0.0)


@numba.njit(cache=True)
def _cells(
    coalitions: NDArray[np.bool_],
    residual: NDArray[np.float64],
    sums: NDArray[np.float64],
    counts: NDArray[np.float64],
) -> None:
    """Into zeroed float64[n + 1, n, n], by size, the sums and counts of coalitions with two players."""
    m, n = coalitions.shape
    members = np.empty(n, dtype=np.int64)
    for row in range(m):
        size = 0
        for i in range(n):
            if coalitions[row, i]:
                members[size] = i
                size += 1
        for a in range(size):
            for b in range(size):
                sums[size, members[a], members[b]] += residual[row]
                counts[size, members[a], members[b]] += 1.0


def sampled_owen(
    game: Game,
    groups: ArrayLike,
    budget: int = 10_000,
    seed: int = 0,
    run: int = 0,
    evaluate: Evaluate | None = None,
) -> ShapleyResult:
    """Owen values from random orders in which groups stay together, each with its reverse; see `crowd_sim.valuation.owen`.

    Where the budget covers all coalitions that such orders meet (any of the other groups in full, with any members of one), and
    these are at most 2^20, they are enumerated, and the values are exact.

    Args:
        game: with ``n_players`` and ``__call__(coalitions: bool[m, n]) -> float[m]``.
        groups: [n], equal for players of the same group.
        budget: number of utility evaluations, 2 (n − 1) for each pair of orders besides the two ends.
        seed: in [0, 2^64); with ``run`` the key of every draw.
        run: in [0, 2^64).
        evaluate: what evaluates the coalitions, as in `shapley`.

    Raises:
        InputError: a game with noise, not a group for every player, a budget of less than two pairs, and as `shapley`.
    """
    n = players_of(game)
    check_not_noisy(game)
    number = checked_groups(groups, n)
    allowed = checked_budget(budget)
    compatible = _n_compatible(number)
    enumerated = compatible <= min(allowed, _MOST_ENUMERATED)
    request = Request(
        games=[game],
        n_players=n,
        evaluate=evaluate,
        budget=allowed if enumerated else checked_budget(budget, 2 + 4 * (n - 1)),
        seed=integer("seed", seed, 0, _LARGEST_KEY),
        run=integer("run", run, 0, _LARGEST_KEY),
        seen=[Seen()],
    )
    if enumerated:
        values = _enumerated_owen(request, number)
        return ShapleyResult(values, np.zeros(n), compatible, "exact", kind="Owen")
    n_pairs = (request.budget - 2) // (2 * (n - 1)) if n > 1 else 0
    orders = np.empty((n_pairs, n), dtype=np.int64)
    _together(np.uint64(request.seed), np.uint64(request.run), np.uint64(Purpose.PERMUTATION), number, orders)
    request, different = once(request)
    utilities = np.concatenate([u[0] for _, u in request.utilities(_prefixes(orders, n))])
    halves = 0.5 * utilities[::2] - 0.5 * utilities[1::2]
    if n == 1:
        return ShapleyResult(-2.0 * halves, np.zeros(1), 2, "owen", kind="Owen")
    side = np.full((n_pairs, 1), halves[0])
    added = np.diff(np.concatenate([side, halves[1:].reshape(n_pairs, n - 1), -side], axis=1), axis=1)
    by_player = np.empty_like(added)
    np.put_along_axis(by_player, orders, added, axis=1)
    stderr = unsure_alone(widening(n_pairs - 1) * by_player.std(axis=0, ddof=1) / np.sqrt(n_pairs), by_player)
    rounding = 8.0 * np.finfo(np.float64).eps * float(np.abs(halves).max())
    cost = different(len(utilities))
    error = unsure(np.sqrt(stderr**2 + rounding**2), request.seen[0], cost)
    return ShapleyResult(by_player.mean(axis=0), error, cost, "owen", kind="Owen")


def _n_compatible(number: NDArray[np.int64]) -> int:
    """How many coalitions hold every group in full or not at all, but for one at most."""
    sizes = np.bincount(number).tolist()
    return int(2 ** len(sizes) + 2 ** (len(sizes) - 1) * sum(2**size - 2 for size in sizes))


def _enumerated_owen(request: Request, number: NDArray[np.int64]) -> NDArray[np.float64]:
    """Exact Owen values float64[n]: in a group Shapley's, of the game that is the mean over the orders of the other groups."""
    request, _ = once(request)
    sizes, values = np.bincount(number), np.empty(len(number))
    m = len(sizes)
    others = np.concatenate(list(all_coalitions(m - 1))) if m > 1 else np.zeros((1, 0), dtype=np.bool_)
    weights = np.array([1.0 / (m * math.comb(m - 1, int(k))) for k in others.sum(axis=1)])
    for group, size in enumerate(sizes):
        beside = np.insert(others, group, values=False, axis=1)[:, number]  # the players of the other groups
        within = np.zeros((2**size, len(number)), dtype=np.bool_)
        within[:, number == group] = np.concatenate(list(all_coalitions(int(size))))
        mean = np.zeros(2**size)
        answers = request.utilities(_unions(beside, within))
        utilities = np.concatenate([u[0] for _, u in answers]).reshape(len(beside), len(within))
        for weight, row in zip(weights, utilities, strict=True):
            mean += weight * row
        values[number == group] = semivalue(AllUtilities(int(size), mean), np.full(size, 1.0 / size))
    return values


def _unions(beside: NDArray[np.bool_], within: NDArray[np.bool_]) -> Iterator[NDArray[np.bool_]]:
    """Each row of one with each of the other, in fixed chunks."""
    step = chunk_rows(beside.shape[1])
    for start in range(0, len(beside) * len(within), step):
        rows = np.arange(start, min(start + step, len(beside) * len(within)))
        yield beside[rows // len(within)] | within[rows % len(within)]


def _prefixes(orders: NDArray[np.int64], n: int) -> Iterator[NDArray[np.bool_]]:
    """The empty and the grand coalition, then the orders' prefixes, each followed by its complement."""
    yield np.array([[False] * n, [True] * n])
    step = max(1, chunk_rows(n) // (2 * n))
    for start in range(0, len(orders), step):
        part = orders[start : start + step]
        places = np.empty_like(part)
        np.put_along_axis(places, part, np.arange(n)[None], axis=1)
        masks = (places[:, None, :] < np.arange(1, n)[:, None]).reshape(-1, n)
        yield with_complements(masks)


@numba.njit(cache=True)
def _together(
    seed: np.uint64, run: np.uint64, purpose: np.uint64, groups: NDArray[np.int64], out: NDArray[np.int64]
) -> None:
    """Orders of the groups, and within each of its members."""
    n_groups = groups.max() + 1
    turn, inside = np.empty(n_groups, dtype=np.int64), np.empty(len(groups), dtype=np.int64)
    sizes, place = np.bincount(groups), np.empty(n_groups, dtype=np.int64)
    for pair in range(len(out)):
        shuffle(seed, run, purpose, _STREAMS + np.uint64(2 * pair), n_groups, turn)
        shuffle(seed, run, purpose, _STREAMS + np.uint64(2 * pair + 1), len(groups), inside)
        begin = 0
        for group in turn:
            place[group] = begin
            begin += sizes[group]
        for player in inside:
            out[pair, place[groups[player]]] = player
            place[groups[player]] += 1
