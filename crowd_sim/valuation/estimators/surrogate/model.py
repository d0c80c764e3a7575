"""The surrogate of a game: its prior learnt, its values with their variance, its predictions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from crowd_sim.linear_algebra import back, orthonormal, times, transposed_times
from crowd_sim.random import Purpose, generator
from crowd_sim.valuation.estimators.surrogate.averages import Averages
from crowd_sim.valuation.estimators.surrogate.cube import FEWEST_PAIRS, CubeEquations, cube_equations
from crowd_sim.valuation.estimators.surrogate.fourier import MOST_PLAYERS, coded
from crowd_sim.valuation.estimators.surrogate.gp import Equations, Solved, equations, trend, values, weights_of_values
from crowd_sim.valuation.estimators.surrogate.noise_by_size import BySize, noise_by_size, with_freedom
from crowd_sim.valuation.estimators.surrogate.prior import Prior, Repeats, sizes, value_weights
from crowd_sim.valuation.estimators.surrogate.pursuit import Pursuit, pursued
from crowd_sim.valuation.estimators.surrogate.relevance import ENOUGH, MOST_APART, Learnt, learnt
from crowd_sim.valuation.estimators.surrogate.residual import number_of_pairs
from crowd_sim.valuation.estimators.surrogate.sparse import FewTerms, all_terms, few_terms
from crowd_sim.valuation.estimators.surrogate.surprise import surprise, untold, widened
from crowd_sim.valuation.estimators.surrogate.terms import Terms, standing_out
from crowd_sim.valuation.result import widening

_ROUNDING = 1e-12  # relative
_ALL_LINEAR = 0.03  # what level 1 leaves, relative: below it, a prior of level 1 tells nothing
_MAY_BE_TERMS, _ALL_TERMS = (
    1e-3,
    1e-5,
)  # of noise, as it is first learnt and at the end; with more a game has many terms
_FEWEST_CHECKED = 16  # pairs
_FAR_MORE = 30.0  # relative, of root mean squares
_HELD_OUT, _COMPARED = 512, 256  # pairs at most; those that tell whether terms come in
_SEARCHED = 2048  # pairs at most, for terms: the equations of all are solved once
_TERM_ROUNDS = 3
_FEWEST_FREED, _BY_CHANCE = (
    8,
    3.0,
)  # pairs a player; of held-out squares, what a relevance may take away, times their number
_ALL_BUT_SOLVED = 0.01  # relative, of root mean squares held out
_ROUNDS = 5  # that tell sizes' noises apart
_NEARER, _FAR_NEARER = 0.9, 0.25  # that held-out squares have to be of those before; with terms by pursuit
_MOST_PURSUED = 256  # terms, beside the prior
_WIDER, _LEAST_WIDER = (
    0.1,
    0.05,
)  # by so much: the posterior takes relevances as known (`python -m experiments.bench.real_games`)
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
        prior: ``None`` where the trend, or ``terms``, explain every pair to the last digits.
        terms: further ones, or all there are.
        everywhere: float64[2^n], by the code of those who are out, what is predicted of pairs that were not fitted, less the
            trend and ``terms``; ``None`` where the prior and the pulls say it.
        sampled: float64[n] or 0, the variances besides that values of features leave which are estimated: of the model's
            own predictions, so that no residual tells anything of them.
    """

    contrasts: NDArray[np.float64]
    variance: NDArray[np.float64]
    linear: bool
    slopes: NDArray[np.float64]
    pulls: NDArray[np.float64]
    prior: Prior | None
    terms: FewTerms | None = None
    everywhere: NDArray[np.float64] | None = None
    sampled: NDArray[np.float64] | float = 0.0


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
    if model.prior is None:  # all that was seen of a size agrees; as of players who are alike, by Laplace's rule
        seen = np.unique(sizes(signs[kept]), return_counts=True)[1]
        unsure = 4.0 * float(np.abs(worth).max()) / signs.shape[1] * float((1.0 / (seen + 2.0)).sum())
        model = replace(model, variance=model.variance + unsure * unsure)
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
    if not worth.any():
        return Model(np.zeros(n), np.zeros(n), True, np.zeros(1), np.zeros(m), None)
    order = order[::-1]  # what is learnt from some pairs is learnt from the last ones
    signs, columns, worth = signs[order], columns[order], worth[order]
    if repeats is not None:
        repeats = repeats.only(order)
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
    first, n_terms = learnt(signs, columns, rest, known, linear=not linear, repeats=repeats), 0
    if known is None and repeats is None:
        first = _freed(first, signs, columns, rest)
        some = slice(None) if n <= MOST_PLAYERS else slice(-_SEARCHED, None)
        found = _solvable(first.prior, signs[some], columns[some], rest[some])
        white = found.whitened(rest[some])
        start = found.prior
        if (exact := _exact(start, found, signs, worth, white, _MAY_BE_TERMS)) is not None:
            return exact
        by_pursuit = pursued(signs, columns, rest) if isinstance(found, CubeEquations) else None
        if by_pursuit and (terms := all_terms(by_pursuit, signs, worth)):
            return _of_few_terms(terms, m, n)
        first, n_terms = _with_terms(found, signs, columns, rest, white, first, by_pursuit)
    if m >= ENOUGH:
        of_first = first.prior.known
        first = learnt(signs, columns, rest, of_first, linear=not linear, repeats=repeats, after=first, polished=True)
    found, white, repeats, of_sizes = _sizes_told_apart(first, signs, columns, rest, repeats)
    if (
        known is None
        and repeats is None
        and (exact := _exact(start, found, signs, worth, white, _ALL_TERMS)) is not None
    ):
        return exact
    late = np.zeros((0, n), dtype=np.bool_)
    if known is None and repeats is None and m > _SEARCHED and isinstance(found, Equations):
        found, late = _with_late_terms(found, signs, white, linear=linear)
    more, weights = found.coefficients(white)
    of_trend = len(more) - len(late)
    pulls = np.empty(m)
    pulls[order] = weights
    mean, variance = values(found, signs, white)
    variance = _scaled(variance, found, signs, white, known, repeats, n_terms + len(late), of_sizes)
    sampled = 0.0 if known is None else known.uncertainty(signs, weights, found.prior.variances)
    terms = FewTerms(late, more[of_trend:], 0.0)
    everywhere = found.predicted(white) if isinstance(found, CubeEquations) else None
    slopes = slopes + more[:of_trend]
    return Model(contrasts + mean, variance, linear, slopes, pulls, found.prior, terms, everywhere, sampled)


