"""What happened to B runs, round by round, and the log of a tournament on its way."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from crowd_sim.arrays import Arrays, pack, unpack
from crowd_sim.tournament.calibrated import ERRORS
from crowd_sim.tournament.learner import Note
from crowd_sim.tournament.rules import Rules
from crowd_sim.tournament.state import Account, Memory, Round, State


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
        evidence: what workers contributed, float64[B, n, ...] by name, where something asked for it.
        errors: float64[B, n], the standard errors of points, by mechanism ("": the one that pays), where it was asked for them.
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
    evidence: Memory
    errors: Mapping[str, NDArray[np.float64]]

    def of(self, runs: slice) -> History:
        """The history of some of the runs."""
        whole = ("points", "models", "observed", "notes", "evidence", "errors")
        rows = {field.name: getattr(self, field.name)[:, runs] for field in fields(self) if field.name not in whole}
        observed = {name: points[runs] for name, points in self.observed.items()}
        return History(
            **rows,
            points=self.points[runs],
            models=self.models[runs],
            observed=observed,
            notes=self.notes,
            evidence={name: kept[runs] for name, kept in self.evidence.items()},
            errors={name: found[runs] for name, found in self.errors.items()},
        )


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

    def mean_distances(self, first: int, last: int) -> list[float]:
        """The mean over the runs after these rounds, both ends included; 0 is before the first one."""
        return [float(row.mean()) for row in self._rows["distances"][first : last + 1]]

    @property
    def progress(self) -> int:
        """Grows with everything that is noted, and when the log is complete."""
        return self.state.round + len(self.notes) + self.is_complete

    def history(self) -> History:
        """All of it, when the last round is over."""
        observed = {name: account.points for name, account in self.state.observed.items()}
        memories = {"": self.state.memory, **{name: account.memory for name, account in self.state.observed.items()}}
        return History(
            **self._rows,
            points=self.state.points,
            models=self.state.models,
            observed=observed,
            notes=tuple(self.notes),
            evidence=self.state.evidence,
            errors={name: memory[ERRORS] for name, memory in memories.items() if ERRORS in memory},
        )

    def pack(self) -> bytes:
        """All that `unpack` needs to go on from here: the same bytes for the same log."""
        state = self.state
        rows: Arrays = {name: array[: self._length(name, state.round)] for name, array in self._rows.items()}
        observed: Arrays = {
            name: {"points": account.points, "memory": dict(account.memory)} for name, account in state.observed.items()
        }
        found: dict[str, Arrays | NDArray[Any]] = {
            "models": _models_to_arrays(state.models),
            "points": state.points,
            "memory": dict(state.memory),
            "active": state.active,
            "observed": observed,
            "evidence": dict(state.evidence),
        }
        if state.before is not None:
            found["before"] = _models_to_arrays(state.before)
        notes = np.frombuffer(json.dumps(self.notes).encode(), dtype=np.uint8)
        header = {"round": state.round, "complete": self.is_complete}
        return pack({"rows": rows, "state": found, "notes": notes}, header)

    @classmethod
    def unpack(cls, packed: bytes, rules: Rules, n_workers: int) -> TournamentLog:
        """The log that was packed, under the same rules.

        Raises:
            ValueError: bytes that are no log's, or one of other numbers of runs or workers, or further than these rules'
                last round.
        """
        arrays, header = unpack(packed)
        round_number, state, rows = header.get("round"), arrays.get("state"), arrays.get("rows")
        if type(round_number) is not int or not 0 <= round_number <= rules.rounds:
            raise ValueError(f"packed after round {round_number!r} of {rules.rounds}")
        if not isinstance(state, dict) or not isinstance(rows, dict):
            raise ValueError("no state and rows of a tournament")  # noqa: TRY004 - bad content, not a bug
        n_runs = len(rules.seeds)
        log = cls(
            rules,
            State(
                round_number,
                _models_of_arrays(state.get("models"), n_runs),
                _array(state, "points", np.float64, (n_runs, n_workers)),
                _memory(state, "memory"),
                _array(state, "active", np.bool_, (n_runs, n_workers if rules.drop_used else 0)),
                _observed(state, rules, n_workers),
                _memory(state, "evidence"),
                _models_of_arrays(state["before"], n_runs) if "before" in state else None,
            ),
        )
        for name, room in log._rows.items():
            done = log._length(name, round_number)
            room[:done] = _array(rows, name, room.dtype, (done, n_runs))
        log.notes = _notes(_array(arrays, "notes", np.uint8, (None,)))
        # a run that is to have more rounds than it had is not complete any more
        log.is_complete = header.get("complete") is True and round_number == rules.rounds
        return log

    def _length(self, name: str, done: int) -> int:
        """How many rows there are after so many rounds."""
        return done + (len(self._rows[name]) > self.rules.rounds)


def _models_to_arrays(models: Any) -> Arrays | NDArray[Any]:
    """An array as it is; a sequence of one mapping of arrays per run by the runs' numbers."""
    if isinstance(models, np.ndarray):
        return models
    return {str(run): dict(own) for run, own in enumerate(models)}


def _models_of_arrays(found: Any, n_runs: int) -> Any:
    if isinstance(found, np.ndarray):
        if len(found) != n_runs:
            raise ValueError(f"{len(found)} models, not {n_runs}")
        return found
    if not isinstance(found, dict) or set(found) != {str(run) for run in range(n_runs)}:
        raise ValueError(f"no models of {n_runs} runs")
    return tuple(found[str(run)] for run in range(n_runs))


def _memory(found: Arrays, name: str) -> Memory:
    memory = found.get(name, {})
    if not isinstance(memory, dict):
        raise ValueError(f"{name} is no mapping")  # noqa: TRY004 - bad content, not a bug
    return memory


def _observed(state: Arrays, rules: Rules, n_workers: int) -> dict[str, Account]:
    found = state.get("observed", {})
    if not isinstance(found, dict) or set(found) != set(rules.observers):
        raise ValueError("other mechanisms observed")
    shape = (len(rules.seeds), n_workers)
    return {
        name: Account(_array(account, "points", np.float64, shape), _memory(account, "memory"))
        for name, account in found.items()
        if isinstance(account, dict)
    }


def _notes(content: NDArray[np.uint8]) -> list[Note]:
    notes = json.loads(content.tobytes())  # a ValueError where it is no JSON
    if not isinstance(notes, list):
        raise ValueError("notes are no list")  # noqa: TRY004 - bad content, not a bug
    return notes


def _array(found: Arrays, name: str, kind: DTypeLike, shape: tuple[int | None, ...]) -> NDArray[Any]:
    """The array of this name, if it has this type and shape; None: an axis of any length."""
    array = found.get(name)
    if not isinstance(array, np.ndarray) or array.dtype != kind or len(array.shape) != len(shape):
        raise ValueError(f"{name} is no array of {kind} with {len(shape)} axes")
    if any(wanted not in (None, axis) for axis, wanted in zip(array.shape, shape, strict=True)):
        raise ValueError(f"{name} is of shape {array.shape}, not {shape}")
    return array
