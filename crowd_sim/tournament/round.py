"""The rounds of a tournament, as the data sees them: state, what one round did, and the history of a batch of runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from crowd_sim.random import Purpose
from crowd_sim.scores import Score
from crowd_sim.tournament.grouping import Grouping
from crowd_sim.tournament.request import RoundRequest
from crowd_sim.tournament.rewards import Memory, Played, Reward
from crowd_sim.tournament.selection import Selection, select
from crowd_sim.tournament.streams import RoundStreams

Contributions = Callable[[RoundRequest], NDArray[np.float64]]
"""What the round asks → group sums float64[B, K, d + 1]."""

Tuning = Callable[[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]
"""(models float64[B, d], group sums float64[B, K, d + 1], step float64[B]) → candidates float64[B, K, d]."""


@dataclass(frozen=True)
class Rules:
    """What the B runs of a batch have in common, and the numbers in which they differ.

    Attributes:
        rounds, n_groups: R and K.
        grouping, score, reward: the strategies.
        step, mistake_probability: float64[B].
        seeds, runs: uint64[B], the keys of the runs' random streams.
        targets: float64[B, d].
        initial_range: the model starts uniform in [low, high]^d.
    """

    rounds: int
    n_groups: int
    grouping: Grouping
    score: Score
    reward: Reward
    step: NDArray[np.float64]
    mistake_probability: NDArray[np.float64]
    seeds: NDArray[np.uint64]
    runs: NDArray[np.uint64]
    targets: NDArray[np.float64]
    initial_range: tuple[float, float]


@dataclass(frozen=True)
class State:
    """Where B runs stand after a round.

    Attributes:
        round: rounds played.
        models: float64[B, d].
        points: float64[B, n].
        memory: what the reward mechanism remembers, arrays by name; empty before the first round and where it is unused.
    """

    round: int
    models: NDArray[np.float64]
    points: NDArray[np.float64]
    memory: Memory = field(default_factory=dict)


def start(rules: Rules, n_workers: int) -> State:
    """Round 0: models uniform in the initial range, one point for every worker."""
    low, high = rules.initial_range
    draws = RoundStreams(rules.seeds, rules.runs, 0)
    models = low + (high - low) * draws.uniforms(Purpose.INITIAL_MODEL, rules.targets.shape[1])
    return State(round=0, models=models, points=np.ones((len(models), n_workers)))


def play(rules: Rules, state: State, contributions: Contributions, tuning: Tuning) -> tuple[State, Selection]:
    """One round of every run: group, contribute, tune, score, select, reward."""
    draws = RoundStreams(rules.seeds, rules.runs, state.round + 1)
    groups = rules.grouping(state.points, rules.n_groups, draws, rules.rounds)
    weights = state.points**2
    request = RoundRequest(draws.round, state.models, groups, weights, rules.n_groups)
    candidates = tuning(state.models, contributions(request), rules.step)
    selection = select(
        rules.score(state.models, rules.targets),
        rules.score(candidates, rules.targets[:, None, :]),
        rules.mistake_probability,
        draws,
    )
    rows = np.arange(len(state.models))
    models = np.where(selection.accepted[:, None], candidates[rows, selection.winner], state.models)
    played = Played(draws.round, rules.rounds, rules.step, groups.of_everyone(), weights, selection)
    points, memory = rules.reward(state.points, state.memory, played)
    return State(draws.round, models, points, memory), selection
