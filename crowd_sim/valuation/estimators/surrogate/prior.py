"""A Gaussian process over the odd Fourier levels of a game, in which every player has a relevance of its own.

Write a coalition S as x in {−1, 1}^n and v(S) = Σ_T c_T Π_{i∈T} x_i. Then d(S) = (v(S) − v(N∖S)) / 2 holds the odd levels
|T| alone, and Shapley values depend on nothing else (O'Donnell, "Analysis of Boolean functions", 2014, for the expansion).

A priori c_T, |T| odd, are independent with variances in proportion to Π_{i∈T} tanh(l_i / 2), which makes the covariance of
d(x) and d(y) exp(−L/2) sinh(Σ l_i x_i y_i / 2), L = Σ l_i; besides there is white noise, every pair on its own. Both are
multiplied by a spread that depends on the coalition's size. A linear part, all of whose coefficients are alike, is added,
and for averaging games the features of `Averages`.

Values less their mean are φ_i = Σ_y u(|y|, y_i) d(y) over the coalitions but the empty and the grand one, with
u = 1 / (n C(n−1, |y|−1)) where i is in y and −1 / (n C(n−1, |y|)) where it is not. Sums
over all coalitions of a product over players, by their size, are those of independent coins: dynamic programming, none of
whose terms has another sign.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numba
import numpy as np
from numpy.typing import NDArray

from crowd_sim.elementary import exp, exp_in_place
from crowd_sim.linear_algebra import add_upper, product
from crowd_sim.valuation.estimators.surrogate.fourier import MOST_PLAYERS, Codes, coded

Vector = NDArray[np.float64]


class Known(Protocol):
    """Odd features, of a few kinds, that a game may have besides what its players' relevances tell."""

    @property
    def values(self) -> tuple[Vector, ...]:
        """float64[f, n] for each kind, the Shapley values less their mean of every feature."""

    def features(self, signs: Vector) -> tuple[Vector, ...]:
        """Of the pairs ``signs`` [m, n]: float64[m, f] for each kind."""

    def uncertainty(self, signs: Vector, pulls: Vector, variances: Sequence[float]) -> Vector | float:
        """What estimated values of features leave: variances float64[n], where ``pulls`` [m] of ``signs`` are predictions."""


@dataclass(frozen=True, eq=False)
class Repeats:
    """How often pairs of a game with noise were evaluated; what they are worth is then the mean of the answers.

    Attributes:
        copies: float64[m].
        squares: the sum of squared deviations of the answers from their pair's mean.
        freedom: how many of those are independent.
    """

    copies: Vector
    squares: float
    freedom: int

    def only(self, some: NDArray[np.int64] | slice, unit: float = 1.0) -> Repeats:
        """Of ``some`` pairs, in units of ``unit``; what all answers tell of the noise is kept."""
        return Repeats(self.copies[some], self.squares / (unit * unit), self.freedom)


