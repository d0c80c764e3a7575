"""Other values than Shapley's, exact and from the same utilities: those of all coalitions of a small game.

>>> from crowd_sim.valuation import AllUtilities, AveragingGame, beta_shapley, interactions
>>> game = AllUtilities.of(AveragingGame([[1.0], [2.0], [2.0]], [2.0]))
>>> beta_shapley(game, 16.0, 1.0).shape, interactions(game).shape
((3,), (3, 3))

`shapley`, `banzhaf` and `leave_one_out` take an `AllUtilities` as any other game, and evaluate nothing again. For games with
more players see `sampled_values` and `sampled_owen`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from crowd_sim.errors import InputError
from crowd_sim.valuation.estimators.exact import MAX_PLAYERS, all_coalitions
from crowd_sim.valuation.faces import dots, html
from crowd_sim.valuation.games import Game, players_of
from crowd_sim.valuation.noise import noise_of
from crowd_sim.valuation.request import LARGEST, SMALLEST, Evaluate, Request
from crowd_sim.valuation.semivalue_weights import beta_weights, checked_weights
from crowd_sim.valuation.validation import checked_size, finite, integer

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

_MOST_IN_CORE = 15  # players: the linear programme has a row a coalition


@dataclass(frozen=True, eq=False)
class AllUtilities:
    """A game by the utilities of all its coalitions; itself a game.

    Attributes:
        n_players: n, up to 20.
        table: float64[2^n]; coalition number c holds player i where bit i of c is set.

    Raises:
        InputError: another number of players, or a table that is not of this shape, not finite, or of a size above 1e70 or
            below 1e-70 but 0.
    """

    n_players: int
    table: NDArray[np.float64]

    def __post_init__(self) -> None:
        n = integer("n_players", self.n_players, 1, MAX_PLAYERS)
        object.__setattr__(self, "n_players", n)
        table = finite("table", self.table, (2**n,))
        object.__setattr__(self, "table", table)
        if (size := float(np.abs(table).max())) > LARGEST:
            raise InputError("table", size, f"utilities must be of a size up to {LARGEST:g}; scale them")
        checked_size(size, SMALLEST)

    @classmethod
    def of(cls, game: Game, evaluate: Evaluate | None = None) -> AllUtilities:
        """Evaluate all 2^n coalitions, or take those of an `AllUtilities`; ``evaluate`` as in `shapley`.

        Raises:
            InputError: no game, one with noise, more than 20 players, utilities of the wrong shape or not finite.
        """
        if isinstance(game, AllUtilities):
            return game
        n = players_of(game)
        check_not_noisy(game)
        if n > MAX_PLAYERS:
            raise InputError("game.n_players", n, f"must be at most {MAX_PLAYERS}, to evaluate all coalitions")
        request = Request(games=[game], n_players=n, evaluate=evaluate, budget=2**n, seed=0, run=0)
        return cls(n, np.concatenate([u[0] for _, u in request.utilities(all_coalitions(n))]))

    def __call__(self, coalitions: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Utilities float64[m] of ``coalitions`` bool[m, n].

        Raises:
            InputError: coalitions of another number of players.
        """
        if np.shape(coalitions)[1:] != (self.n_players,):
            raise InputError("coalitions", np.shape(coalitions), f"must have the shape any×{self.n_players}")
        return self.table[(np.asarray(coalitions, dtype=np.bool_) * (1 << np.arange(self.n_players))).sum(axis=1)]


def semivalue(game: Game, weights: ArrayLike) -> NDArray[np.float64]:
    """Σ_k weights[k] × the mean of v(S ∪ {i}) − v(S) over the coalitions S of k others, of every player i: float64[n].

    All weights 1/n give Shapley values, C(n−1, k) / 2^(n−1) Banzhaf values, (0, …, 0, 1) leave-one-out.

    Args:
        game: of at most 20 players.
        weights: float64[n], of k = 0, … n − 1 others; at least 0, of sum 1.

    Raises:
        InputError: weights that are none, and as `AllUtilities.of`.
    """
    known = AllUtilities.of(game)
    n, table = known.n_players, known.table
    weight = checked_weights(weights, n)
    codes, sizes = _codes(n)
    each = weight / np.array([math.comb(n - 1, k) for k in range(n)])
    values = np.empty(n)
    for i in range(n):
        without = codes[codes >> i & 1 == 0]
        values[i] = (each[sizes[without]] * (table[without | 1 << i] - table[without])).sum()
    return values


