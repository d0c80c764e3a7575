"""The likelihood of a prior's relevances and variances by what pairs are worth, its gradient and its curvature.

The restricted likelihood, less penalties on what tells relevances apart and on a spread that depends on the size ("automatic
relevance determination": Rasmussen and Williams, "Gaussian processes for machine learning", 2006, section 5.1). Its curvature
is the average information, which takes products alone (Gilmour, Thompson and Cullis, "Average information REML: an efficient
algorithm for variance parameter estimation in linear mixed models", Biometrics 51, 1995).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numba
import numpy as np
from numpy.typing import NDArray

from crowd_sim.elementary import exp, log
from crowd_sim.linear_algebra import (
    add_upper,
    cholesky,
    factorise,
    forward,
    gram,
    gram_of_lower,
    invert,
    mirror,
    product,
    subtract_upper,
    symmetric_times,
    times,
    transposed_times,
)
from crowd_sim.valuation.estimators.surrogate.fourier import MOST_PLAYERS, Codes, coded
from crowd_sim.valuation.estimators.surrogate.prior import (
    Repeats,
    disagreeing,
    hyperbolic,
    hyperbolic_by_code,
    sizes,
)

LEAST_NOISE = 1e-10  # of the variance; without it the equations may be singular
FIRST_NOISE = 1e-3

_STEEP = 2.0  # penalties: on the square of the spread's power,
_WILD, _WILD_NOISE = 0.2, 0.01  # of log variances, and of the log noise less that of the first guess

_IMPOSSIBLE = 1e10  # of equations that rounding makes singular

Vector = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Sample:
    """Pairs to learn from.

    Attributes:
        signs: float64[m, n].
        columns: float64[m, p], of the trend.
        worth: float64[m].
        grams: float64[k, m, m], of features that share a variance.
        apart: the penalty on what tells relevances apart.
        room: float64[4, m, m], overwritten: fresh memory for every call takes half as long as the sums.
        repeats: how often pairs were evaluated; that copies differ is part of the likelihood.
    """

    signs: Vector
    columns: Vector
    worth: Vector
    grams: Vector
    apart: float
    room: Vector
    repeats: Repeats | None = None

    @property
    def codes(self) -> Codes:
        """int64[m], of those who are out of each pair; of up to 15 players, else none."""
        return coded(self.signs < 0.0) if self.signs.shape[1] <= MOST_PLAYERS else np.zeros(0, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class _Numbers:
    """What logs say: relevances [n], noise, variances [k]; of pairs [m] log sizes, squared spreads, nuggets [0 or 1, m]."""

    rates: Vector
    noise: float
    at_least: float
    variances: Vector
    by_size: Vector
    squares: Vector
    nugget: Vector


def loss(logs: Vector, sample: Sample) -> tuple[float, Callable[[], tuple[Vector, Vector]]]:
    """Minus the restricted log likelihood, the prior's factor at its best, plus the penalties; what has its slopes.

    The slopes, a gradient [q] and a curvature [q, q], take as long again, and the memory of ``sample``: they are asked for
    before the next loss is.

    Args:
        logs: logarithms of n relevances and the noise, the power of the spread, logarithms of the variances of the features,
            and with repeats that of the nugget.
        sample: of the game.
    """
    signs, grams, repeats = sample.signs, sample.grams, sample.repeats
    (m, n), p = signs.shape, sample.columns.shape[1]
    noise, power = float(exp(logs[n])), float(logs[n + 1])
    rates, variances = exp(logs[:n]), exp(logs[n + 2 : n + 2 + len(grams)])
    by_size = log_sizes(n)[sizes(signs)]
    spread = exp(-power * by_size)
    at_least = noise + LEAST_NOISE * variances.sum()
    even, structured, matrix, _ = sample.room
    if n <= MOST_PLAYERS:
        table = disagreeing(rates)
    else:
        table, turned = np.zeros(0), np.ascontiguousarray(signs.T)
        even[:] = 0.0
        add_upper(even, (0.5 * rates)[:, None] * turned, turned)
    _covariances(even, structured, matrix, 0.5 * rates.sum(), sample.codes, table, spread, grams, variances, at_least)
    more, differ, nugget = 0, 0.0, np.zeros((0, m))
    if repeats is not None:
        nugget = exp(logs[-1:])[:, None] / repeats.copies
        matrix[np.diag_indices(m)] += nugget[0]
        more, differ = repeats.freedom, repeats.squares / float(exp(logs[-1:])[0])
    if not factorise(matrix):
        return _IMPOSSIBLE, partial(_nothing, len(logs))
    white = forward(matrix, np.column_stack([sample.columns, sample.worth]))
    of_columns = np.ascontiguousarray(white[:, :p])
    inner, regular = cholesky(gram(of_columns))
    if not regular:
        return _IMPOSSIBLE, partial(_nothing, len(logs))
    basis = forward(inner, np.ascontiguousarray(of_columns.T))  # [p, m], orthonormal
    rest = white[:, p] - transposed_times(basis, times(basis, white[:, p]))
    freedom = m - p + more
    scale = max((float(np.square(rest).sum()) + differ) / freedom, 1e-300)
    value = log(matrix.diagonal()).sum() + log(inner.diagonal()).sum() + 0.5 * freedom * log(scale)
    if repeats is not None:
        value += 0.5 * more * float(logs[-1])
    penalty, slope, steepness = _penalty(logs, n, len(grams), sample.apart)
    numbers = _Numbers(rates, noise, at_least, variances, by_size, np.square(spread), nugget)

    def slopes() -> tuple[Vector, Vector]:
        gradient, curvature = _slopes(sample, numbers, basis, rest / np.sqrt(scale), more, differ / scale)
        return gradient + slope, curvature + steepness

    return float(value) + penalty, slopes


def _nothing(count: int) -> tuple[Vector, Vector]:
    return np.zeros(count), np.zeros((count, count))


def _slopes(
    sample: Sample, numbers: _Numbers, basis: Vector, rest: Vector, more: int, differ: float
) -> tuple[Vector, Vector]:
    """Gradient and curvature of the likelihood.

    Args:
        sample: whose room has the structured part, that with cosh for sinh, and the factor of the covariances.
        numbers: there.
        basis: float64[p, m], the whitened trend's, orthonormal.
        rest: float64[m], what is whitened and off the trend, in units of the prior's scale.
        more: how many answers more there are than pairs.
        differ: the sum of squares of these, over their variance.
    """
    even, structured, matrix, lower = sample.room
    signs, grams, (m, n) = sample.signs, sample.grams, sample.signs.shape
    invert(matrix, lower)
    taken = product(np.vstack([basis, rest]), lower)
    moved = _moved(sample, numbers, taken[-1], transposed_times(matrix, rest))
    along = transposed_times(moved, taken[-1])
    moved = forward(matrix, moved)
    curvature = gram(moved) - gram(product(basis, moved))
    weights = matrix  # the inverse, less what the trend takes of it and what was worth
    gram_of_lower(lower, weights)
    subtract_upper(weights, taken, taken)
    whole, by_size, diagonal, weighted = _weighted(weights, structured, even, grams, numbers.by_size)
    of_noise = diagonal * numbers.squares
    gradient = np.empty(len(along))
    gradient[:n] = 0.5 * numbers.rates * ((signs * product(even.T, signs)).sum(axis=0) - whole)
    gradient[n] = numbers.noise * of_noise.sum()
    gradient[n + 1] = -2.0 * (by_size + numbers.at_least * (of_noise * numbers.by_size).sum())
    gradient[n + 2 : n + 2 + len(grams)] = numbers.variances * (weighted + LEAST_NOISE * of_noise.sum())
    if len(numbers.nugget):
        gradient[-1] = (numbers.nugget[0] * diagonal).sum() + 0.5 * (more - differ)
        curvature[-1, -1] += differ
        along[-1] += differ
    return gradient, 0.5 * (curvature - along[:, None] * along / (m - len(basis) + more))


def _moved(sample: Sample, numbers: _Numbers, pulls: Vector, pulled: Vector) -> Vector:
    """What the covariances' derivative by each of the logs makes of ``pulls`` [m]: float64[m, q].

    ``pulled`` [m] is what the covariances make of them. Inner products of these in the metric of the restricted likelihood are
    the average information.
    """
    (even, structured, _, _), signs = sample.room, sample.signs
    of_noise, of_nugget = numbers.squares * pulls, numbers.nugget * pulls
    of_structured = pulled - numbers.at_least * of_noise - of_nugget.sum(axis=0)
    of_grams = np.empty((len(sample.grams), len(signs)))
    for k, variance in enumerate(numbers.variances):
        of_grams[k] = variance * transposed_times(sample.grams[k], pulls)
        of_structured -= of_grams[k]
        of_grams[k] += variance * LEAST_NOISE * of_noise
    mirror(even)
    of_rates = signs * product(even.T, signs * pulls[:, None]) - of_structured[:, None]
    of_power = numbers.by_size * (of_structured + 2.0 * numbers.at_least * of_noise)
    of_power += symmetric_times(structured, numbers.by_size * pulls)
    columns = [0.5 * numbers.rates * of_rates, numbers.noise * of_noise, -of_power, of_grams.T, of_nugget.T]
    return np.column_stack(columns)


def _penalty(logs: Vector, n: int, k: int, apart: float) -> tuple[float, Vector, Vector]:
    """What the ``logs`` of n players and k variances are charged with, half a quadratic form; its gradient and curvature.

    A normal prior of each: what the likelihood leaves open stays near the first guess.
    """
    weights, less = np.zeros(len(logs)), np.zeros(len(logs))
    weights[:n], less[:n] = apart, logs[:n].mean()
    weights[n], less[n] = _WILD_NOISE, log(FIRST_NOISE)
    weights[n + 1] = _STEEP
    weights[n + 2 : n + 2 + k] = _WILD
    slope, curvature = weights * (logs - less), np.diag(weights)
    curvature[:n, :n] -= apart / n
    return 0.5 * float((slope * (logs - less)).sum()), slope, curvature


@numba.njit(cache=True)
def _covariances(
    half: Vector,
    structured: Vector,
    matrix: Vector,
    total: float,
    codes: Codes,
    table: Vector,
    spread: Vector,
    grams: Vector,
    variances: Vector,
    noise: float,
) -> None:
    """Set ``matrix`` to the covariances, ``structured`` to their structured part, and ``half`` to that with cosh for sinh.

    All of them [m, m], and their upper triangles alone. The ``table`` of `disagreeing` says it by the ``codes`` [m]; where it
    is empty, ``half`` does, Σ l_i x_i y_i / 2.
    """
    m = len(half)
    plus, minus = np.empty(m), np.empty(m)
    for i in range(m):
        if len(table):
            hyperbolic_by_code(codes[i], codes[i:], table, plus[i:], minus[i:])
        else:
            hyperbolic(half[i, i:], total, plus[i:], minus[i:])
        of_row = 0.5 * spread[i]
        for j in range(i, m):
            both = of_row * spread[j]
            structured[i, j] = matrix[i, j] = both * (plus[j] - minus[j])
            half[i, j] = both * (plus[j] + minus[j])
        for k in range(len(grams)):
            variance = variances[k]
            for j in range(i, m):
                matrix[i, j] += variance * grams[k, i, j]
        matrix[i, i] += noise * spread[i] * spread[i]


@numba.njit(cache=True)
def _weighted(
    twice: Vector, structured: Vector, even: Vector, grams: Vector, by_size: Vector
) -> tuple[float, float, Vector, Vector]:
    """Of ``twice`` W [m, m]: the sum of W times structured, that by size of a row, W's diagonal, the sums of W times grams.

    All matrices are symmetric and given by their upper triangles. ``even`` becomes W times itself, with twice as much above
    the diagonal and 0 below: a quadratic form has the same value.
    """
    m = len(twice)
    above, of_rows, diagonal, of_grams = np.zeros(m), np.zeros(m), np.empty(m), np.zeros(len(grams))
    parts = np.zeros((len(grams), m))
    whole = sized = 0.0
    for i in range(m):
        diagonal[i] = 0.5 * twice[i, i]
        of_one = diagonal[i] * structured[i, i]
        whole += of_one
        sized += of_one * by_size[i]
        even[i, :i] = 0.0
        even[i, i] *= diagonal[i]
        factor = by_size[i]
        for j in range(i + 1, m):
            even[i, j] *= twice[i, j]
            of_pair = 0.5 * twice[i, j] * structured[i, j]
            above[j] += of_pair
            of_rows[j] += factor * of_pair
        for k in range(len(grams)):
            parts[k, i] += diagonal[i] * grams[k, i, i]
            for j in range(i + 1, m):
                parts[k, j] += twice[i, j] * grams[k, i, j]
    for j in range(m):
        whole += 2.0 * above[j]
        sized += of_rows[j] + by_size[j] * above[j]
        for k in range(len(grams)):
            of_grams[k] += parts[k, j]
    return whole, sized, diagonal, of_grams


def log_sizes(n: int) -> Vector:
    """The logarithm of the smaller size of a pair over that of the mean pair, float64[n + 1]."""
    size = np.arange(n + 1.0)
    return log(np.maximum(np.minimum(size, n - size), 1.0) / (0.25 * n))
