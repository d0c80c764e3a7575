"""What a sweep's folder tells of the commands at work in it: a status each, as shards may share a folder, and a lock each."""

from __future__ import annotations

import json
import os
import socket
import time
from collections import Counter
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from crowd_sim.errors import StorageError
from crowd_sim.results.at_work import ending, is_locked, lock
from crowd_sim.results.folder import write_json
from crowd_sim.sweep_cut import Shard

_SECONDS_BETWEEN_WRITES = 1.0


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


class SweepRecord:
    """Keeps a command's status as long as its context lasts.

    Raises:
        InputError: another process is at work on the same shard in the folder.
    """

    def __init__(self, folder: Path, shard: Shard, points: int, there: int) -> None:
        self._path = folder / f"status-{shard.number}-of-{shard.of}.json"
        now, host = time.time(), socket.gethostname()
        name = f"{shard.number}/{shard.of}"
        self._status = SweepStatus(name, "running", points, there, 0, 0, now, now, os.getpid(), host)
        self._written = 0.0

    def __enter__(self) -> Self:
        self._lock = lock(self._path.with_suffix(".lock"))
        self._write()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._status.state, self._status.error = ending(error)
        with suppress(StorageError):  # the first error is what counts; this one may have the same reason
            self._write()
        self._lock.close()

    def progress(self, done: int, failed: int, losses: Counter[str]) -> SweepStatus:
        """So many more points have, or have not, come to a result; so many batches were lost so far, by kind."""
        self._status.done += done
        self._status.failed += failed
        self._status.losses = dict(losses)
        if time.monotonic() - self._written >= _SECONDS_BETWEEN_WRITES:
            self._write()
            self._written = time.monotonic()
        return self._status

    def _write(self) -> None:
        self._status.updated = time.time()
        write_json(self._path, asdict(self._status))


def read_sweep_statuses(folder: Path) -> list[SweepStatus]:
    """Of every command that was at work in a sweep's folder, the latest last; `dead` is one that ended without a word."""
    found = []
    for path in folder.glob("status-*-of-*.json"):
        with suppress(OSError, ValueError, TypeError):
            status = SweepStatus(**json.loads(path.read_text(encoding="utf-8")))
            if status.state == "running" and not is_locked(path.with_suffix(".lock")):
                status.state = "dead"
            found.append(status)
    return sorted(found, key=lambda status: status.started)
