"""Other values than Shapley's from coalitions that a valuation has evaluated anyway.

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
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numba
import numpy as np
from numpy.typing import ArrayLike, NDArray

from crowd_sim.errors import InputError
from crowd_sim.linear_algebra import cholesky, gram, solved, transposed_times
from crowd_sim.valuation.agreement import seen_in, unsure
from crowd_sim.valuation.faces import html, squares
from crowd_sim.valuation.noise import DRAW_BITS
from crowd_sim.valuation.result import ShapleyResult, widening
from crowd_sim.valuation.semivalue_weights import banzhaf_weights, beta_weights, checked_weights
from crowd_sim.valuation.validation import finite
from crowd_sim.valuation.values import (
    LeastCore,
    least_core_of,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

_GROUPS = 20  # of the jackknife
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

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw a square a pair, red above 0 and blue below, and return the axes: matplotlib's ``ax``, or a new figure's."""
        return squares(self.values, "interaction", ax)

    def _repr_html_(self) -> str:
        """What a notebook shows: the table, of many pairs the ends of it."""
        return html(f"Pairwise interactions of {len(self.values)} players", self.to_frame())

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
        drawn: whether these are draws of a game with noise, of which all coalitions say not all.

    Raises:
        InputError: arrays of other shapes or kinds, utilities that are not finite, or neither end among the coalitions.
    """

    coalitions: NDArray[np.bool_]
    utilities: NDArray[np.float64]
    groups: NDArray[np.int64]
    drawn: bool = False

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
            allowed = (
                "must be a result with its evaluations: one that was given a rule, stop=MaxEvaluations(budget) say"
            )
            raise InputError("result", None, allowed)
        n, rows = len(result.values), result.evaluated.masks()
        if noisy := rows.shape[1] == n + DRAW_BITS:
            rows = rows[:, :n]
        there = ~np.isnan(result.evaluated.utilities)
        rows, utilities = np.ascontiguousarray(rows[there]), result.evaluated.utilities[there]
        sizes = rows.sum(axis=1)
        for size, name in ((0, "the empty"), (n, "the grand")):
            if not (sizes == size).any():
                raise InputError("result", result.method, f"must have evaluated {name} coalition")
        return cls(rows, utilities, _grouped(rows, result.method), noisy)

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
        if len(self.utilities) == 2**n and not self.drawn:
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
    for end in (sizes == 0, sizes == n):  # what is drawn again has noise, the rest is known
        groups[end] = np.arange(end.sum()) % _GROUPS if end.sum() > 1 else -1
    return groups


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
