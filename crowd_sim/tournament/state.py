"""What a tournament carries from round to round, and what one round did."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crowd_sim.tournament.selection import Selection

Memory = Mapping[str, NDArray[Any]]
"""What a reward mechanism remembers from round to round; empty before the first."""


@dataclass(frozen=True, eq=False)
class Account:
    """What a reward mechanism keeps, be it the one that pays or one that watches.

    Attributes:
        points: float64[B, n].
        memory: what it remembers.
    """

    points: NDArray[np.float64]
    memory: Memory = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class State:
    """Where B runs stand after a round.

    Attributes:
        round: rounds played.
        models: the learner's own: float64[B, d], or B adapters.
        points: float64[B, n].
        memory: what the reward mechanism remembers.
        active: bool[B, n], who is still in the tournament; empty (bool[B, 0]) where nobody ever leaves.
        observed: the accounts of the mechanisms that watch, by name.
        evidence: what workers contributed so far, see `crowd_sim.tournament.evidence`; empty where nothing asks for it.
        before: the models a round earlier; None before the second round, and where nothing asks for them.
    """

    round: int
    models: Any
    points: NDArray[np.float64]
    memory: Memory
    active: NDArray[np.bool_]
    observed: Mapping[str, Account] = field(default_factory=dict)
    evidence: Memory = field(default_factory=dict)
    before: Any = None


@dataclass(frozen=True, eq=False)
class Scores:
    """What selection looks at: means over what was scored, and their standard errors (0 where a score is exact).

    Attributes:
        incumbents, incumbents_se: float64[B], of the models that the round started from.
        candidates, candidates_se: float64[B, K]; NaN where tuning diverged.
        generated: int64[B], tokens that scoring took.
    """

    incumbents: NDArray[np.float64]
    incumbents_se: NDArray[np.float64]
    candidates: NDArray[np.float64]
    candidates_se: NDArray[np.float64]
    generated: NDArray[np.int64]

    def of(self, runs: slice) -> Scores:
        """The scores of some of the runs."""
        return Scores(**{field.name: getattr(self, field.name)[runs] for field in fields(self)})

    def plus_generated(self, tokens: NDArray[np.int64]) -> Scores:
        """With int64[B] more tokens that scoring took."""
        generated = self.generated + tokens
        return Scores(self.incumbents, self.incumbents_se, self.candidates, self.candidates_se, generated)


@dataclass(frozen=True, eq=False)
class Round:
    """A round of B runs.

    Attributes:
        round: its number, from 1.
        rounds: R, how many there will be.
        step: float64[B], δ.
        assignment: int64[B, n], the group of every worker, −1 for those who have left.
        weights: float64[B, n], the weight of every worker in its group's candidate.
        selection: scores, ranks and winners, as reward mechanisms see them: a candidate whose tuning diverged has the lowest
            score of the round.
        scores: as they were measured.
        trained: int64[B, K], tokens trained by each candidate; 0 where nothing is counted.
        merged_scores: float64[B], of the merged candidate; NaN where there was none.
        merge_weights: float64[B, K], by which the candidates were merged; NaN where they were not.
        audited, audit_scores: int64[B, a] and float64[B, a], the workers that were audited, and the scores of the candidates
            that each of them made alone; a = 0 where nobody is.
    """

    round: int
    rounds: int
    step: NDArray[np.float64]
    assignment: NDArray[np.int64]
    weights: NDArray[np.float64]
    selection: Selection
    scores: Scores
    trained: NDArray[np.int64]
    merged_scores: NDArray[np.float64]
    merge_weights: NDArray[np.float64]
    audited: NDArray[np.int64]
    audit_scores: NDArray[np.float64]

    def of(self, run: int, workers: NDArray[np.bool_]) -> Round:
        """The round of one run, with some of its workers only: what those who have left do not see."""
        one = slice(run, run + 1)
        return Round(
            round=self.round,
            rounds=self.rounds,
            step=self.step[one],
            assignment=self.assignment[one, workers],
            weights=self.weights[one, workers],
            selection=self.selection.of(one),
            scores=self.scores.of(one),
            trained=self.trained[one],
            merged_scores=self.merged_scores[one],
            merge_weights=self.merge_weights[one],
            audited=self.audited[one],
            audit_scores=self.audit_scores[one],
        )


Reward = Callable[[NDArray[np.float64], Memory, Round], tuple[NDArray[np.float64], Memory]]
"""(points float64[B, n], memory, the round) → new points float64[B, n] and what to remember."""
