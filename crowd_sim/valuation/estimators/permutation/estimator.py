"""Shapley values by sampling permutations in antithetic pairs whose first and last players are balanced."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np

from crowd_sim.errors import InputError
from crowd_sim.random import Purpose
from crowd_sim.valuation.estimators.exact import MAX_PLAYERS, exact
from crowd_sim.valuation.estimators.paired_regression import MAX_PLAYERS as MOST_OF_PAIRED
from crowd_sim.valuation.estimators.paired_regression import minimum_budget as least_of_paired
from crowd_sim.valuation.estimators.paired_regression import paired_regression
from crowd_sim.valuation.estimators.permutation.noisy import noisy_permutation
from crowd_sim.valuation.estimators.permutation.plan import head_of, plan_of, prefixes_of
from crowd_sim.valuation.estimators.permutation.sums import Sums, fold
from crowd_sim.valuation.once import once
from crowd_sim.valuation.request import Request
from crowd_sim.valuation.result import ShapleyResult


def permutation(request: Request) -> list[ShapleyResult]:
    """Values from pairs of a random permutation and its reverse (Castro et al. 2009; Mitchell et al. 2022).

    A pair knows of v only its odd part d(S) = (v(S) − v(N∖S)) / 2, at the prefixes of the permutation; what a player adds to
    d at its place is the pair's word on its value. So games whose odd part is additive have their exact values: additive
    ones, quadratic ones, and gloves of as many left as right hands.

    First and last place are apart: there v(∅) and v(N) take part, often far from all else. In ⌈n / 2⌉ consecutive pairs, a
    cycle, every player takes one of these places once, in random order. What it adds there does not depend on the other
    players, so it is evaluated in the first cycle only, counts as often as these two places come up, 2 in n, and where it
    is not known yet, it is predicted from the player's other places and the mean difference. Where it takes no more than
    half of the budget, so is the mean over the places next to them, from all pairs of players and their complements.
    What the values then lack to the sum v(N) − v(∅) is shared by their variances. Permutation j is drawn from the stream
    (seed, run, PERMUTATION, j): a larger budget goes on where a smaller one ended.

    The standard errors come from each player's spread between pairs and, where there are few, that of all players; they are
    widened from Student's t, so that ± 1.96 of them cover. Of a single pair there are none: NaN. Where the budget covers all
    coalitions of up to 20 players, and up to two players, the values are exact. Noisy games, and games with missing
    utilities, have pairs of their own (`noisy_permutation`); where these may be skipped and the budget covers all coalitions,
    `paired_regression` knows what the missing ones leave open.

    Raises:
        InputError: a budget that does not cover one pair, 2n.
    """
    n, n_games = request.n_players, len(request.games)
    if request.skips and 1 < n <= MOST_OF_PAIRED and _pays(n, request):
        # a permutation needs all of its coalitions, and those without a missing utility share many
        try:
            return paired_regression(replace(request, budget=max(request.budget, least_of_paired(n))))
        except InputError as error:
            given = request.budget if error.field == "budget" else error.value
            raise InputError(error.field, given, error.allowed) from None
    if request.noisy or request.skips:
        return noisy_permutation(request)
    smallest = minimum_budget(n)
    if request.budget < smallest:
        raise InputError("budget", request.budget, f"must be at least {smallest} for permutation with {n} players")
    if n <= MAX_PLAYERS and 2**n <= request.budget:
        return exact(request)
    plan = plan_of(n, request.budget)
    request, different = once(request)
    chunks = request.admitted(lambda: itertools.chain(head_of(plan), prefixes_of(plan, request.seed, request.run)))
    stream = (utilities for _, utilities in request.utilities(chunks))
    head = next(stream)
    while head.shape[1] < plan.n_head:
        head = np.concatenate([head, next(stream)], axis=1)
    sums = Sums.of(plan, head)
    waiting = np.empty((n_games, 0))
    key = np.uint64(request.seed), np.uint64(request.run), np.uint64(Purpose.PERMUTATION)
    done = 0
    for utilities in stream:
        waiting = np.concatenate([waiting, utilities], axis=1)
        done, used = fold(
            *key,
            done,
            plan.n_exact,
            waiting,
            sums.single,
            sums.couple,
            sums.count,
            sums.mean,
            sums.squares,
            sums.cubes,
            sums.fourths,
            sums.largest,
        )
        waiting = waiting[:, used:]
    return [ShapleyResult(*sums.values(g, plan), different(plan.cost), "permutation") for g in range(n_games)]


def _pays(n: int, request: Request) -> bool:
    """Whether the budget covers a paired regression, which without noise takes no more than all coalitions."""
    least = least_of_paired(n)
    return request.budget >= (least if request.noisy or n > MAX_PLAYERS else min(least, 2**n))


def minimum_budget(n: int) -> int:
    """The smallest budget for n players: both ends and one pair."""
    return 2 * n
