"""The relevances of the surrogate's prior, learnt from what pairs are worth.

Greatest restricted likelihood, less penalties on what tells relevances apart and on a spread that depends on the size
("automatic relevance determination": Rasmussen and Williams, "Gaussian processes for machine learning", 2006, section 5.1).
"""

from __future__ import annotations

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
    gram_of_lower,
    invert,
    product,
    subtract_upper,
    times,
    transposed_times,
)
from crowd_sim.valuation.estimators.surrogate.descent import Past, carried, least
from crowd_sim.valuation.estimators.surrogate.prior import Known, Prior, Repeats, hyperbolic, sizes

MOST_APART = 100  # players; of more, all have the same relevance
ENOUGH = 400  # pairs, from which on what is learnt is worth polishing

_APART, _ALIKE = 3.0, 1e3  # penalties on squares of log relevances less their mean; the other all but forbids to differ
_STEEP = 2.0  # on the square of the spread's power
_FIRST_RATE, _FIRST_NOISE = 0.3, 1e-3
_NUGGET = -1.0, -23.0, 9.0  # logarithms, relative to the variance: the first guess, the least and the most
_LEAST_NOISE = 1e-10  # of the variance; without it the equations may be singular
_FEW, _MANY = 256, 512  # pairs to learn from
_ALIKE_STEPS, _APART_STEPS, _MORE_STEPS, _POLISHING_STEPS = 15, 30, 15, 20
_GAIN = 0.3  # of the log likelihood in each of the last steps
_MOST_QUICK = 32  # players; each of many steps gains little where there are as many relevances

Vector = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Learnt:
    """A prior that was learnt, and what to go on from with further features.

    Attributes:
        prior: what it is about.
        logs: the numbers that `loss` takes.
        past: the last moves towards them.
        pairs: how many pairs it was learnt from.
    """

    prior: Prior
    logs: Vector
    past: Past
    pairs: int


def learnt(
    signs: Vector,
    columns: Vector,
    worth: Vector,
    known: Known | None,
    *,
    linear: bool,
    repeats: Repeats | None = None,
    after: Learnt | None = None,
    polished: bool = False,
) -> Learnt:
    """The prior for ``worth`` float64[m] of the pairs ``signs`` [m, n] with trend ``columns`` [m, p].

    All relevances alike first, then each on its own, from the last few hundred pairs: fewer tell where to begin with more.

    Args:
        signs: of one coalition of each pair, in random order.
        columns: what is fitted without a prior.
        worth: of the pairs.
        known: further features.
        linear: whether there is a linear part; there is not where the trend has it.
        repeats: of a game with noise, whose variance is learnt too.
        after: where it begins, learnt of the same pairs without the last of the ``known`` features.
        polished: by a few steps with more pairs.
    """
    n, unit = signs.shape[1], float(np.abs(worth).max())
    worth = worth / unit
    parts = _parts(signs, known, linear=linear)
    at = np.append(log(np.array([_FIRST_RATE] * n + [_FIRST_NOISE])), [0.0] * (1 + len(parts)))
    low = np.array([-9.0] * n + [float(log(_LEAST_NOISE)), -0.5] + [-12.0] * len(parts))
    high = np.array([1.0] * n + [3.0, 2.5] + [6.0] * len(parts))
    if repeats is not None:
        at, low, high = np.append(at, _NUGGET[0]), np.append(low, _NUGGET[1]), np.append(high, _NUGGET[2])
    apart = _APART if n <= MOST_APART else _ALIKE
    stages = [(_FEW, _ALIKE, _ALIKE_STEPS)]
    if n <= MOST_APART:
        stages.append((_FEW, _APART, _APART_STEPS))
    past: Past = ()
    pairs = 0
    if after is not None:
        at[: len(after.logs)] = after.logs
        past, pairs = after.past, after.pairs
        stages = [(_MANY, apart, _POLISHING_STEPS) if polished else (_FEW, apart, _MORE_STEPS)]
    for count, penalty, steps in stages:
        some = slice(-count, None)
        chosen = [part[some] for part in parts]
        grams = np.array([product(part, np.ascontiguousarray(part.T)) for part in chosen])
        m = min(count, len(worth))
        grams = grams.reshape(-1, m, m)
        of_some = partial(
            loss,
            signs=signs[some],
            columns=columns[some],
            worth=worth[some],
            grams=grams,
            apart=penalty,
            room=np.empty((4, m, m)),
            repeats=None if repeats is None else repeats.only(some, unit),
        )
        if past:
            past = carried(past, m / pairs, len(at) - len(past[0][0]))
        # without polishing another start finds another maximum
        ends_early = m > _FEW or (n <= _MOST_QUICK and len(worth) >= ENOUGH)
        at, past = least(of_some, at, low, high, steps, enough=_GAIN if ends_early else 0.0, before=past)
        pairs = m
        if penalty == _ALIKE:
            at[:n] = at[:n].mean()
            past = ()
    noise, power = at[n : n + 2]
    nugget, variances = 0.0, exp(at[n + 2 :]).tolist()
    if repeats is not None:
        nugget = variances.pop()
    prior = Prior(
        rates=exp(at[:n]),
        spread=exp(-power * _log_sizes(n)),
        linear=variances[0] if linear else 0.0,
        noise=float(exp(noise)) + _LEAST_NOISE * sum(variances),
        known=known,
        variances=tuple(variances[1:] if linear else variances),
        nugget=nugget,
    )
    return Learnt(prior, at, past, pairs)


