"""`crowd-sim status`: how far a run is, in a few lines."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from crowd_sim.results.record import Status, read_status


def status_lines(folder: Path) -> Iterator[str]:
    """What there is to say of a run, from its folder alone.

    Raises:
        InputError: no run has ever been started there.
    """
    status = read_status(folder)
    yield f"{folder}: {_STATES[status.state].format(pid=status.pid, host=status.host)}"
    yield ", ".join(
        filter(None, (f"{status.stage}: {status.done:,} of {status.total:,}", status.note, _ago(status.updated)))
    )
    if status.rounds_per_second:
        yield f"{status.rounds_per_second:,.3g} rounds/s, {status.workers_per_second:,.3g} workers/s"
    if status.resumed_from is not None:
        yield f"resumed from round {status.resumed_from:,}"
    if status.checkpoint is not None:
        yield f"last checkpoint: round {status.checkpoint:,}"
    if status.failures:
        yield "failed and replaced: " + ", ".join(f"{n} {kind}" for kind, n in sorted(status.failures.items()))
    if status.error:
        yield status.error
    if status.state in ("dead", "interrupted", "failed"):
        yield f"`crowd-sim run --resume {folder}` goes on from {_start(status)}"


_STATES = {
    "running": "running, process {pid} on {host}",
    "finished": "finished",
    "interrupted": "interrupted",
    "failed": "failed",
    "dead": "dead: process {pid} on {host} ended without a word",
}


def _ago(then: float) -> str:
    return f"{timedelta(seconds=max(round(time.time() - then), 0))} ago"


def _start(status: Status) -> str:
    return "the start" if status.checkpoint is None else f"round {status.checkpoint:,}"
