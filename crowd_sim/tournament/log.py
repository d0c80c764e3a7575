"""What happened to B runs, round by round, and the log of a tournament on its way: its history so far and its state."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from crowd_sim.arrays import Arrays, pack, unpack
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


class TournamentLog:
    """A tournament on its way: its rules, the state after some rounds, and the rows of its history so far.

    Attributes:
        state: after `state.round` rounds.
    """

    def __init__(self, rules: Rules, state: State) -> None:
        """Begin with `state`, before the first round of these rules."""
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
        """All that `unpack` needs to go on from here: the same bytes for the same log."""
        rows: Arrays = {name: array[: self._length(name, self.state.round)] for name, array in self._rows.items()}
        state: Arrays = {"models": self.state.models, "points": self.state.points, "memory": self.state.memory}
        return pack({"rows": rows, "state": state}, {"round": self.state.round})

    @classmethod
    def unpack(cls, packed: bytes, rules: Rules) -> TournamentLog:
        """The log that was packed, under the same rules.

        Raises:
            ValueError: bytes that are no log's, or one of other numbers of runs or coordinates, or further than these
                rules' last round.
        """
        arrays, header = unpack(packed)
        round_number, state, rows = header.get("round"), arrays.get("state"), arrays.get("rows")
        if type(round_number) is not int or not 0 <= round_number <= rules.rounds:
            raise ValueError(f"packed after round {round_number!r} of {rules.rounds}")
        if not isinstance(state, dict) or not isinstance(rows, dict):
            raise ValueError("no state and rows of a tournament")  # noqa: TRY004 - bad content, not a bug
        memory = state.get("memory", {})
        n_runs = len(rules.targets)
        models = _array(state, "models", np.float64, rules.targets.shape)
        points = _array(state, "points", np.float64, (n_runs, None))
        if not isinstance(memory, dict):
            raise ValueError("memory is no mapping")  # noqa: TRY004 - bad content, not a bug
        log = cls(rules, State(0, models, points, memory))
        for name, room in log._rows.items():
            done = log._length(name, round_number)
            room[:done] = _array(rows, name, room.dtype, (done, n_runs))
        log.state = replace(log.state, round=round_number)
        log._note_model()
        return log

    def _length(self, name: str, done: int) -> int:
        """How many rows there are after so many rounds."""
        return done + (len(self._rows[name]) > self.rules.rounds)


def _array(found: dict[str, Any], name: str, kind: DTypeLike, shape: tuple[int | None, ...]) -> NDArray[Any]:
    """The array of this name, if it has this type and shape; None: an axis of any length."""
    array = found.get(name)
    if not isinstance(array, np.ndarray) or array.dtype != kind or len(array.shape) != len(shape):
        raise ValueError(f"{name} is no array of {kind} with {len(shape)} axes")
    if any(wanted not in (None, axis) for axis, wanted in zip(array.shape, shape, strict=True)):
        raise ValueError(f"{name} is of shape {array.shape}, not {shape}")
    return array
