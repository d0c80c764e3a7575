"""Who takes part in a round: where the workers of a winning group leave (`tournament.drop_used`), the others play on alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from crowd_sim.tournament.grouping import random
from crowd_sim.tournament.groups import Groups
from crowd_sim.tournament.rules import Rules
from crowd_sim.tournament.state import Account, Reward, Round, State
from crowd_sim.tournament.streams import RoundStreams


def present(
    rules: Rules, state: State, streams: RoundStreams, weights: NDArray[np.float64]
) -> tuple[Groups, NDArray[np.float64]]:
    """The groups of those who take part, and the workers' weights: whoever has left weighs nothing, in group 0.

    Where a round exploits what points say, all are in group 0, and the other groups' candidates are the model itself.
    """
    if rules.exploits(streams.round):
        return Groups(np.zeros(state.points.shape, dtype=np.int64)), weights
    grouping = rules.grouping
    if rules.measures(streams.round):
        grouping, weights = random, np.ones(state.points.shape)
    if not rules.drop_used:
        return grouping(state.points, rules.n_groups, streams, rules.rounds), weights
    assignment = np.zeros(state.points.shape, dtype=np.int64)
    for b, here in enumerate(state.active):
        one = slice(b, b + 1)
        dealt = grouping(state.points[one, here], rules.n_groups, streams.of(one), rules.rounds)
        assignment[b, here] = dealt.of_everyone()[0]
    return Groups(assignment), np.where(state.active, weights, 0.0)


def credit(reward: Reward, account: Account, played: Round, active: NDArray[np.bool_]) -> Account:
    """The account after the round; whoever has left neither earns nor counts."""
    if not active.shape[1]:
        return Account(*reward(account.points, account.memory, played))
    earned = account.points.copy()
    for b, here in enumerate(active):
        earned[b, here] = reward(account.points[b : b + 1, here], {}, played.of(b, here))[0][0]
    return Account(earned)  # mechanisms that remember need all workers, see config.checks.tournament


def still_active(active: NDArray[np.bool_], played: Round) -> NDArray[np.bool_]:
    """Without the workers of the winning groups; empty where nobody ever leaves."""
    if not active.shape[1]:
        return active
    used = played.assignment == played.selection.ranks.argmin(axis=1)[:, None]
    return active & ~(used & played.selection.accepted[:, None])