def beta_shapley(game: Game, alpha: float, beta: float) -> NDArray[np.float64]:
    """Beta(α, β)-Shapley values float64[n] (Kwon and Zou, AISTATS 2022); (1, 1) are Shapley's.

    α > β stresses small coalitions.

    Raises:
        InputError: α or β not above 0, and as `AllUtilities.of`.
    """
    known = AllUtilities.of(game)
    return semivalue(known, beta_weights(known.n_players, alpha, beta))


def interactions(game: Game) -> NDArray[np.float64]:
    """Pairwise Shapley interactions float64[n, n], 0 on the diagonal: below 0 who overlap, above 0 who complement each other.

    The mean over sizes of v(S ∪ {i, j}) − v(S ∪ {i}) − v(S ∪ {j}) + v(S) (Grabisch and Roubens, 1999).

    Raises:
        InputError: as `AllUtilities.of`.
    """
    known = AllUtilities.of(game)
    n, table = known.n_players, known.table
    codes, sizes = _codes(n)
    each = np.array([1.0 / ((n - 1) * math.comb(n - 2, k)) for k in range(n - 1)])
    found = np.zeros((n, n))
    for i in range(n):
        for j in range(i):
            one, other = 1 << i, 1 << j
            s = codes[codes & (one | other) == 0]
            change = table[s | one | other] - table[s | one] - table[s | other] + table[s]
            found[i, j] = found[j, i] = (each[sizes[s]] * change).sum()
    return found


def owen(game: Game, groups: ArrayLike) -> NDArray[np.float64]:
    """Owen values float64[n]: groups bargain as Shapley's players do, and so do the members of each within it.

    Args:
        game: of at most 20 players.
        groups: [n], equal for players of the same group.

    Raises:
        InputError: not a group for every player, and as `AllUtilities.of`.
    """
    known = AllUtilities.of(game)
    n, table = known.n_players, known.table
    number = checked_groups(groups, n)
    members = [int((1 << np.flatnonzero(number == g)).sum()) for g in range(number.max() + 1)]
    values = np.zeros(n)
    for i in range(n):
        outside = _unions([m for g, m in enumerate(members) if g != number[i]])
        inside = _unions([1 << int(j) for j in np.flatnonzero(number == number[i]) if j != i])
        for have, their_weight in outside:
            for beside, weight in inside:
                s = have | beside
                values[i] += their_weight * weight * (table[s | 1 << i] - table[s])
    return values


def check_not_noisy(game: Game) -> None:
    """Refuse a game of chance where one answer would be taken for its mean.

    Raises:
        InputError: it is one.
    """
    if (noise := noise_of(game)) is not None:
        allowed = "must be None here: shapley, banzhaf and leave_one_out take games with noise"
        raise InputError("game.noise", noise, allowed)


def checked_groups(groups: ArrayLike, n: int) -> NDArray[np.int64]:
    """Numbers int64[n] from 0 of the players' groups.

    Raises:
        InputError: not a group for every player, or names of two kinds: ``1`` and ``"1"`` are told apart by nobody.
    """
    allowed = f"must be the name, or number, of the group of each of {n} players in turn"
    try:
        labels = np.asarray(groups)
    except ValueError:  # lists of several lengths: of members, say
        raise InputError("groups", groups, allowed) from None
    if labels.shape != (n,):
        raise InputError("groups", groups if labels.ndim > 1 else labels.shape, allowed)
    names = labels.tolist() if isinstance(groups, np.ndarray) else list(groups)  # type: ignore[arg-type]
    strings = sum(isinstance(name, str) for name in names)
    numbers = sum(isinstance(name, Real | np.bool_) and name == name for name in names)  # noqa: PLR0124 - no NaN
    if n not in (strings, numbers) or np.ma.is_masked(groups):
        raise InputError("groups", names, "must be names, or numbers, of the players' groups, and none missing")
    if labels.dtype.kind == "O":  # pandas' strings
        labels = np.asarray(names, dtype=np.str_ if strings else np.float64)
    return np.unique(labels, return_inverse=True)[1].astype(np.int64)