@dataclass(frozen=True, eq=False)
class Prior:
    """Covariances of d at pairs, each given by the signs [n] of one of its two coalitions.

    Attributes:
        rates: float64[n], the relevances l_i.
        spread: float64[n + 1], by the coalition's size; the same for a size and that of its complement.
        linear: n times the variance of a coefficient of the linear part.
        noise: the variance of the white noise, times the squared spread.
        known: further features.
        variances: of the coefficients of each kind of them.
        nugget: of a game that answers differently each time, the variance of an answer: no part of d, of size 0 else.
    """

    rates: Vector
    spread: Vector
    linear: float
    noise: float
    known: Known | None = None
    variances: tuple[float, ...] = ()
    nugget: float = 0.0

    def between(self, left: Vector, right: Vector) -> Vector:
        """Covariances float64[k, m] at different pairs, signs [k, n] and [m, n]."""
        turned = np.ascontiguousarray(right.T)
        found = product(left * (0.5 * self.rates), turned)
        _structured(found, 0.5 * self.rates.sum(), self.spread[sizes(left)], self.spread[sizes(right)], False)
        if self.linear:
            found += product(left * (self.linear / left.shape[1]), turned)
        if self.known is not None:
            parts = zip(self.variances, self.known.features(left), self.known.features(right), strict=True)
            for variance, ours, others in parts:
                found += product(variance * ours, np.ascontiguousarray(others.T))
        return found

    def within(self, signs: Vector, repeats: Repeats | None = None) -> Vector:
        """Covariances float64[m, m] at the pairs ``signs`` [m, n] with each other, of what was answered in the mean.

        Their upper triangle: below the diagonal is something that means nothing.
        """
        spread = self.spread[sizes(signs)]
        if signs.shape[1] <= MOST_PLAYERS:
            found = np.empty((len(signs), len(signs)))
            _structured_by_code(found, coded(signs < 0.0), disagreeing(self.rates), spread)
        else:
            turned = np.ascontiguousarray(signs.T)
            found = np.zeros((len(signs), len(signs)))
            add_upper(found, (0.5 * self.rates)[:, None] * turned, turned)
            _structured(found, 0.5 * self.rates.sum(), spread, spread, True)
        parts = [] if self.known is None else list(zip(self.variances, self.known.features(signs), strict=True))
        for variance, part in [(self.linear / signs.shape[1], signs), *parts]:
            rows = np.ascontiguousarray(part.T)
            add_upper(found, variance * rows, rows)
        found[np.diag_indices(len(found))] += self.noise * np.square(spread)
        if repeats is not None:
            found[np.diag_indices(len(found))] += self.nugget / repeats.copies
        return found

    def with_values(self, signs: Vector) -> Vector:
        """Covariances float64[m, n] of d at the pairs ``signs`` [m, n] and the values less their mean."""
        size, n = sizes(signs), signs.shape[1]
        inside, outside = value_weights(n)
        ratio = exp(-self.rates)
        if np.ptp(self.rates) == 0.0:  # then a size has two numbers, that of its members and that of the others
            first = np.arange(n) < np.arange(1, n)[:, None]
            table = _with_values(first, ratio, self.spread, inside, outside)
            found = np.where(signs > 0, table[size - 1, 0][:, None], table[size - 1, -1][:, None])
        else:
            found = _with_values(signs > 0, ratio, self.spread, inside, outside)
        found += 2.0 * self.linear / n * (signs - signs.mean(axis=1, keepdims=True))
        if self.known is not None:
            for variance, part, of_part in zip(
                self.variances, self.known.features(signs), self.known.values, strict=True
            ):
                found += product(variance * part, of_part)
        pull = np.where(signs > 0, inside[size][:, None], outside[size][:, None])
        return found + (2.0 * self.noise * np.square(self.spread[size]))[:, None] * pull

    def of_values(self) -> Vector:
        """The variances float64[n] of the values less their mean."""
        n = len(self.rates)
        inside, outside = value_weights(n)
        alike = np.ptp(self.rates) == 0.0
        found = _of_values(exp(-self.rates), self.spread, inside, outside, n - 1 if alike else 0)
        if alike:
            found[:] = found[-1]
        if self.known is not None:
            for variance, of_part in zip(self.variances, self.known.values, strict=True):
                found += variance * (of_part**2).sum(axis=0)
        k = np.arange(1, n)  # n C(n−1, k−1) = 1 / inside coalitions with i stand for n u² each
        noise = 2.0 / n * (self.spread[k] ** 2 * (inside[k] - outside[k])).sum()
        return found + self.noise * noise + self.linear * 4.0 / n * (1.0 - 1.0 / n)


def sizes(signs: Vector) -> NDArray[np.int64]:
    """How many players are in the coalitions of ``signs`` [m, n]."""
    return (signs > 0).sum(axis=1)


def shares_of(rates: Vector) -> Vector:
    """What each player multiplies a term's variance with, tanh(l / 2), of the relevances ``rates``."""
    return np.divide(1.0 - exp(-rates), 1.0 + exp(-rates))


