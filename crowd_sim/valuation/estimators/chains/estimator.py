"""Shapley values of many players: short chains of coalitions in strata of sizes, and what players are alike in.

What a player adds to a coalition often depends most on its size: early members of a coverage game add much, later ones next to
nothing, and of twenty permutations of 10,000 players hardly any has a given player early. So the sizes are cut into strata, and
a chain adds a few players one by one to a random coalition of a size of its stratum. It knows, as a pair of permutations does,
of v only the odd part d(S) = (v(S) − v(N∖S)) / 2, so that additive and quadratic games are exact.

What player i adds in stratum b is μ_b + u_bi + noise. The covariance T of u over the strata and the noise's variances are
learnt from players who are measured twice in all strata; they say which strata to measure in for everybody, and what a
measurement in one tells about the others: the best linear prediction of the value (Henderson, Biometrics 1975), with its error.

Where the players' features are given, μ_b is what they tell (`from_features`), and u what they do not: each player is predicted
by a fit that has not seen it, so that u is no smaller than it is. Then not everybody has to be measured.

Where everybody is measured, a larger budget asks for nearly all that a smaller one has: who is measured twice is a step of a
ladder, and a chain's draws depend on its stratum, turn and place alone. Stages then cost little more than the last one.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from crowd_sim.errors import InputError
from crowd_sim.valuation.estimators import from_features
from crowd_sim.valuation.estimators.chains.drawing import (
    TURNS,
    Chain,
    Stratum,
    alone,
    chained,
    cost_of,
    order_of,
    rows_of,
    strata_of,
    sweep,
    turned,
)
from crowd_sim.valuation.estimators.chains.prediction import Seen, allocated, by_themselves, learnt, predicted
from crowd_sim.valuation.once import once
from crowd_sim.valuation.request import Request
from crowd_sim.valuation.result import ShapleyResult

FEWEST_PLAYERS = 50
_PILOT = 0.2  # share of the budget
_FAR = 10.0  # from the median, in units of the median deviation, is who is like no others
_APART = 0.15  # share of the budget for them, at most
_AGAIN, _FEWEST_SURVEYED = 0.3, 50  # of a few players: share measured twice, and the fewest
_LADDER = [step << k for k in range(32) for step in (16, 24)]  # of how many are measured twice
_ROUNDING = 8.0 * np.finfo(np.float64).eps

_Vector = NDArray[np.float64]


def minimum_budget(n: int, *, featured: bool = False) -> int:
    """The smallest budget for n players; with their features, some have to be measured, else all."""
    everybody = 8 * n + 2000
    return min(everybody, 2 + 2 * math.ceil(_FEWEST_SURVEYED * _survey_cost(strata_of(n)))) if featured else everybody


def chains(request: Request) -> list[ShapleyResult]:
    """Values predicted from what players add at some sizes, with the standard errors of the prediction.

    Each game is valued by itself: where to measure is learnt from it.

    Raises:
        InputError: fewer than 50 players, or a budget below `minimum_budget`.
    """
    n = request.n_players
    if n < FEWEST_PLAYERS:
        raise InputError("method", "chains", f"takes at least {FEWEST_PLAYERS} players; this game has {n}")
    smallest = minimum_budget(n, featured=request.features is not None)
    if request.budget < smallest:
        raise InputError("budget", request.budget, f"must be at least {smallest} for chains with {n} players")
    return [_valued(request.only([g])) for g in range(len(request.games))]


def _valued(request: Request) -> ShapleyResult:
    n, strata = request.n_players, strata_of(request.n_players)
    request, different = once(request)
    weights = np.array([2.0 * (s.high - s.low) / n for s in strata])
    ends = np.array([[False] * n, [True] * n])
    (answer,) = [u for _, u in request.utilities(request.admitted(lambda: iter([ends])))]
    total, pairs = float(answer[0, 1] - answer[0, 0]), (request.budget - 2) // 2
    if request.budget < minimum_budget(n):
        return _surveyed(request, strata, weights, total, pairs, different)
    seen, inner = Seen.nothing(len(strata), n), strata[1:]
    everyone = np.arange(n)
    plan = sweep(request, strata[0], everyone, 0)
    _measure(request, plan, total, seen)
    spent = cost_of(plan)

    # those who are like no others are measured by themselves; of the rest some twice, from which it is learnt where to go on
    most = min(n // 50, int(_APART * pairs / (2 * TURNS * len(inner))))
    apart = _like_no_others(seen.mean[0], most)
    rest = everyone[~apart]
    few = _step(min(len(rest), max(int(_PILOT * pairs / (2.0 * sum(stratum.cost for stratum in inner))), 2)), len(rest))
    order = order_of(request, n, 0)
    people = order[~apart[order]][:few]
    plan = []
    for turn, stratum in itertools.product(range(TURNS), inner):
        plan += alone(stratum, everyone[apart], turn)
    for turn, stratum in itertools.product(range(2), inner):
        n_chains = 0
        for first, stop in itertools.pairwise([0, *(step for step in _LADDER if step < few), few]):
            found = sweep(request, stratum, people[first:stop], turn, n_chains)
            n_chains += len(found)
            plan += found
    _measure(request, plan, total, seen)
    spent += cost_of(plan)

    sweeps = allocated(
        strata, weights, *learnt(seen.only(~apart), _expected(request, seen, ~apart)), len(rest), pairs - spent
    )
    plan = []
    for stratum, wanted in zip(inner, sweeps[1:], strict=True):
        for turn in range(2, 2 + math.ceil(wanted)):
            order = turned(request, stratum, everyone, turn)
            some = order[~apart[order]][: round(min(wanted + 2 - turn, 1.0) * len(rest))]
            plan += chained(stratum, some, turn)
    while spent + cost_of(plan) > pairs:
        plan.pop()
    _measure(request, plan, total, seen)
    values, variance = np.empty(n), np.empty(n)
    told = _expected(request, seen, ~apart)
    values[~apart], variance[~apart] = predicted(seen.only(~apart), told, weights)
    values[apart], variance[apart] = by_themselves(seen.only(apart), weights)
    return _result(values, variance, total, seen, different(2 + 2 * (spent + cost_of(plan))))


def _result(values: _Vector, variance: _Vector, total: float, seen: Seen, cost: int) -> ShapleyResult:
    # what the values lack to their sum is not known of any player: a few may have most of it, and nobody has seen them; of a
    # vote that was never decided it is everything
    shift = (total - values.sum()) * (variance / variance.sum() if variance.any() else 1.0 / len(values))
    error = np.sqrt(variance + shift**2 + (_ROUNDING * max(seen.largest, abs(total))) ** 2)
    return ShapleyResult(values + shift, error, cost, "chains")


def _survey_cost(strata: Sequence[Stratum]) -> float:
    """Pairs of evaluations a player: in the first stratum once, in the others once, and again for the share of them."""
    return 1.0 + (1.0 + _AGAIN) * sum(stratum.cost for stratum in strata[1:])


def _surveyed(
    request: Request,
    strata: Sequence[Stratum],
    weights: _Vector,
    total: float,
    pairs: int,
    different: Callable[[int], int],
) -> ShapleyResult:
    """Of a budget too small to measure everybody: some are, a part of them twice, and features tell of the others."""
    n = request.n_players
    people = order_of(request, n, 0)[: int(pairs / _survey_cost(strata)) + 1]
    plan: list[Chain] = []
    while not plan or cost_of(plan) > pairs:
        people, plan = people[:-1], []
        for turn, some in enumerate((people, people[: int(_AGAIN * len(people))])):
            for stratum in strata[turn:]:
                plan += sweep(request, stratum, some, turn)
    seen = Seen.nothing(len(strata), n)
    _measure(request, plan, total, seen)
    told = _expected(request, seen, np.ones(n, dtype=np.bool_))
    values, variance = predicted(seen, told, weights)
    return _result(values, variance, total, seen, different(2 + 2 * cost_of(plan)))


def _expected(request: Request, seen: Seen, players: NDArray[np.bool_]) -> _Vector:
    """What features tell of what some of the players add, by stratum: float64[B, k], beside the mean."""
    found = np.zeros((len(seen.count), int(players.sum())))
    if request.features is None:
        return found
    order = order_of(request, request.n_players, 1)
    features, place = request.features[players], np.cumsum(players) - 1
    for b in range(len(found)):
        measured = order[players[order] & (seen.count[b, order] > 0)]
        found[b] = from_features.predicted(features, place[measured], seen.mean[b, measured])
    return found


def _like_no_others(first: _Vector, most: int) -> NDArray[np.bool_]:
    """bool[n], who adds to nobody much more or less than the others do; ``most`` of them at most."""
    off = np.abs(first - np.median(first))
    found = np.zeros(len(first), dtype=np.bool_)
    worst = np.argsort(-off, kind="stable")[:most]
    found[worst] = off[worst] > _FAR * np.median(off)
    return found


def _step(few: int, most: int) -> int:
    """The last step of the ladder that is no more than ``few``; ``few`` where it has none, or is all that there are."""
    return few if few == most else max((step for step in _LADDER if step <= few), default=few)


def _measure(request: Request, plan: Sequence[Chain], total: float, seen: Seen) -> None:
    """Evaluate the chains and take what their players add into ``seen``."""
    n = request.n_players
    left = np.empty(0)
    waiting = iter(plan)
    for _, utilities in request.utilities(request.admitted(lambda: rows_of(request, plan))):
        left = np.concatenate([left, 0.5 * utilities[0, ::2] - 0.5 * utilities[0, 1::2]])
        used = 0
        while (chain := next(waiting, None)) is not None:
            rows = len(chain.players) + (chain.size > 0)
            if used + rows > len(left):
                waiting = itertools.chain([chain], waiting)
                break
            odd = left[used : used + rows]
            used += rows
            seen.largest = max(seen.largest, float(np.abs(odd).max()))
            added = np.diff(odd) if chain.size else odd - np.append(-0.5 * total, odd[:-1])
            sizes = chain.size + np.arange(len(added))
            added = np.where(2 * sizes == n - 1, 0.5 * added, added)  # the middle size is its own complement's
            b = chain.stratum.number
            seen.count[b, chain.players] += 1.0
            seen.total[b, chain.players] += added
            seen.squares[b, chain.players] += added**2
        left = left[used:]
