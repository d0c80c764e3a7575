"""What holds for all rounds of a batch, and the state that they start from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crowd_sim.tournament.grouping import Grouping
from crowd_sim.tournament.learner import Learner
from crowd_sim.tournament.search import Search
from crowd_sim.tournament.state import Account, Memory, Reward, State

Screening = Callable[[NDArray[np.float64], Memory, int], NDArray[np.float64]]


@dataclass(frozen=True)
class Rules:
    """What the B runs of a batch have in common, and the numbers in which they differ.

    Attributes:
        rounds, n_groups: R and K.
        grouping, search, reward: the strategies.
        observers: further reward mechanisms, by name.
        incumbent: whether the old model competes.
        drop_used: whether the workers of a winning group leave.
        evidence: whether what everyone contributes is kept.
        measure_every: m, every m-th round has random groups and equal weights; 0: none.
        exploit_every: m, every m-th round has one candidate of all workers; 0: none.
        audits: workers a round whose candidates are scored alone.
        screening: (weights float64[B, n], evidence, number of the round) → the weights, where screens change them.
        outer_momentum: of merged candidates, from round to round.
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
    evidence: bool
    step: NDArray[np.float64]
    mistake_probability: NDArray[np.float64]
    seeds: NDArray[np.uint64]
    runs: NDArray[np.uint64]
    measure_every: int = 0
    exploit_every: int = 0
    audits: int = 0
    screening: Screening | None = None
    outer_momentum: float = 0.0

    def measures(self, number: int) -> bool:
        """Whether this round has random groups and equal weights, so that everyone is seen alike."""
        return bool(self.measure_every) and number % self.measure_every == 0

    def exploits(self, number: int) -> bool:
        """Whether this round has one candidate, of all workers."""
        return bool(self.exploit_every) and number % self.exploit_every == 0


def start(rules: Rules, learner: Learner, n_workers: int) -> State:
    """Round 0: the learner's initial models, one point for every worker on every account."""
    shape = (len(rules.seeds), n_workers)
    active = np.ones(shape if rules.drop_used else (shape[0], 0), dtype=bool)
    observed = {name: Account(np.ones(shape)) for name in rules.observers}
    return State(0, learner.initial(), np.ones(shape), {}, active, observed)