def disagreeing(rates: Vector) -> Vector:
    """Π e^(−l_i) over the players i of a code, by the code: float64[2^n].

    Of those in whom two pairs differ it is e^(h − t) with h = Σ l_i x_i y_i / 2 and t = Σ l_i / 2, of the others e^(−h − t).
    """
    found = np.ones(1)
    for factor in exp(-rates):
        found = np.concatenate([found, factor * found])
    return found


def value_weights(n: int) -> tuple[Vector, Vector]:
    """What d of a coalition weighs in the values of those in it and of the others: float64[n + 1] each, by its size."""
    inside, outside = np.zeros(n + 1), np.zeros(n + 1)
    for k in range(1, n):
        inside[k] = 1.0 / (n * math.comb(n - 1, k - 1))
        outside[k] = -1.0 / (n * math.comb(n - 1, k))
    return inside, outside


@numba.njit(cache=True)
def hyperbolic(half: Vector, total: float, plus: Vector, minus: Vector) -> None:
    """Set ``plus`` and ``minus`` [m] to e^(h − t) and e^(−h − t) of ``half`` [m], at most the ``total`` in size."""
    least = np.full(1, -2.0 * total)
    exp_in_place(least)
    for j in range(len(half)):
        plus[j] = abs(half[j]) - total
    exp_in_place(plus)
    for j in range(len(half)):
        larger = plus[j]
        smaller = least[0] / larger
        plus[j], minus[j] = (larger, smaller) if half[j] > 0.0 else (smaller, larger)


@numba.njit(cache=True)
def hyperbolic_by_code(code: int, codes: Codes, table: Vector, plus: Vector, minus: Vector) -> None:
    """As `hyperbolic`, of pairs with ``code`` and ``codes`` [m], from the ``table`` that `disagreeing` makes."""
    for j in range(len(codes)):
        differ = code ^ codes[j]
        plus[j], minus[j] = table[differ], table[len(table) - 1 - differ]


@numba.njit(cache=True)
def _structured_by_code(out: Vector, codes: Codes, table: Vector, spread: Vector) -> None:
    """Set ``out`` [m, m] from the diagonal on to the covariances of pairs with these codes and spreads."""
    m = len(codes)
    plus, minus = np.empty(m), np.empty(m)
    for i in range(m):
        hyperbolic_by_code(codes[i], codes[i:], table, plus, minus)
        of_row = 0.5 * spread[i]
        for j in range(i, m):
            out[i, j] = (plus[j - i] - minus[j - i]) * of_row * spread[j]


@numba.njit(cache=True)
def _structured(half: Vector, total: float, of_row: Vector, of_column: Vector, upper: bool) -> None:
    """Turn ``half`` [k, m] into covariances of pairs with these spreads; ``upper``: from the diagonal on."""
    plus, minus = np.empty(half.shape[1]), np.empty(half.shape[1])
    for i in range(len(half)):
        first = i if upper else 0
        row, columns = half[i, first:], of_column[first:]
        hyperbolic(row, total, plus, minus)
        spread = 0.5 * of_row[i]
        for j in range(len(row)):
            row[j] = (plus[j] - minus[j]) * spread * columns[j]


