"""The one round of a tournament, whatever is learned: group, contribute, tune, score, select, reward."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from crowd_sim.tournament.grouping import Grouping
from crowd_sim.tournament.groups import Groups
from crowd_sim.tournament.learner import Learner
from crowd_sim.tournament.request import RoundRequest
from crowd_sim.tournament.search import Search
from crowd_sim.tournament.selection import select
from crowd_sim.tournament.state import Memory, Observed, Reward, Round, State
from crowd_sim.tournament.streams import RoundStreams


@dataclass(frozen=True)
class Rules:
    """What the B runs of a batch have in common, and the numbers in which they differ.

    Attributes:
        rounds, n_groups: R and K.
        grouping, search, reward: the strategies.
        observers: further reward mechanisms, by name.
        incumbent: whether the old model competes.
        drop_used: whether the workers of a winning group leave.
        step, mistake_probability: float64[B].
        seeds, runs: uint64[B], the keys of the runs' random streams.
    """

    rounds: int
    n_groups: int
    grouping: Grouping
    search: Search
    reward: Reward
    observers: Mapping[str, Reward]
    incumbent: bool
    drop_used: bool
    step: NDArray[np.float64]
    mistake_probability: NDArray[np.float64]
    seeds: NDArray[np.uint64]
    runs: NDArray[np.uint64]


def start(rules: Rules, learner: Learner, n_workers: int) -> State:
    """Round 0: the learner's initial models, one point for every worker on every account."""
    shape = (len(rules.seeds), n_workers)
    active = np.ones(shape if rules.drop_used else (shape[0], 0), dtype=bool)
    observed = {name: Observed(np.ones(shape)) for name in rules.observers}
    return State(0, learner.initial(), np.ones(shape), {}, active, observed)


def play(rules: Rules, state: State, learner: Learner) -> tuple[State, Round]:
    """One round of every run."""
    streams = RoundStreams(rules.seeds, rules.runs, state.round + 1)
    groups, weights = _present(rules, state, streams, learner.weights(state.points))
    asked = RoundRequest(streams.round, state.models, groups, weights, rules.n_groups)
    explored = rules.search.explore(learner, asked)
    scores = explored.scores
    rivals = scores.incumbents if rules.incumbent else np.full(len(scores.incumbents), -np.inf)
    selection = select(rivals, explored.standing, rules.mistake_probability, streams)
    settled = rules.search.settle(learner, asked, explored, selection)
    models = learner.adopt(state.models, explored.candidates, settled.merged, settled.winners)
    assignment = groups.of_everyone()
    played = Round(
        round=streams.round,
        rounds=rules.rounds,
        step=rules.step,
        assignment=assignment if not rules.drop_used else np.where(state.active, assignment, -1),
        weights=weights,
        selection=replace(
            selection,
            model_scores=scores.incumbents,
            candidate_scores=_lowest_for_diverged(scores.candidates, scores.incumbents),
            winner=settled.winners,
        ),
        scores=replace(scores, generated=scores.generated + settled.generated),
        trained=explored.candidates.trained,
        merged_scores=settled.scores,
        merge_weights=settled.weights,
    )
    points, memory = _credit(rules.reward, state.points, state.memory, played, state.active)
    observed = {
        name: Observed(*_credit(reward, state.observed[name].points, state.observed[name].memory, played, state.active))
        for name, reward in rules.observers.items()
    }
    active = _still_active(state.active, played) if rules.drop_used else state.active
    return State(streams.round, models, points, memory, active, observed), played


def _present(
    rules: Rules, state: State, streams: RoundStreams, weights: NDArray[np.float64]
) -> tuple[Groups, NDArray[np.float64]]:
    """The groups of those who take part, and the workers' weights: whoever has left weighs nothing, in group 0."""
    if not rules.drop_used:
        return rules.grouping(state.points, rules.n_groups, streams, rules.rounds), weights
    assignment = np.zeros(state.points.shape, dtype=np.int64)
    for b, here in enumerate(state.active):
        one = slice(b, b + 1)
        dealt = rules.grouping(state.points[one, here], rules.n_groups, streams.of(one), rules.rounds)
        assignment[b, here] = dealt.of_everyone()[0]
    return Groups(assignment), np.where(state.active, weights, 0.0)


def _credit(
    reward: Reward, points: NDArray[np.float64], memory: Memory, played: Round, active: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], Memory]:
    if not active.shape[1]:
        return reward(points, memory, played)
    earned = points.copy()
    for b, here in enumerate(active):
        earned[b, here] = reward(points[b : b + 1, here], {}, played.of(b, here))[0][0]
    return earned, {}  # mechanisms that remember need all workers, see config.checks


def _still_active(active: NDArray[np.bool_], played: Round) -> NDArray[np.bool_]:
    used = played.assignment == played.selection.ranks.argmin(axis=1)[:, None]
    return active & ~(used & played.selection.accepted[:, None])


def _lowest_for_diverged(candidates: NDArray[np.float64], incumbents: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scores without holes: a candidate whose tuning diverged has the lowest of its round."""
    if np.isfinite(candidates).all():
        return candidates
    both = np.column_stack([candidates, incumbents])
    lowest = np.where(np.isfinite(both), both, np.inf).min(axis=1)
    return np.where(np.isfinite(candidates), candidates, np.where(np.isfinite(lowest), lowest, np.nan)[:, None])