def _parts(signs: Vector, known: Known | None, *, linear: bool) -> list[Vector]:
    """The features of the pairs ``signs`` [m, n], by the variance that they share."""
    own = [np.sqrt(1.0 / signs.shape[1]) * signs] if linear else []
    return own if known is None else [*own, *known.features(signs)]


def loss(
    logs: Vector,
    signs: Vector,
    columns: Vector,
    worth: Vector,
    grams: Vector,
    apart: float,
    room: Vector,
    repeats: Repeats | None = None,
) -> tuple[float, Vector]:
    """Minus the restricted log likelihood, the prior's factor at its best, plus the penalties; and its gradient.

    Args:
        logs: logarithms of n relevances and the noise, the power of the spread, logarithms of the variances of ``grams``,
            and with ``repeats`` that of the nugget.
        signs: float64[m, n].
        columns: float64[m, p].
        worth: float64[m].
        grams: float64[k, m, m], of features that share a variance.
        apart: the penalty on what tells relevances apart.
        room: float64[4, m, m], overwritten: fresh memory for every call takes half as long as the sums.
        repeats: how often pairs were evaluated; that copies differ is part of the likelihood.
    """
    (m, n), p = signs.shape, columns.shape[1]
    rates, noise, power = exp(logs[:n]), float(exp(logs[n])), float(logs[n + 1])
    variances = exp(logs[n + 2 : n + 2 + len(grams)])
    log_sizes = _log_sizes(n)[sizes(signs)]
    spread = exp(-power * log_sizes)
    at_least = noise + _LEAST_NOISE * variances.sum()
    turned = np.ascontiguousarray(signs.T)
    even, structured, matrix, lower = room
    even[:] = 0.0
    add_upper(even, (0.5 * rates)[:, None] * turned, turned)
    _covariances(even, structured, matrix, 0.5 * rates.sum(), spread, grams, variances, at_least)
    nugget, more = 1.0, 0
    differ_squared = 0.0
    if repeats is not None:
        nugget, more = float(exp(logs[-1:])[0]), repeats.freedom
        matrix[np.diag_indices(m)] += nugget / repeats.copies
        differ_squared = repeats.squares / nugget
    if not factorise(matrix):
        return 1e10, np.zeros_like(logs)
    half_determinant = log(matrix.diagonal()).sum()
    invert(matrix, lower)
    white = product(lower, np.column_stack([columns, worth]))
    of_columns = np.ascontiguousarray(white[:, :p])
    inner, regular = cholesky(product(of_columns.T, of_columns))
    if not regular:
        return 1e10, np.zeros_like(logs)
    basis = forward(inner, np.ascontiguousarray(of_columns.T))  # [p, m], orthonormal
    rest = white[:, p] - transposed_times(basis, times(basis, white[:, p]))
    freedom = m - p + more
    scale = max((float(np.square(rest).sum()) + differ_squared) / freedom, 1e-300)
    differ = logs[:n] - logs[:n].mean()
    value = half_determinant + log(inner.diagonal()).sum() + 0.5 * freedom * log(scale)
    value += 0.5 * apart * np.square(differ).sum() + 0.5 * _STEEP * power * power
    weights = matrix  # the inverse, less what the trend takes of it and what was worth
    gram_of_lower(lower, weights)
    taken = product(np.vstack([basis, rest / np.sqrt(scale)]), lower)
    subtract_upper(weights, taken, taken)
    by_row, diagonal, of_grams = _weighted(weights, structured, even, grams)
    of_noise = diagonal * np.square(spread)
    gradient = np.empty_like(logs)
    gradient[:n] = 0.5 * rates * ((signs * product(even, signs)).sum(axis=0) - by_row.sum()) + apart * differ
    gradient[n] = noise * of_noise.sum()
    gradient[n + 1] = -2.0 * ((by_row + at_least * of_noise) * log_sizes).sum() + _STEEP * power
    gradient[n + 2 : n + 2 + len(grams)] = variances * (of_grams + _LEAST_NOISE * of_noise.sum())
    if repeats is not None:
        value += 0.5 * more * float(logs[-1])
        gradient[-1] = nugget * (diagonal / repeats.copies).sum() + 0.5 * (more - differ_squared / scale)
    return float(value), gradient