def _sizes_told_apart(
    first: Learnt,
    signs: NDArray[np.float64],
    columns: NDArray[np.float64],
    worth: NDArray[np.float64],
    repeats: Repeats | None,
) -> tuple[Solved, NDArray[np.float64], Repeats | None, BySize | None]:
    """The equations, what is whitened by them, and repeats of which those of sizes with more noise count for less.

    The last tells each size's noise; where nothing says that sizes differ, it is ``None``.
    """
    found = _solvable(first.prior, signs, columns, worth, repeats)
    white, last = found.whitened(worth), None
    if repeats is None:
        return found, white, None, None
    own, noisier, size = repeats, np.ones(len(repeats.squares)), sizes(signs)
    count = min(len(signs), _HELD_OUT)
    for _ in range(_ROUNDS):
        told = noise_by_size(found.held_out(white, count), size[-count:], found.prior.nugget, repeats)
        if last is None and not told.differ:
            break
        last, noisier = told, told.noisier(noisier)
        repeats = own.weighed(size, noisier)
        linear = columns.shape[1] < signs.shape[1]
        first = learnt(signs, columns, worth, first.prior.known, linear=linear, repeats=repeats, after=first)
        found = _solvable(first.prior, signs, columns, worth, repeats)
        white = found.whitened(worth)
    return found, white, repeats, last


def _exact(
    start: Prior,
    found: Solved,
    signs: NDArray[np.float64],
    worth: NDArray[np.float64],
    white: NDArray[np.float64],
    noise: float,
) -> Model | None:
    """The model of a game of few terms; ``None`` with more ``noise``.

    ``found`` are the equations of the last pairs, ``start`` is the prior before there were single terms.
    """
    m, n = signs.shape
    if found.prior.noise > noise or m < _FEWEST_CHECKED:
        return None
    known = found.prior.known
    before = known.members if isinstance(known, Terms) else np.zeros((0, n), dtype=np.bool_)
    terms = few_terms(signs, worth, start, found.coefficients(white)[1], before)
    return None if terms is None else _of_few_terms(terms, m, n)


def _of_few_terms(terms: FewTerms, m: int, n: int) -> Model:
    return Model(terms.values, np.full(n, terms.error**2), False, np.zeros(1), np.zeros(m), None, terms)


