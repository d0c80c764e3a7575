"""The port between the tournament and what is learned: a task brings a learner, everything else exists once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from crowd_sim.tournament.request import RoundRequest
from crowd_sim.tournament.state import Round, Scores, State

Note = Mapping[str, Any]
"""Something a learner has to say of a run, in numbers and texts that JSON can hold."""


@dataclass(frozen=True, eq=False)
class Candidates:
    """K candidates of each of B runs.

    Attributes:
        models: the learner's own: float64[B, K, d], or B lists of K adapters.
        trained: int64[B, K], tokens trained by each; 0 where nothing is counted.
    """

    models: Any
    trained: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Part:
    """A part of the candidates' training, for those that are still in the race.

    Attributes:
        number, of: which part, from 0; how many there are.
        alive: bool[B, K].
    """

    number: int
    of: int
    alive: NDArray[np.bool_]


class Learner(Protocol):
    """What B runs learn. Models are its own; to the tournament they are opaque."""

    def initial(self) -> Any:
        """The models that the runs start from."""

    def weights(self, points: NDArray[np.float64], *, exploits: bool = False) -> NDArray[np.float64]:
        """The weight of every worker in its group's candidate: float64[B, n], of points float64[B, n].

        `exploits`: of a round whose candidate is everyone's (`Rules.exploits`).
        """

    def tune(self, asked: RoundRequest, part: Part | None = None, before: Candidates | None = None) -> Candidates:
        """Tune every group's candidate from the round's models; with `part` go on with `before`, those alive alone."""

    def score(
        self,
        asked: RoundRequest,
        candidates: Candidates | None,
        numbers: Sequence[int] = (),
        alive: NDArray[np.bool_] | None = None,
        *,
        incumbents: bool = True,
    ) -> Scores:
        """Score incumbents and candidates in one call, so that they are measured alike.

        Args:
            asked: what the round asked.
            candidates: those to score.
            numbers: one per candidate, the keys of their draws.
            alive: bool[B, K], who of them is scored; absent: all.
            incumbents: whether the models that the round started from are scored, too.
        """

    def combine(self, candidates: Candidates, weights: NDArray[np.float64]) -> Candidates:
        """One candidate of each run, merged by weights float64[B, K], NaN for who is left out; where all are, anything."""

    def carried(self, merged: Candidates, asked: RoundRequest) -> Candidates:
        """Merged candidates, one of each run, moved on by `asked.momentum` times the way from `asked.before` to its models."""

    def adopt(self, models: Any, candidates: Candidates, merged: Candidates | None, winners: NDArray[np.int64]) -> Any:
        """The models after a round: candidate `winners`[b], the old model where −1, the merged one where K."""

    def notes(self, state: State, rounds: int, notes: Sequence[Note]) -> Iterable[Note]:
        """What is still to be said of the state, one note after another; `notes` have been said."""

    def describe(self, played: Round, seconds: float) -> Sequence[Note]:
        """What is to be noted of a round that took so long."""

    def measure(self, state: State, notes: Sequence[Note]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Distances to the target and scores of the models: float64[B] each."""


class PointLearner(Learner, Protocol):
    """A learner whose models are points, and to whom each worker contributes one: only such are asked for single workers."""

    def contributions(self, asked: RoundRequest) -> NDArray[np.float64]:
        """What every worker contributes to the round: float64[B, n, d]."""

    def audit(self, asked: RoundRequest, workers: NDArray[np.int64]) -> NDArray[np.float64]:
        """Scores float64[B, a] of candidates that workers int64[B, a] would make alone, of what they contribute this round."""
