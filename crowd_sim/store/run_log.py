"""What a run folder tells of its run while it lives and after: `status.json`, `log.jsonl`."""

from __future__ import annotations

import os
import socket
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from crowd_sim.errors import InputError, StorageError
from crowd_sim.files import append_lines, check_not_removed, read_config, write_sealed
from crowd_sim.integrity import DamagedError, read_json
from crowd_sim.paths import exists
from crowd_sim.store.checkpoint import Checkpoint, Checkpoints
from crowd_sim.store.lock import RUN, ending, is_locked

STATUS = "status.json"
UNFINISHED = "unfinished"
"""The folder, in that of a valuation's values, of what is kept until they are there, and of its status."""

_LOG = "log.jsonl"
_SECONDS_BETWEEN_WRITES = 1.0


@dataclass
class Status:
    """How far a run is.

    Attributes:
        state: running, finished, interrupted or failed.
        stage, done, total, note: what is being done, how much of it is done, how much there is, what else there is to know.
        started, updated: seconds since the epoch.
        resumed_from: the round this process went on from, if any.
        checkpoint: the last round whose state is kept, if any; of a text run of an earlier version, its last stage.
        resumed_evaluations, evaluations: the same of the valuation, in evaluations.
        rounds_per_second, workers_per_second: of this process, on average so far.
        failures: actors that failed and were replaced, by kind.
        pid, host: of the process.
        error: why it failed.
    """

    state: str
    stage: str
    done: int
    total: int
    started: float
    updated: float
    pid: int
    host: str
    note: str = ""
    resumed_from: int | None = None
    checkpoint: int | str | None = None
    resumed_evaluations: int | None = None
    evaluations: int | None = None
    rounds_per_second: float = 0.0
    workers_per_second: float = 0.0
    failures: dict[str, int] = field(default_factory=dict)
    error: str | None = None


class RunLog:
    """Keeps the record of a run as long as its context lasts, in a folder that `open_run` has opened.

    Raises:
        StorageError: it cannot be written; of an error in the context it takes nothing away.
    """

    def __init__(self, folder: Path, fingerprint: str, workers_per_round: int) -> None:
        self._folder = folder
        self._checkpoints = Checkpoints(folder, fingerprint)
        self._workers_per_round = workers_per_round
        now = time.time()
        self._status = Status("running", "start", 0, 0, now, now, os.getpid(), socket.gethostname())
        self._written = 0.0
        self._round, self._first = 0, (now, 0)

    def __enter__(self) -> Self:
        self.event("started", pid=os.getpid())
        self._write()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        status = self._status
        status.state, status.error = ending(error)
        if status.state == "finished" and status.stage == "start":  # all that there was to do had been done before
            status.stage, status.done, status.total = "rounds", self._round, self._round
        try:
            self.event(self._status.state, error=self._status.error)
            self._write()
        except StorageError:
            if error is None:  # the first error is what counts; this one may have the same reason
                raise

    def checkpoints(self) -> tuple[Checkpoint, ...]:
        """The states that can be read, the latest first; others are set aside."""
        return tuple(self._checkpoints.read())

    def save(self, checkpoint: Checkpoint) -> None:
        """Write a state down.

        Raises:
            StorageError: it cannot be written.
        """
        check_not_removed(self._folder)
        self._checkpoints.write(checkpoint)
        if checkpoint.stage == "values":
            self._status.evaluations = checkpoint.round
            self._write_at_times()  # of a long game there is no other news
            return
        self._status.checkpoint = checkpoint.round
        self._round = max(self._round, checkpoint.round)  # whoever asks once a second may not hear of every round

    def event(self, event: str, *, at: float | None = None, **details: Any) -> None:
        """Add a line to the log, with run and round.

        Raises:
            StorageError: it cannot be written.
        """
        check_not_removed(self._folder)
        now = time.time() if at is None else at
        line = {"time": round(now, 3), "run": self._folder.name, "round": self._round, "event": event, **details}
        append_lines(self._folder / _LOG, [line])
        if event == "checkpoint unusable":  # found where the state was unpacked, maybe on another machine
            self._checkpoints.set_aside(int(details["round"]), details.get("stage", "round"))
        if event == "resumed":
            self._status.resumed_from = self._status.checkpoint = self._round = int(details["round"])
            self._first = (time.time(), self._round)
        if event == "values resumed":
            self._status.resumed_evaluations = self._status.evaluations = int(details["evaluations"])

    def failed(self, failures: Counter[str]) -> None:
        """So many actors have failed so far, by kind."""
        self._status.failures = dict(failures)

    def progress(self, stage: str, done: int, total: int, note: str = "", /) -> None:
        """See `crowd_sim.progress.Progress`."""
        status = self._status
        status.stage, status.done, status.total, status.note = stage, done, total, note
        if stage == "rounds":
            self._round = done
            since, first = self._first
            status.rounds_per_second = (done - first) / max(time.time() - since, 1e-9)
            status.workers_per_second = status.rounds_per_second * self._workers_per_round
        self._write_at_times()

    def _write_at_times(self) -> None:
        if time.monotonic() - self._written >= _SECONDS_BETWEEN_WRITES:
            self._write()

    def _write(self) -> None:
        check_not_removed(self._folder)
        self._status.updated = time.time()
        write_sealed(self._folder / STATUS, asdict(self._status))
        self._written = time.monotonic()


