"""What happened to B runs, round by round, and the log of a tournament on its way."""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crowd_sim.tournament.learner import Note
from crowd_sim.tournament.round import Rules
from crowd_sim.tournament.state import Round, State


@dataclass(frozen=True)
class History:
    """What happened to B runs in R rounds.

    Attributes:
        distances: float64[R + 1, B], ‖model − target‖₂ from the start (index 0) on.
        model_scores: float64[R + 1, B], the score of the model after each round.
        best_scores: float64[R, B], the best candidate's score; NaN where the tuning of all diverged.
        accepted, mistakes: bool[R, B].
        winners: int64[R, B], the group whose candidate became the model, −1 where none did.
        points: float64[B, n], at the end.
        models: the learner's own, of B runs, at the end.
        observed: float64[B, n], the points of every mechanism that watched, by name.
        notes: what the learner had to say.
    """

    distances: NDArray[np.float64]
    model_scores: NDArray[np.float64]
    best_scores: NDArray[np.float64]
    accepted: NDArray[np.bool_]
    mistakes: NDArray[np.bool_]
    winners: NDArray[np.int64]
    points: NDArray[np.float64]
    models: Any
    observed: Mapping[str, NDArray[np.float64]]
    notes: tuple[Note, ...]

    def of(self, runs: slice) -> History:
        """The history of some of the runs."""
        whole = ("points", "models", "observed", "notes")
        rows = {field.name: getattr(self, field.name)[:, runs] for field in fields(self) if field.name not in whole}
        observed = {name: points[runs] for name, points in self.observed.items()}
        return History(**rows, points=self.points[runs], models=self.models[runs], observed=observed, notes=self.notes)


class TournamentLog:
    """A tournament on its way: its rules, the state after some rounds, and the rows of its history so far.

    Attributes:
        rules: of its rounds.
        state: after `state.round` rounds.
        notes: what the learner had to say so far.
        is_complete: whether the model after the last round is measured.
    """

    def __init__(self, rules: Rules, state: State) -> None:
        self.rules = rules
        self.state = state
        self.notes: list[Note] = []
        self.is_complete = False
        n_runs = len(rules.seeds)
        # with room for all rounds: what is written once is never copied again
        self._rows: dict[str, NDArray[Any]] = {
            "distances": np.zeros((rules.rounds + 1, n_runs)),
            "model_scores": np.zeros((rules.rounds + 1, n_runs)),
            "best_scores": np.zeros((rules.rounds, n_runs)),
            "accepted": np.zeros((rules.rounds, n_runs), dtype=np.bool_),
            "mistakes": np.zeros((rules.rounds, n_runs), dtype=np.bool_),
            "winners": np.zeros((rules.rounds, n_runs), dtype=np.int64),
        }

    def advance(self, state: State, played: Round, notes: Sequence[Note]) -> None:
        """Note the round that has led to `state`, and what the learner says of it."""
        row = state.round - 1
        self._rows["best_scores"][row] = np.fmax.reduce(played.scores.candidates, axis=1)  # NaN where all diverged
        self._rows["accepted"][row] = played.selection.winner >= 0
        self._rows["mistakes"][row] = played.selection.mistake
        self._rows["winners"][row] = played.selection.winner
        self.state = state
        self.notes += notes

    def measured(self, distances: NDArray[np.float64], scores: NDArray[np.float64]) -> None:
        """Note distances and scores, float64[B] each, of the models as they are now."""
        self._rows["distances"][self.state.round] = distances
        self._rows["model_scores"][self.state.round] = scores
        self.is_complete = self.state.round == self.rules.rounds

    @property
    def progress(self) -> int:
        """Grows with everything that is noted."""
        return self.state.round + len(self.notes)

    def history(self) -> History:
        """All of it, when the last round is over."""
        observed = {name: account.points for name, account in self.state.observed.items()}
        return History(
            **self._rows,
            points=self.state.points,
            models=self.state.models,
            observed=observed,
            notes=tuple(self.notes),
        )

    def pack(self) -> bytes:
        """All that `unpack` needs to go on from here."""
        done = self.state.round
        rows = {name: array[: done + (len(array) > self.rules.rounds)] for name, array in self._rows.items()}
        state = {field.name: getattr(self.state, field.name) for field in fields(State)}
        return pickle.dumps((state, rows, self.notes, self.is_complete), protocol=pickle.HIGHEST_PROTOCOL)

    @classmethod
    def unpack(cls, packed: bytes, rules: Rules, n_workers: int) -> TournamentLog:
        """The log that was packed, under the same rules.

        Raises:
            ValueError: it is not of as many runs and workers, or further than these rules' last round.
        """
        content, rows, notes, is_complete = pickle.loads(packed)
        state = State(**content)
        if state.points.shape != (len(rules.seeds), n_workers) or state.round > rules.rounds:
            raise ValueError(f"packed after round {state.round} for points of shape {state.points.shape}")
        log = cls(rules, state)
        for name, known in rows.items():
            log._rows[name][: len(known)] = known
        log.notes, log.is_complete = list(notes), is_complete
        return log