def _scaled(
    variance: NDArray[np.float64],
    found: Solved,
    signs: NDArray[np.float64],
    white: NDArray[np.float64],
    known: Averages | None,
    repeats: Repeats | None,
    n_terms: int,
    told: BySize | None,
) -> NDArray[np.float64]:
    """The ``variance`` of the values, which is per unit of the prior's, by the prior's size, and how sure that is."""
    (m, n), prior = signs.shape, found.prior
    # Every relevance is another number that was fitted, if not freely, and so is every term, chosen from many
    learned = 3.0 + len(prior.variances) + (n if n <= MOST_APART else 1) + _CHOSEN * n_terms
    unsure = 1.0
    # what noise makes of the errors is known, whatever the relevances are
    if repeats is not None and isinstance(found, Equations):
        unsure -= float((prior.nugget / repeats.copies).sum() / np.square(found.upper).sum())
        learned *= unsure
    freedom = max(1.0, m - len(found.basis) - 0.5 * learned)
    squares = float(np.square(found.off_trend(white[:, None])).sum())
    if repeats is not None:
        freedom += float(repeats.freedom.sum())
        squares += float(repeats.squares.sum()) / prior.nugget
    scale = squares / freedom
    out = found.held_out(white, min(m, _HELD_OUT))
    times, besides = surprise(signs, out, scale), np.zeros(n)
    more = _WIDER if known is None else _WIDER + _WIDER_KNOWN / math.sqrt(m)
    if known is not None or isinstance(found, CubeEquations):
        times = max(times, 1.0)  # features were chosen by pairs that are held out
    else:
        more = min(_WIDER, max(1.0 / math.sqrt(m), _LEAST_WIDER))  # many pairs know the relevances
        if prior.linear:
            besides = untold(prior, signs, out, scale)
    degrees = np.full(n, freedom)
    if told is not None and repeats is not None and isinstance(found, Equations):
        noise = prior.nugget / repeats.copies
        variance, degrees = with_freedom(told, sizes(signs), noise, weights_of_values(found, signs), variance, freedom)
    wider = (1.0 + unsure * more) * widening(np.maximum(degrees, 1.0))
    return scale * wider * wider * widened(variance, times, besides)


def _solvable(
    prior: Prior,
    signs: NDArray[np.float64],
    columns: NDArray[np.float64],
    worth: NDArray[np.float64],
    repeats: Repeats | None = None,
) -> Solved:
    """The equations of a prior, with as much noise as rounding asks for."""
    few = signs.shape[1] <= MOST_PLAYERS and len(signs) > FEWEST_PAIRS
    if few and repeats is None and (prior.known is None or isinstance(prior.known, Terms)):
        solve: Callable[[Prior], Solved | None] = partial(cube_equations, signs=signs, columns=columns, worth=worth)
    else:
        solve = partial(equations, signs=signs, columns=columns, repeats=repeats)
    while (found := solve(prior)) is None:
        prior = replace(prior, noise=10.0 * prior.noise)
    return found


def _freed(
    first: Learnt, signs: NDArray[np.float64], columns: NDArray[np.float64], worth: NDArray[np.float64]
) -> Learnt:
    """What is learnt with relevances that are freer to differ, where that brings held-out pairs nearer by more than chance.

    These were among those that the n relevances were learnt from, so that they come nearer in any case, the fewer they are
    the more. Games that are all but solved are left as they are.
    """
    m, n = signs.shape
    if m < _FEWEST_FREED * n or m >= ENOUGH:
        return first
    some = slice(-_COMPARED, None)
    count = min(m, _COMPARED)

    def missed(prior: Prior) -> float:
        found = _solvable(prior, signs[some], columns[some], worth[some])
        return _left(found, found.whitened(worth[some]), count)

    squares = missed(first.prior)
    if squares <= _ALL_BUT_SOLVED * _ALL_BUT_SOLVED * float(np.square(worth[some]).sum()):
        return first
    freer = learnt(signs, columns, worth, None, linear=columns.shape[1] < n, after=first, freer=True)
    return freer if missed(freer.prior) <= (1.0 - _BY_CHANCE * n / count) * squares else first


