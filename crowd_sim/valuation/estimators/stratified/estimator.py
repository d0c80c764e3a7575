"""Shapley values of averaging games: exact polynomials, and stratified contrasts of what they leave.

For a game of n players let c_k,i = E[v | i ∈ S, |S| = k] − E[v | i ∉ S, |S| = k]. Then

    φ_i = (v(N) − v(∅) + Σ_{k=1}^{n−1} c_k,i) / n.

Size 1 is exact from the single players. The other sizes are cut into strata. In each the utility is regressed on polynomials
of the coalition's mean whose contrasts are known in closed form (`polynomials`), a control variate fitted to the
stratum; what it leaves is estimated from the leave-one-out residuals r_s of the sampled coalitions,

    R_i = (1/m) Σ_s g_s r_s (1{i ∈ s} − k_s/n),    g_s = 1 / (P(k_s) (k_s/n) (1 − k_s/n)),

and shrunk by its noise against its likely size (`shrinkage`). The idea of stratified contrasts is SVARM's (Kolpaczki, Bengs,
Muschalik, Hüllermeier, AAAI 2024), that of regression-adjusted sampling Witter, Liu and Musco's (arXiv 2506.11849).
A pilot shows how large the residuals of each stratum are; the rest of the budget goes where it pays (Neyman 1934).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numba
import numpy as np
from numpy.typing import NDArray

from crowd_sim import scores
from crowd_sim.errors import InputError
from crowd_sim.valuation.coalition_lists import Lists
from crowd_sim.valuation.estimators.exact import MAX_PLAYERS, exact
from crowd_sim.valuation.estimators.stratified.basis import Basis, Crowd
from crowd_sim.valuation.estimators.stratified.regression import fit, fitted_variance
from crowd_sim.valuation.estimators.stratified.shrinkage import Part, allocation, combined
from crowd_sim.valuation.estimators.stratified.strata import Stratum, draw, strata_of
from crowd_sim.valuation.games import AveragingGame, Game
from crowd_sim.valuation.request import Request
from crowd_sim.valuation.result import ShapleyResult

_PILOT = 0.3  # share of the budget
_APART = 0.25, 0.12  # for l2, for l1; see `combined` (measured)
_PILOT_LEAST = 12  # coalitions per stratum, where the budget allows

KNOWN_SCORES = ("l2", "l1")
"""Scores whose averaging games have the polynomials that the estimator needs."""


def fits(game: Game) -> bool:
    """Whether the estimator knows the polynomials for this game: an averaging game with the score l2 or l1."""
    inner = _averaging(game)
    return inner is not None and inner.score in (*KNOWN_SCORES, scores.l2, scores.l1)


def _averaging(game: Game) -> AveragingGame | None:
    """The averaging game that ``game`` is, or that it looks up (`CachedGame`)."""
    inner = game if isinstance(game, AveragingGame) else getattr(game, "averaging", None)
    return inner if isinstance(inner, AveragingGame) else None


def minimum_budget(n: int) -> int:
    """The smallest budget for n players: both ends, the single players and a pilot; or all coalitions."""
    least = n + 2 + min(2 * n, 150)
    return min(2**n, least) if n <= MAX_PLAYERS else least


def stratified(request: Request) -> list[ShapleyResult]:
    """Values by stratified regression, with standard errors; exact where the budget covers every coalition.

    Shrinking the contrasts of the residuals makes the error smaller and the values slightly biased; the standard errors
    have both in them. The values sum to v(N) − v(∅). Games share the pilot's coalitions, and what is drawn of a stratum
    afterwards as far as both want it. Where residuals are 0 the budget is not used up.

    Raises:
        InputError: a game other than an averaging game with the score l2 or l1, or a budget below `minimum_budget`.
    """
    n = request.n_players
    for game in request.games:
        if not fits(game):
            shown = type(game).__name__ + (f" has the score {game.score!r}" if hasattr(game, "score") else "")
            raise InputError("method", "stratified", f"needs an averaging game with the score l2 or l1; {shown}")
    smallest = minimum_budget(n)
    if request.budget < smallest:
        raise InputError("budget", request.budget, f"must be at least {smallest} for stratified with {n} players")
    if n <= MAX_PLAYERS and 2**n <= request.budget:
        return exact(request)
    budget, key = request.budget - n - 2, (request.seed, request.run)
    strata = strata_of(n, budget)
    pilot, paired = _pilot(strata, n, budget, *key)
    counts = [len(piece) for piece in pilot]
    answers = request.utilities_of(Lists.joined([_ends(n), *pilot]))
    games: list[_Game] = []
    for game, row in zip(request.games, answers, strict=True):
        crowd = _crowd(game)
        bases = [Basis.of(crowd, stratum) for stratum in strata]
        points = [crowd.coordinates(piece) for piece in pilot]
        games.append(_Game(crowd, strata, bases, row[: n + 2], _split(row[n + 2 :], counts), points))
    plans = [_plan(game, pilot, paired, budget) for game in games]
    # draws are functions of their key: what one game wants of a stratum begins what another wants of it
    most = np.max(plans, axis=0)
    more = [draw(stratum, n, most[b], *key, stage=1) for b, stratum in enumerate(strata)]
    more.append(_pairs(n) if most[-1] else Lists.joined([]))
    utilities = _prefixes(request, more, plans)
    return [_result(*each, pilot, more, paired) for each in zip(games, plans, utilities, strict=True)]


def _ends(n: int) -> Lists:
    """The empty coalition, the n single players and the grand coalition."""
    sizes = np.concatenate([[0], np.ones(n, dtype=np.int64), [n]])
    return Lists(np.tile(np.arange(n, dtype=np.int32), 2), np.cumsum(sizes))


def _pairs(n: int) -> Lists:
    return Lists.equal(np.stack(np.triu_indices(n, 1), axis=1))


def _pilot(strata: Sequence[Stratum], n: int, budget: int, seed: int, run: int) -> tuple[list[Lists], bool]:
    """A few coalitions of each stratum, and whether those of size 2 are all there are."""
    least = min(_PILOT_LEAST, budget // max(len(strata), 1))
    weights = np.array([stratum.weight for stratum in strata])
    spare = max(_PILOT * budget - least * len(strata), 0.0)
    counts = least + (spare * weights / weights.sum()).astype(np.int64)
    pieces = [draw(s, n, count, seed, run, stage=0) for s, count in zip(strata, counts, strict=True)]
    paired = _only_pairs(strata) and counts[0] >= n * (n - 1) // 2
    return [_pairs(n), *pieces[1:]] if paired else pieces, paired


def _only_pairs(strata: Sequence[Stratum]) -> bool:
    return strata[0].high == 2


def _split(row: NDArray[np.float64], counts: Sequence[int]) -> list[NDArray[np.float64]]:
    ends = np.cumsum(counts)
    return [row[end - count : end] for end, count in zip(ends, counts, strict=True)]


def _prefixes(
    request: Request, pieces: Sequence[Lists], plans: Sequence[NDArray[np.int64]]
) -> list[list[NDArray[np.float64]]]:
    """For each game the utilities of the first coalitions of each piece, as many as its plan says."""
    if request.evaluate is not None:  # an evaluator evaluates every coalition for all games
        lengths = [len(piece) for piece in pieces]
        rows = [_split(row, lengths) for row in request.utilities_of(Lists.joined(pieces))]
        return [[u[:count] for u, count in zip(row, plan, strict=True)] for row, plan in zip(rows, plans, strict=True)]
    out = []
    for g, plan in enumerate(plans):
        lists = Lists.joined([piece[:count] for piece, count in zip(pieces, plan, strict=True)])
        out.append(_split(request.only([g]).utilities_of(lists)[0], plan.tolist()))
    return out


@dataclass(frozen=True, eq=False)
class _Game:
    """One game: its crowd, its strata with their regressors, and what the ends and the pilot showed.

    Attributes:
        ends: float64[n + 2], utilities of the empty coalition, the single players and the grand coalition.
        pilot, points: for each stratum the utilities and the coordinates of the pilot's coalitions.
    """

    crowd: Crowd
    strata: Sequence[Stratum]
    bases: Sequence[Basis]
    ends: NDArray[np.float64]
    pilot: Sequence[NDArray[np.float64]]
    points: Sequence[NDArray[np.float64]]


def _crowd(game: Game) -> Crowd:
    inner = _averaging(game)
    assert inner is not None  # noqa: S101 - `fits` said so
    return Crowd.of(inner.vectors, inner.target, inner.score in ("l1", scores.l1))


def _plan(game: _Game, pilot: Sequence[Lists], paired: bool, budget: int) -> NDArray[np.int64]:
    """How many more coalitions of each stratum the game gets; last, of size 2 in full."""
    n, n_strata = len(game.crowd.centred), len(game.strata)
    deviations, reaches = np.empty(n_strata), np.empty(n_strata)
    for b, (stratum, basis) in enumerate(zip(game.strata, game.bases, strict=True)):
        weights = stratum.weights[pilot[b].sizes - stratum.low]
        found = fit(game.crowd, basis, game.points[b], game.pilot[b], weights)
        square, contribution, _ = _mean_squares(found.deleted, pilot[b].ends, stratum.low, stratum.deviation)
        deviations[b], reaches[b] = np.sqrt(contribution), np.sqrt(square) * stratum.reach[game.crowd.l1]
    drawn = np.array([len(piece) for piece in pilot])
    n_pairs = n * (n - 1) // 2
    wanted = budget * deviations[0] / max(deviations.sum(), 1e-300)
    pairs = not paired and _only_pairs(game.strata) and wanted >= n_pairs and budget - drawn.sum() >= n_pairs
    fixed = np.zeros(n_strata, dtype=np.bool_)
    fixed[0] = pairs or paired
    drawn[0] += n_pairs if pairs else 0
    more = allocation(deviations, reaches, drawn, fixed, budget, game.bases[0].prior.shape[1] / n)
    return np.append(more, n_pairs if pairs else 0)


def _result(
    game: _Game,
    plan: NDArray[np.int64],
    utilities: Sequence[NDArray[np.float64]],
    pilot: Sequence[Lists],
    more: Sequence[Lists],
    paired: bool,
) -> ShapleyResult:
    n = len(game.crowd.centred)
    parts = []
    for b, stratum in enumerate(game.strata):
        if b == 0 and plan[-1]:  # all pairs: what the pilot drew of them says nothing more
            lists, drawn = more[-1], utilities[-1]
            points = game.crowd.coordinates(lists)
        else:
            fresh = more[b][: plan[b]]
            lists, drawn = Lists.joined([pilot[b], fresh]), np.concatenate([game.pilot[b], utilities[b]])
            points = np.concatenate([game.points[b], game.crowd.coordinates(fresh)], axis=1)
        parts.append(_part(game, stratum, lists, points, drawn, b == 0 and bool(paired or plan[-1])))
    empty, single, grand = game.ends[0], game.ends[1:-1], game.ends[-1]
    total, variance = combined(parts, game.crowd.distances, _APART[game.crowd.l1])
    values = (grand - empty + (single - single.mean()) * (n / (n - 1)) + total) / n
    cost = n + 2 + sum(len(piece) for piece in pilot) + int(plan.sum())
    return ShapleyResult(values, np.sqrt(variance) / n, cost, "stratified")


def _part(
    game: _Game,
    stratum: Stratum,
    lists: Lists,
    points: NDArray[np.float64],
    utilities: NDArray[np.float64],
    enumerated: bool,
) -> Part:
    n, m, basis = len(game.crowd.centred), len(lists), game.bases[stratum.number]
    weights = stratum.weights[lists.sizes - stratum.low]
    found = fit(game.crowd, basis, points, utilities, weights)
    contrasts = basis.standardised(game.crowd.contrasts(stratum), game.crowd.l1)
    closed, lacking, residual = np.zeros(n), np.zeros(n), np.zeros(n)
    _apply(contrasts, found.coefficients.ravel(), closed)
    _apply(contrasts, found.lacking.ravel(), lacking)
    left = found.residuals if enumerated else found.deleted
    _scatter(left, lists.members, lists.ends, stratum.low, stratum.importance, residual)
    residual = (residual - residual.mean()) / m
    square, contribution, noise_wobble = _mean_squares(found.deleted, lists.ends, stratum.low, stratum.deviation)
    reach, floor = math.sqrt(square) * stratum.reach[game.crowd.l1], square * stratum.floor[game.crowd.l1] ** 2
    known = Part(
        closed, lacking, np.zeros(n), 0.0, residual, 0.0, 0.0, reach, floor, m, basis.prior.shape[1], enumerated
    )
    if enumerated:
        return known
    variance, wobble = fitted_variance(game.crowd, basis, points, utilities, weights, found, contrasts)
    return replace(
        known, closed_variance=variance, closed_wobble=wobble, noise=contribution / m, noise_wobble=noise_wobble
    )


@numba.njit(cache=True)
def _apply(contrasts: NDArray[np.float64], coefficients: NDArray[np.float64], out: NDArray[np.float64]) -> None:
    for i in range(len(contrasts)):
        for c in range(len(coefficients)):
            out[i] += contrasts[i, c] * coefficients[c]


@numba.njit(cache=True)
def _scatter(
    left: NDArray[np.float64],
    members: NDArray[np.int32],
    ends: NDArray[np.int64],
    low: int,
    importance: NDArray[np.float64],
    out: NDArray[np.float64],
) -> None:
    """Σ_s g_s r_s 1{i ∈ s}."""
    start = 0
    for s in range(len(ends)):
        weighted = importance[ends[s] - start - low] * left[s]
        for t in range(start, ends[s]):
            out[members[t]] += weighted
        start = ends[s]


@numba.njit(cache=True)
def _mean_squares(
    left: NDArray[np.float64], ends: NDArray[np.int64], low: int, deviation: NDArray[np.float64]
) -> tuple[float, float, float]:
    """Mean squares: of the residuals, and of what a coalition contributes to a contrast, with its relative variance."""
    square = contribution = fourth = 0.0
    start, m = 0, len(ends)
    for s in range(m):
        part = deviation[ends[s] - start - low] * left[s]
        part *= part
        square += left[s] * left[s]
        contribution += part
        fourth += part * part
        start = ends[s]
    wobble = max(fourth / (contribution * contribution) - 1.0 / m, 0.0) if contribution > 0.0 else 0.0
    return square / m, contribution / m, wobble
