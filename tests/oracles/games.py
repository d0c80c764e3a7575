"""Small games whose Shapley values are known, as plain callables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations
from math import comb

import numpy as np


@dataclass(frozen=True)
class Oracle:
    name: str
    n_players: int
    utility: Callable[[np.ndarray], np.ndarray]
    values: np.ndarray

    def __call__(self, coalitions: np.ndarray) -> np.ndarray:
        return self.utility(coalitions)

    def __repr__(self) -> str:
        return self.name


def unanimity(n: int, members: list[int]) -> Oracle:
    """v(S) = 1 where S holds all members: they share 1."""
    values = np.zeros(n)
    values[members] = 1.0 / len(members)
    return Oracle("unanimity", n, lambda c: c[:, members].all(axis=1).astype(float), values)


def sum_of_unanimity(n: int, n_terms: int, seed: int) -> Oracle:
    rng = np.random.default_rng(seed)
    terms = []
    for _ in range(n_terms):
        members = np.flatnonzero(rng.random(n) < 0.4)
        terms.append((rng.normal(), members if len(members) else np.array([0])))
    values = np.zeros(n)
    for weight, members in terms:
        values[members] += weight / len(members)
    return Oracle(
        "sum_of_unanimity", n, lambda c: sum(weight * c[:, members].all(axis=1) for weight, members in terms), values
    )


def airport(costs: list[float]) -> Oracle:
    """v(S) = −max cost in S (ascending): each segment of the runway is shared by those who need it."""
    cost = np.array(costs)
    n = len(cost)
    segments = np.diff(cost, prepend=0.0) / (n - np.arange(n))
    return Oracle("airport", n, lambda c: -(c * cost).max(axis=1), -np.cumsum(segments))


def glove(n_left: int, n_right: int) -> Oracle:
    """v(S) = the number of pairs S can form of left and right gloves; values by counting orders of arrival."""
    n = n_left + n_right

    def pivotal(mine: int, others: int) -> float:
        """The chance that a player meets fewer of its own kind than of the other kind when it arrives."""
        total = Fraction(0)
        for own in range(mine):
            for other in range(own + 1, others + 1):
                total += Fraction(comb(mine - 1, own) * comb(others, other), n * comb(n - 1, own + other))
        return float(total)

    values = np.array([pivotal(n_left, n_right)] * n_left + [pivotal(n_right, n_left)] * n_right)

    def utility(c: np.ndarray) -> np.ndarray:
        return np.minimum(c[:, :n_left].sum(axis=1), c[:, n_left:].sum(axis=1)).astype(float)

    return Oracle("glove", n, utility, values)


def weighted_majority(weights: list[int], quota: int) -> Oracle:
    """v(S) = 1 where the weights of S reach the quota: Shapley–Shubik, by counting the coalitions each player turns."""
    n = len(weights)
    values = []
    for i in range(n):
        rest = [w for j, w in enumerate(weights) if j != i]
        total = Fraction(0)
        for size in range(n):
            turned = sum(quota - weights[i] <= sum(s) < quota for s in combinations(rest, size))
            total += Fraction(turned, n * comb(n - 1, size))
        values.append(float(total))
    weight = np.array(weights)
    return Oracle("weighted_majority", n, lambda c: (c @ weight >= quota).astype(float), np.array(values))


def additive(worths: list[float], constant: float) -> Oracle:
    worth = np.array(worths)
    return Oracle("additive", len(worth), lambda c: constant + (c * worth).sum(axis=1), worth)


def symmetric(n: int) -> Oracle:
    """v(S) = √|S|: all alike."""
    return Oracle("symmetric", n, lambda c: np.sqrt(c.sum(axis=1)), np.full(n, np.sqrt(n) / n))


def with_dummy(n: int) -> Oracle:
    """Of n players the last adds nothing and the others count by their number squared."""
    values = np.full(n, (n - 1.0) ** 2 / (n - 1))
    values[-1] = 0.0
    return Oracle("with_dummy", n, lambda c: c[:, :-1].sum(axis=1).astype(float) ** 2, values)


def all_oracles() -> list[Oracle]:
    return [
        unanimity(7, [1, 2, 5]),
        unanimity(1, [0]),
        sum_of_unanimity(9, 20, seed=0),
        airport([1.0, 2.0, 2.0, 5.0, 9.0, 9.5]),
        glove(2, 5),
        glove(1, 2),
        weighted_majority([4, 3, 2, 1, 1, 1], 7),
        weighted_majority([1, 1, 1, 1, 1], 3),
        additive([3.0, -1.0, 0.0, 2.5], 10.0),
        additive([2.0, 5.0], -3.0),
        symmetric(8),
        with_dummy(6),
    ]


def brute_force(game: Callable[[np.ndarray], np.ndarray], n: int) -> np.ndarray:
    """The definition, player by player and coalition by coalition, sharing no code with the package."""
    values = np.zeros(n)
    for i in range(n):
        others = [j for j in range(n) if j != i]
        for size in range(n):
            chosen = list(combinations(others, size))
            without = np.zeros((len(chosen), n), dtype=bool)
            for row, members in enumerate(chosen):
                without[row, list(members)] = True
            joined = without.copy()
            joined[:, i] = True
            values[i] += np.mean(np.asarray(game(joined)) - np.asarray(game(without))) / n
    return values
