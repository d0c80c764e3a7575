"""What happened to B runs, round by round, and a course: the history so far with the state it has led to."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crowd_sim.scores import l2
from crowd_sim.tournament.round import Rules, State
from crowd_sim.tournament.selection import Selection


@dataclass(frozen=True)
class History:
    """What happened to B runs in R rounds.

    Attributes:
        distances: float64[R + 1, B], ‖model − target‖₂ from the start (index 0) on.
        model_scores: float64[R + 1, B], the score of the model after each round.
        best_scores: float64[R, B], the best candidate's score.
        accepted, mistakes: bool[R, B].
        winners: int64[R, B], the group whose candidate became the model, −1 where none did.
        points: float64[B, n], at the end.
    """

    distances: NDArray[np.float64]
    model_scores: NDArray[np.float64]
    best_scores: NDArray[np.float64]
    accepted: NDArray[np.bool_]
    mistakes: NDArray[np.bool_]
    winners: NDArray[np.int64]
    points: NDArray[np.float64]

    def of(self, runs: slice) -> History:
        """The history of some of the runs."""
        rows = {field.name: getattr(self, field.name)[:, runs] for field in fields(self) if field.name != "points"}
        return History(**rows, points=self.points[runs])


class Course:
    """A tournament on its way: its rules, the state after some rounds, and the rows of its history so far.

    Attributes:
        state: after `state.round` rounds.
    """

    def __init__(self, rules: Rules, state: State, rows: dict[str, NDArray[Any]] | None = None) -> None:
        """Begin with `state`, which has come about as `rows` say (nothing yet, if there are none).

        Args:
            rules: of the rounds to come.
            state: where they start.
            rows: float64, bool or int64[r, B] of the r rounds so far, by their names in `History`.
        """
        self.rules = rules
        n_runs = len(state.models)
        # with room for all rounds: what is written once is never copied again
        self._rows: dict[str, NDArray[Any]] = {
            "distances": np.empty((rules.rounds + 1, n_runs)),
            "model_scores": np.empty((rules.rounds + 1, n_runs)),
            "best_scores": np.empty((rules.rounds, n_runs)),
            "accepted": np.empty((rules.rounds, n_runs), dtype=np.bool_),
            "mistakes": np.empty((rules.rounds, n_runs), dtype=np.bool_),
            "winners": np.empty((rules.rounds, n_runs), dtype=np.int64),
        }
        for name, known in (rows or {}).items():
            self._rows[name][: len(known)] = known
        self.state = state
        self._note_model()

    def advance(self, state: State, selection: Selection) -> None:
        """Note the round that has led to `state`."""
        row = state.round - 1
        self._rows["best_scores"][row] = selection.candidate_scores.max(axis=1)
        self._rows["accepted"][row] = selection.accepted
        self._rows["mistakes"][row] = selection.mistake
        self._rows["winners"][row] = selection.winner
        self.state = state
        self._note_model()

    def _note_model(self) -> None:
        models, targets = self.state.models, self.rules.targets
        self._rows["distances"][self.state.round] = -l2(models, targets)
        self._rows["model_scores"][self.state.round] = self.rules.score(models, targets)

    def history(self) -> History:
        """All of it, when the last round is over."""
        return History(**self._rows, points=self.state.points)

    def pack(self) -> bytes:
        """All that `unpack` needs to go on from here."""
        done = self.state.round
        rows = {name: array[: done + (len(array) > self.rules.rounds)] for name, array in self._rows.items()}
        state = {field.name: getattr(self.state, field.name) for field in fields(State)}
        return pickle.dumps((state, rows), protocol=pickle.HIGHEST_PROTOCOL)

    @classmethod
    def unpack(cls, packed: bytes, rules: Rules) -> Course:
        """The course that was packed, under the same rules.

        Raises:
            ValueError: it is not of as many runs and coordinates, or further than these rules' last round.
        """
        content, rows = pickle.loads(packed)
        state = replace(State(**content))
        if state.models.shape != rules.targets.shape or state.round > rules.rounds:
            raise ValueError(f"packed after round {state.round} for models of shape {state.models.shape}")
        return cls(rules, state, rows)
