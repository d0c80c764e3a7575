"""What a sweep's folder tells of the commands at work in it: a status, a log and a lock each, as shards may share a folder."""

from __future__ import annotations

import os
import socket
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from crowd_sim.errors import StorageError
from crowd_sim.files import append_lines, write_sealed
from crowd_sim.integrity import read_json
from crowd_sim.store.lock import ending, is_locked
from crowd_sim.store.tidying import mend

if TYPE_CHECKING:  # whoever only asks how far a sweep is needs no engine
    from crowd_sim.sweeps.batch import BatchResult
    from crowd_sim.sweeps.partition import Shard

_SECONDS_BETWEEN_WRITES = 1.0
_LONGEST_WRITE = 60.0
"""Seconds after which a file that has not got its name yet is nobody's."""


@dataclass
class SweepStatus:
    """How far a command is.

    Attributes:
        shard: its share of the points, as ``i/k``.
        state: running, finished, interrupted or failed.
        points: how many are its share.
        there: how many of these were there when it started.
        done, failed: points since then, with a result and without.
        started, updated: seconds since the epoch.
        losses: batches that were lost and repeated, by the kind of failure.
        pid, host: of its process.
        error: why it failed.
    """

    shard: str
    state: str
    points: int
    there: int
    done: int
    failed: int
    started: float
    updated: float
    pid: int
    host: str
    losses: dict[str, int] = field(default_factory=dict)
    error: str | None = None

    @property
    def left(self) -> int:
        """Points of its share that it has not tried yet."""
        return self.points - self.there - self.done - self.failed

    @property
    def points_per_second(self) -> float:
        """Points since its start, on average."""
        return (self.done + self.failed) / max(self.updated - self.started, 1e-9)


def lock_of(folder: Path, shard: Shard) -> Path:
    """What who is at work on a shard has locked."""
    return folder / f"status-{shard.number}-of-{shard.of}.lock"


def log_of(folder: Path, shard: Shard) -> Path:
    """What was done of a shard."""
    return folder / f"log-{shard.number}-of-{shard.of}.jsonl"


def tidy_sweep(folder: Path, shard: Shard) -> None:
    """Mend a shard's log, and remove halves of files where no other shard is at work; `lock_of` is the caller's.

    Raises:
        StorageError: the log cannot be written.
    """
    mend(log_of(folder, shard))
    if any(is_locked(path) for path in folder.glob("status-*-of-*.lock") if path != lock_of(folder, shard)):
        return
    for path in folder.rglob(".*.part"):
        with suppress(OSError):  # another shard began in the meantime, and it is whole now
            if time.time() - path.stat().st_mtime > _LONGEST_WRITE:
                path.unlink()


class SweepRecord:
    """Keeps a command's status and log as long as its context lasts, in which `lock_of` is its own.

    Raises:
        StorageError: they cannot be written; of an error in the context it takes nothing away.
    """

    def __init__(self, folder: Path, shard: Shard, points: int, there: int) -> None:
        self._folder = folder
        self._path = lock_of(folder, shard).with_suffix(".json")
        self._log = log_of(folder, shard)
        now, host = time.time(), socket.gethostname()
        name = f"{shard.number}/{shard.of}"
        self._status = SweepStatus(name, "running", points, there, 0, 0, now, now, os.getpid(), host)
        self._written = 0.0

    def __enter__(self) -> Self:
        status = self._status
        self._tell(("started", {"pid": status.pid, "points": status.points, "there": status.there}))
        self._write()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._status.state, self._status.error = ending(error)
        try:
            self._tell((self._status.state, {"error": self._status.error}))
            self._write()
        except StorageError:
            if error is None:  # the first error is what counts; this one may have the same reason
                raise

    def progress(self, results: Sequence[BatchResult], losses: Counter[str]) -> SweepStatus:
        """More batches have come to a result; so many were lost so far, by kind."""
        failures = [failure for result in results for failure in result.failures]
        lost = [kind for kind, n in losses.items() for _ in range(n - self._status.losses.get(kind, 0))]
        self._status.done += sum(len(result.points) for result in results)
        self._status.failed += len(failures)
        self._status.losses = dict(losses)
        self._tell(
            *(("batch lost", {"failure": kind}) for kind in lost),
            *(("point resumed", {"point": n, "round": at}) for result in results for n, at in result.resumed),
            *(("point failed", {"point": failure.point, "error": failure.error}) for failure in failures),
        )
        if (results or lost) and time.monotonic() - self._written >= _SECONDS_BETWEEN_WRITES:
            self._write()
            self._written = time.monotonic()
        return self._status

    def _tell(self, *events: tuple[str, dict[str, Any]]) -> None:
        status, now = self._status, round(time.time(), 3)
        common = {"time": now, "run": self._folder.name, "shard": status.shard, "done": status.done}
        if events:
            append_lines(self._log, [{**common, "event": event, **details} for event, details in events])

    def _write(self) -> None:
        self._status.updated = time.time()
        write_sealed(self._path, asdict(self._status))


def read_sweep_statuses(folder: Path) -> list[SweepStatus]:
    """Of every command that was at work in a sweep's folder, the latest last; `dead` is one that ended without a word.

    Raises:
        DamagedError: a status is not what was written.
    """
    found = []
    for path in folder.glob("status-*-of-*.json"):
        with suppress(OSError, TypeError):
            status = SweepStatus(**read_json(path))
            if status.state == "running" and not is_locked(path.with_suffix(".lock")):
                status.state = "dead"
            found.append(status)
    return sorted(found, key=lambda status: status.started)