@numba.njit(cache=True)
def _with_values(
    members: NDArray[np.bool_], ratio: Vector, spread: Vector, inside: Vector, outside: Vector
) -> NDArray[np.float64]:
    m, n = members.shape
    out = np.empty((m, n))
    scale = 1.0
    for j in range(n):
        scale *= 1.0 + ratio[j]
    ahead = np.empty((n + 1, n + 1))  # [j, k]: the chance that k of the first j coins show heads
    after = np.empty(
        (2, n + 1, n + 1)
    )  # [0, j, k]: the expected weight, k of the first j and one left out having shown heads
    heads = np.empty(n)
    for row in range(m):
        size = 0
        for j in range(n):
            size += members[row, j]
            heads[j] = 1.0 / (1.0 + ratio[j]) if members[row, j] else ratio[j] / (1.0 + ratio[j])
        ahead[0, 0] = 1.0
        for j in range(n):
            ahead[j + 1, 0] = ahead[j, 0] * (1.0 - heads[j])
            for k in range(1, j + 1):
                ahead[j + 1, k] = ahead[j, k] * (1.0 - heads[j]) + ahead[j, k - 1] * heads[j]
            ahead[j + 1, j + 1] = ahead[j, j] * heads[j]
        for k in range(n):
            after[0, n, k] = spread[k + 1] * inside[k + 1]
            after[1, n, k] = spread[k] * outside[k]
        for j in range(n - 1, -1, -1):
            for k in range(j):
                for c in range(2):
                    after[c, j, k] = after[c, j + 1, k] * (1.0 - heads[j]) + after[c, j + 1, k + 1] * heads[j]
        for j in range(n):
            of_heads = 0.0
            of_tails = 0.0
            for k in range(j + 1):
                of_heads += ahead[j, k] * after[0, j + 1, k]
                of_tails += ahead[j, k] * after[1, j + 1, k]
            out[row, j] = spread[size] * scale * (heads[j] * of_heads + (1.0 - heads[j]) * of_tails)
    return out


@numba.njit(cache=True)
def _of_values(ratio: Vector, spread: Vector, inside: Vector, outside: Vector, first: int) -> Vector:
    """The variances of the structured part's values, of players ``first`` and up; others 0."""
    n = len(ratio)
    scale = 1.0
    for j in range(n):
        scale *= 2.0 * (1.0 + ratio[j])
    # Two coins each, which agree with chance 1 / (1 + ratio): as above, by how many heads either show
    ahead = np.zeros((n - first, n + 1, n + 1))
    now = np.zeros((n + 1, n + 1))
    now[0, 0] = 1.0
    for j in range(n):
        if j >= first:
            ahead[j - first] = now
        _one_more(now, j, 0.5 / (1.0 + ratio[j]))
    both, one, none = np.zeros((n + 1, n + 1)), np.zeros((n + 1, n + 1)), np.zeros((n + 1, n + 1))
    for k in range(n):
        for other in range(n):
            both[k, other] = spread[k + 1] * inside[k + 1] * spread[other + 1] * inside[other + 1]
            one[k, other] = spread[k + 1] * inside[k + 1] * spread[other] * outside[other]
            none[k, other] = spread[k] * outside[k] * spread[other] * outside[other]
    out = np.zeros(n)
    for j in range(n - 1, first - 1, -1):
        same = 0.5 / (1.0 + ratio[j])
        for k in range(j + 1):
            for other in range(j + 1):
                expected = same * (both[k, other] + none[k, other]) + (1.0 - 2.0 * same) * one[k, other]
                out[j] += scale * ahead[j - first, k, other] * expected
        for after in (both, one, none):
            _one_less(after, j, same)
    return out


@numba.njit(cache=True)
def _one_more(chances: Vector, j: int, same: float) -> None:
    """The chances after another pair of coins, of those after ``j``; both show heads with chance ``same``."""
    for k in range(j + 1, -1, -1):
        for other in range(j + 1, -1, -1):
            found = chances[k, other] * same
            if k and other:
                found += chances[k - 1, other - 1] * same
            if k:
                found += chances[k - 1, other] * (0.5 - same)
            if other:
                found += chances[k, other - 1] * (0.5 - same)
            chances[k, other] = found


@numba.njit(cache=True)
def _one_less(after: Vector, j: int, same: float) -> None:
    """What is expected after ``j`` pairs of coins, of what is after one more."""
    for k in range(j):
        for other in range(j):
            after[k, other] = same * (after[k, other] + after[k + 1, other + 1]) + (0.5 - same) * (
                after[k + 1, other] + after[k, other + 1]
            )