@dataclass(frozen=True, eq=False)
class LeastCore:
    """An allocation in the least core.

    Attributes:
        values: float64[n], of sum v(N) − v(∅); where several allocations are in the least core, one of them.
        deficit: the least e with which every coalition gets v(S) − v(∅) − e or more; up to 0: the core is not empty.
    """

    values: NDArray[np.float64]
    deficit: float

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the shares, largest first, and return the axes: matplotlib's ``ax``, or those of a new figure."""
        return dots(self.values, None, "share in the least core", ax)

    def _repr_html_(self) -> str:
        """What a notebook shows: the deficit and the table."""
        return html(f"Least core: deficit {self.deficit:.4g}", self.to_frame())

    def to_frame(self) -> pd.DataFrame:
        """One row a player: ``player`` (its number in the game), ``value``."""
        import pandas as pd

        return pd.DataFrame({"player": np.arange(len(self.values)), "value": self.values})


def least_core(game: Game) -> LeastCore:
    """The least core by linear programming (HiGHS), over all coalitions but the empty and the grand one.

    Raises:
        InputError: fewer than two or more than 15 players, and as `AllUtilities.of`.
    """
    n = players_of(game)
    if not 2 <= n <= _MOST_IN_CORE:
        raise InputError("game.n_players", n, f"must be in [2, {_MOST_IN_CORE}] for the least core")
    table = AllUtilities.of(game).table
    return least_core_of(np.concatenate(list(all_coalitions(n))), table)


def least_core_of(coalitions: NDArray[np.bool_], utilities: NDArray[np.float64]) -> LeastCore:
    """The least core of coalitions bool[m, n] with utilities float64[m], the empty and the grand one among them.

    Raises:
        InputError: fewer than two players, or more coalitions than the linear programme takes.
    """
    n, sizes = coalitions.shape[1], coalitions.sum(axis=1)
    if n < 2 or len(coalitions) > 2**_MOST_IN_CORE:
        allowed = f"must be at least 2 players, and at most {2**_MOST_IN_CORE} coalitions, for the least core"
        raise InputError("coalitions", coalitions.shape, allowed)
    gains = utilities - utilities[sizes == 0][0]
    unit = float(np.abs(gains).max()) or 1.0  # the solver's tolerances are absolute
    rows = (sizes > 0) & (sizes < n)
    solved = scipy.optimize.linprog(
        np.append(np.zeros(n), 1.0),
        A_ub=-np.column_stack([coalitions[rows], np.ones(rows.sum())]),
        b_ub=-gains[rows] / unit,
        A_eq=np.append(np.ones(n), 0.0)[None],
        b_eq=gains[sizes == n][:1] / unit,
        bounds=(None, None),
        method="highs",
    )
    solution = np.asarray(solved.x)
    return LeastCore(unit * solution[:n] + 0.0, unit * float(solution[n]) + 0.0)  # no zero below zero


def _codes(n: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The numbers of all coalitions, and their sizes."""
    codes = np.arange(2**n)
    sizes = np.zeros(2**n, dtype=np.int64)
    for i in range(n):
        sizes += codes >> i & 1
    return codes, sizes


def _unions(parts: Sequence[int]) -> list[tuple[int, float]]:
    """All unions of coalitions, by number, each with its weight in Shapley's value of one player beside them."""
    found = []
    m = len(parts)
    for code in range(2**m):
        chosen = [part for p, part in enumerate(parts) if code >> p & 1]
        found.append((sum(chosen), 1.0 / ((m + 1) * math.comb(m, len(chosen)))))
    return found