def read_status(folder: Path) -> Status:
    """How far the run in a folder is; `state` is `dead` where the process ended without a word. Nothing there is changed.

    What is kept of a run that is over is what lies in the folder: the last word may have been written before it.

    Raises:
        InputError: no run has ever been started in this folder.
        DamagedError: what is there is not what was written.
    """
    try:
        status = Status(**read_json(folder / STATUS))
        if status.state == "running" and not is_locked(folder / RUN):
            status.state = "dead"
        if status.state != "running":
            status.checkpoint, status.evaluations = _kept_in(folder)
    except DamagedError:
        raise
    except (OSError, ValueError, TypeError):
        allowed = f"must be a folder in which a run has been started: it has no {STATUS} that can be read"
        raise InputError("folder", str(folder), allowed) from None
    return status


def read_values_status(folder: Path) -> Status | dict[str, Any] | None:
    """Of the folder of a valuation: how far it is, or what values.json says of values that are there; None: it is none.

    Raises:
        DamagedError: what is there is not what was written.
    """
    if exists(folder / "config.yaml"):
        return None
    if exists(folder / UNFINISHED / STATUS):
        return read_status(folder / UNFINISHED)
    path = folder / "values.json"
    try:
        facts = read_json(path)
    except OSError:
        return None
    if not all(isinstance(facts.get(name), int) for name in ("workers", "evaluations")) or "method" not in facts:
        raise DamagedError(path, "it does not say of what its values are")
    return facts


def evaluations_kept(folder: Path) -> int:
    """How many evaluations a valuation that has stopped goes on from, as the names of its checkpoints say."""
    found = (folder / UNFINISHED / "checkpoints").glob("values-*.checkpoint")
    return max((int(path.stem.partition("-")[2]) for path in found if path.stem[7:].isdecimal()), default=0)


def _kept_in(folder: Path) -> tuple[int | str | None, int | None]:
    """What a run would go on from: a round (a stage in a text run of an earlier version), and evaluations of its valuation."""
    if stages := list((folder / "checkpoints").glob("*.safetensors")):
        return max(stages, key=lambda path: path.stat().st_mtime_ns).stem, None
    try:
        kept = Checkpoints(folder, str(read_config(folder).get("fingerprint")))
    except InputError:  # nor could it go on then
        return None, None
    last, values = kept.last(), kept.last("values")
    return last.round if last else None, values.round if values else None
