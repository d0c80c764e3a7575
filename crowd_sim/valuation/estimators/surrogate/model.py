"""The surrogate of a game: its prior learnt, its values with their variance, its predictions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from crowd_sim.linear_algebra import back, orthonormal, times, transposed_times
from crowd_sim.random import Purpose, generator
from crowd_sim.valuation.estimators.surrogate.averages import Averages
from crowd_sim.valuation.estimators.surrogate.gp import Equations, equations, trend, values
from crowd_sim.valuation.estimators.surrogate.prior import Prior, Repeats, sizes, value_weights
from crowd_sim.valuation.estimators.surrogate.relevance import MOST_APART, Learnt, learnt
from crowd_sim.valuation.estimators.surrogate.residual import number_of_pairs
from crowd_sim.valuation.estimators.surrogate.sparse import exact_values
from crowd_sim.valuation.estimators.surrogate.surprise import HeldOut, held_out, surprise
from crowd_sim.valuation.estimators.surrogate.terms import Terms, standing_out
from crowd_sim.valuation.result import widening

_ROUNDING = 1e-12  # relative
_ALL_LINEAR = 0.03  # what level 1 leaves, relative: below it, a prior of level 1 tells nothing
_ALL_TERMS = 1e-5  # of noise; with more a game is not one of few terms
_FAR_MORE = 30.0  # relative, of root mean squares
_HELD_OUT = 512  # pairs at most
_TERM_ROUNDS = 2
_NEARER = 0.9  # that held-out squares have to be of those before
_WIDER = 0.1  # by so much: the posterior takes relevances as known (`python -m experiments.bench.real_games`)
_CHOSEN = 2.0  # numbers that a term counts for
_WIDER_KNOWN = (
    3.0  # over the root of the number of pairs, besides: features of averaging games may explain few by chance
)


@dataclass(frozen=True, eq=False)
class Model:
    """The surrogate of one game.

    Attributes:
        contrasts: float64[n], the posterior means of φ_i − Σ_j φ_j / n.
        variance: float64[n], their posterior variances.
        linear: whether level 1 is in the trend.
        slopes: float64[p], the coefficients of the trend.
        pulls: float64[m], what each pair's deviation from the trend pulls on a prediction, times the covariance.
        prior: ``None`` where the trend explains every pair to the last digits.
    """

    contrasts: NDArray[np.float64]
    variance: NDArray[np.float64]
    linear: bool
    slopes: NDArray[np.float64]
    pulls: NDArray[np.float64]
    prior: Prior | None


def fit(
    pairs: NDArray[np.bool_],
    halves: NDArray[np.float64],
    known: Sequence[Averages | None],
    seed: int,
    run: int,
    repeats: Sequence[Repeats | None] | None = None,
) -> list[Model]:
    """Models of G games on the same ``pairs`` bool[m, n], worth ``halves`` float64[G, m]: (v(S) − v(N∖S)) / 2.

    ``known`` is of averaging games, ``repeats`` of games with noise, ``None`` where copies agree. Each model is worked out by
    itself, so that its bits do not depend on the other games.
    """
    signs = np.where(pairs, 1.0, -1.0)
    columns = trend(signs, linear=True)
    order = generator(seed, run, Purpose.SURROGATE).permutation(len(pairs))
    size, n = sizes(signs), pairs.shape[1]
    if repeats is not None:
        return [_fit(signs, columns, *of_game, order=order) for of_game in zip(halves, known, repeats, strict=True)]
    whole = np.isin(size, [k for k in range(1, n // 2 + 1) if (size == k).sum() == number_of_pairs(n, k)])
    return [_fitted(signs, columns, worth, order, of_game, whole) for worth, of_game in zip(halves, known, strict=True)]


def _fitted(
    signs: NDArray[np.float64],
    columns: NDArray[np.float64],
    worth: NDArray[np.float64],
    order: NDArray[np.int64],
    known: Averages | None,
    whole: NDArray[np.bool_],
) -> Model:
    """The model of one game; ``whole`` bool[m] tells the pairs of sizes that have no other.

    Where those are worth far more than others, they say nothing of them: the model is that of the others, and what it leaves
    of theirs adds to the values as it is.
    """
    kept = ~whole
    if kept.sum() < 2 * signs.shape[1] or not whole.any():
        return _fit(signs, columns, worth, known, order=order)
    if (worth[whole] ** 2).mean() <= _FAR_MORE * _FAR_MORE * (worth[kept] ** 2).mean():
        return _fit(signs, columns, worth, known, order=order)
    among = (np.cumsum(kept) - 1)[order[kept[order]]]
    model = _fit(signs[kept], columns[kept], worth[kept], known, order=among)
    pulls = np.zeros(len(signs))
    pulls[kept] = model.pulls
    model = replace(model, pulls=pulls)
    missed = worth[whole] - predictions([model], signs > 0, signs[whole] > 0)[0]
    inside, outside = (weights[sizes(signs[whole]), None] for weights in value_weights(signs.shape[1]))
    more = 2.0 * transposed_times(np.where(signs[whole] > 0, inside, outside), missed)  # the complement as much
    return replace(model, contrasts=model.contrasts + more)


def _fit(
    signs: NDArray[np.float64],
    columns: NDArray[np.float64],
    worth: NDArray[np.float64],
    known: Averages | None,
    repeats: Repeats | None = None,
    *,
    order: NDArray[np.int64],
) -> Model:
    m, n = signs.shape
    size = sizes(signs)
    told = len(np.unique(size[2 * size != n]))  # sizes that the mean sign tells apart
    columns = columns[:, : n + max(told - 1, 0)]
    # Least squares first: what the trend explains leaves no rounding of the factorisation behind
    solvable, linear = orthonormal(columns), False
    if solvable is not None:
        basis, triangle = solvable
        along = times(basis, worth)
        slopes = back(triangle, along)
        rest = worth - transposed_times(basis, along)
        contrasts = 2.0 * (
            slopes[:n] - slopes[:n].mean()
        )  # what level 1 makes of the values, φ_i = 2 c_i, less the mean
        if np.abs(rest).max() <= _ROUNDING * np.abs(worth).max() and repeats is None:
            return Model(contrasts, np.zeros(n), True, slopes, np.zeros(m), None)
        # noise leaves little to tell of how level 1 is spread: it is not shrunk
        linear = repeats is not None or bool(
            np.square(rest).sum() <= _ALL_LINEAR * _ALL_LINEAR * np.square(worth).sum()
        )
    if not linear:
        columns = trend(signs, linear=False)[:, :told]
        rest, slopes, contrasts = worth, np.zeros(1), np.zeros(n)
    first = learnt(signs, columns, rest, order, known, linear=not linear, repeats=repeats)
    found = _solvable(first.prior, signs, columns, repeats)
    white = found.whitened(rest)
    more, pulls = found.coefficients(white)
    if found.prior.noise <= _ALL_TERMS and m >= 16 and repeats is None:
        exact = exact_values(signs, worth, order, found.prior, pulls)
        if exact is not None:
            contrasts, error = exact
            return Model(contrasts, np.full(n, error * error), linear, slopes + more, pulls, found.prior)
    n_terms = 0
    some = np.sort(order[:_HELD_OUT])
    out = held_out(found, white, some)
    if known is None and repeats is None:
        found, white, out, n_terms = _with_terms(found, signs, columns, rest, white, order, first, out)
        more, pulls = found.coefficients(white)
    prior = found.prior
    mean, variance = values(found, signs, white)
    residual = found.off_trend(white[:, None])
    # Every relevance is another number that was fitted, if not freely, and so is every term, chosen from many
    learned = 3.0 + len(prior.variances) + (n if n <= MOST_APART else 1) + _CHOSEN * n_terms
    unsure = 1.0
    if repeats is not None:  # what noise makes of the errors is known, whatever the relevances are
        unsure -= float((prior.nugget / repeats.copies).sum() / np.square(found.upper).sum())
        learned *= unsure
    freedom = max(1.0, m - columns.shape[1] - 0.5 * learned)
    squares = float(np.square(residual).sum())
    if repeats is not None:
        freedom, squares = freedom + repeats.freedom, squares + repeats.squares / prior.nugget
    scale = squares / freedom
    wider = (1.0 + unsure * (_WIDER + (0.0 if known is None else _WIDER_KNOWN / math.sqrt(m)))) * float(
        widening(freedom)
    )
    scale *= surprise(signs, some, *out, scale) * wider * wider
    variance = scale * variance
    if known is not None:
        variance = variance + known.uncertainty(signs, pulls, prior.variances)
    return Model(contrasts + mean, variance, linear, slopes + more, pulls, prior)


def _solvable(
    prior: Prior, signs: NDArray[np.float64], columns: NDArray[np.float64], repeats: Repeats | None = None
) -> Equations:
    """The equations of a prior, with as much noise as rounding asks for."""
    while (found := equations(prior, signs, columns, repeats)) is None:
        prior = replace(prior, noise=10.0 * prior.noise)
    return found


def _with_terms(
    found: Equations,
    signs: NDArray[np.float64],
    columns: NDArray[np.float64],
    worth: NDArray[np.float64],
    white: NDArray[np.float64],
    order: NDArray[np.int64],
    first: Learnt,
    out: HeldOut,
) -> tuple[Equations, NDArray[np.float64], HeldOut, int]:
    """The equations with the terms that stand out as features, L⁻¹ ``worth``, held-out pairs, and how many terms there are.

    The first terms may hide others. Those come in that bring held-out pairs nearer.
    """
    n = signs.shape[1]
    some, linear = np.sort(order[:_HELD_OUT]), columns.shape[1] >= n
    members = np.zeros((0, n), dtype=np.bool_)
    for _ in range(_TERM_ROUNDS):
        more = standing_out(found, signs, white, members, linear=linear)
        if len(more) == 0:
            break
        members = np.concatenate([members, more])
        first = learnt(signs, columns, worth, order, Terms(members), linear=not linear, after=first)
        nearer = _solvable(first.prior, signs, columns)
        white_there = nearer.whitened(worth)
        left = held_out(nearer, white_there, some)
        if np.square(left[0]).sum() > _NEARER * np.square(out[0]).sum():
            break
        found, white, out = nearer, white_there, left
    known = found.prior.known
    return found, white, out, 0 if known is None else known.values[0].shape[0]


def predictions(models: Sequence[Model], pairs: NDArray[np.bool_], fresh: NDArray[np.bool_]) -> NDArray[np.float64]:
    """What the ``models``, fitted on ``pairs``, expect of ``fresh`` bool[k, n]: float64[G, k]."""
    signs, at = np.where(fresh, 1.0, -1.0), np.where(pairs, 1.0, -1.0)
    out = np.empty((len(models), len(fresh)))
    for g, model in enumerate(models):
        out[g] = times(trend(signs, linear=model.linear)[:, : len(model.slopes)], model.slopes)
        if model.prior is not None:
            out[g] += times(model.prior.between(signs, at), model.pulls)
    return out