@numba.njit(cache=True)
def _covariances(
    half: Vector,
    structured: Vector,
    matrix: Vector,
    total: float,
    spread: Vector,
    grams: Vector,
    variances: Vector,
    noise: float,
) -> None:
    """Set ``matrix`` to the covariances, ``structured`` to their structured part, and ``half`` to that with cosh for sinh.

    All of them [m, m], and their upper triangles alone.
    """
    m = len(half)
    plus, minus = np.empty(m), np.empty(m)
    for i in range(m):
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
def _weighted(twice: Vector, structured: Vector, even: Vector, grams: Vector) -> tuple[Vector, Vector, Vector]:
    """Of ``twice`` W [m, m]: rows' sums of W times structured, W's diagonal, the sums of W times grams.

    All matrices are symmetric and given by their upper triangles. ``even`` becomes W times itself, with twice as much above
    the diagonal and 0 below: a quadratic form has the same value.
    """
    m = len(twice)
    by_row, diagonal, of_grams = np.zeros(m), np.empty(m), np.zeros(len(grams))
    for i in range(m):
        diagonal[i] = 0.5 * twice[i, i]
        by_row[i] += diagonal[i] * structured[i, i]
        even[i, :i] = 0.0
        even[i, i] *= diagonal[i]
        for j in range(i + 1, m):
            even[i, j] *= twice[i, j]
            of_structured = 0.5 * twice[i, j] * structured[i, j]
            by_row[i] += of_structured
            by_row[j] += of_structured
        for k in range(len(grams)):
            total = diagonal[i] * grams[k, i, i]
            for j in range(i + 1, m):
                total += twice[i, j] * grams[k, i, j]
            of_grams[k] += total
    return by_row, diagonal, of_grams


def _log_sizes(n: int) -> Vector:
    """The logarithm of the smaller size of a pair over that of the mean pair, float64[n + 1]."""
    size = np.arange(n + 1.0)
    return log(np.maximum(np.minimum(size, n - size), 1.0) / (0.25 * n))