def _with_terms(
    found: Solved,
    signs: NDArray[np.float64],
    columns: NDArray[np.float64],
    worth: NDArray[np.float64],
    white: NDArray[np.float64],
    first: Learnt,
    by_pursuit: Pursuit | None,
) -> tuple[Learnt, int]:
    """What is learnt with the terms that stand out as features, and how many they are.

    They are looked for in the last pairs, as many as ``white`` has, of which ``found`` are the equations. The first terms may
    hide others. Those come in that bring held-out pairs nearer. Where there are so many that none stands out, those that are
    found ``by_pursuit`` come in, if they miss far less.
    """
    n, linear, start = signs.shape[1], columns.shape[1] >= signs.shape[1], first
    members, n_terms = np.zeros((0, n), dtype=np.bool_), 0
    some = slice(-min(len(white), len(signs)), None)
    count = min(len(signs[some]), _COMPARED)
    for _ in range(_TERM_ROUNDS):
        fresh = standing_out(found, signs[some], white, members, linear=linear)
        if len(fresh) == 0:
            break
        members = np.concatenate([members, fresh])
        more = learnt(signs, columns, worth, Terms(members), linear=not linear, after=first)
        nearer = _solvable(more.prior, signs[some], columns[some], worth[some])
        white_there = nearer.whitened(worth[some])
        if _left(nearer, white_there, count) > _NEARER * _left(found, white, count):
            break
        first, n_terms, found, white = more, len(members), nearer, white_there
    left = _left(found, white, count)
    if by_pursuit is not None and len(by_pursuit.members) and by_pursuit.missed * count <= _FAR_NEARER * left:
        members = by_pursuit.members[:_MOST_PURSUED]
        more = learnt(signs, columns, worth, Terms(members), linear=not linear, after=start)
        nearer = _solvable(more.prior, signs[some], columns[some], worth[some])
        if _left(nearer, nearer.whitened(worth[some]), count) <= _FAR_NEARER * left:
            return more, len(members)
    return first, n_terms


def _with_late_terms(
    found: Equations, signs: NDArray[np.float64], white: NDArray[np.float64], *, linear: bool
) -> tuple[Equations, NDArray[np.bool_]]:
    """The equations of all pairs with the terms bool[k, n] in the trend that fewer of them did not show, and these.

    Their size is beyond doubt, so that no prior has to be learnt, and no matrix factorised, for it.
    """
    known = found.prior.known
    before = known.members if isinstance(known, Terms) else np.zeros((0, signs.shape[1]), dtype=np.bool_)
    fresh = standing_out(found, signs, white, before, linear=linear)
    terms = Terms(fresh)
    more = found.with_columns(terms.features(signs)[0], terms.values[0]) if len(fresh) else None
    if more is None:
        return found, before[:0]
    if _left(more, white, _COMPARED) > _NEARER * _left(found, white, _COMPARED):
        return found, before[:0]
    return more, fresh


def _left(found: Solved, white: NDArray[np.float64], count: int) -> float:
    """The sum of squares that others leave of the last ``count`` pairs."""
    return float(np.square(found.held_out(white, count).residuals).sum())


def predictions(models: Sequence[Model], pairs: NDArray[np.bool_], fresh: NDArray[np.bool_]) -> NDArray[np.float64]:
    """What the ``models``, fitted on ``pairs``, expect of ``fresh`` bool[k, n]: float64[G, k]."""
    signs, at = np.where(fresh, 1.0, -1.0), np.where(pairs, 1.0, -1.0)
    out = np.empty((len(models), len(fresh)))
    for g, model in enumerate(models):
        out[g] = times(trend(signs, linear=model.linear)[:, : len(model.slopes)], model.slopes)
        if model.everywhere is not None:
            out[g] += model.everywhere[coded(~fresh)]
        elif model.prior is not None:
            out[g] += times(model.prior.between(signs, at), model.pulls)
        if model.terms is not None:
            out[g] += model.terms.worth(signs)
    return out


def of_pairs_alone(model: Model, pairs: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The part of the contrasts float64[n] that comes of what ``pairs``, fitted, have to themselves: not in `predictions`."""
    signs = np.where(pairs, 1.0, -1.0)
    if model.prior is None:
        return np.zeros(pairs.shape[1])
    size = sizes(signs)
    own = np.zeros(len(pairs))
    for k, first in zip(*np.unique(size, return_index=True), strict=True):
        one = signs[first : first + 1]
        own[size == k] = (model.prior.within(one) - model.prior.between(one, one))[0, 0]
    inside, outside = (weights[size, None] for weights in value_weights(pairs.shape[1]))
    return 2.0 * transposed_times(np.where(pairs, inside, outside), own * model.pulls)  # the complement as much
