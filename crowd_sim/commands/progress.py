"""Progress a person can follow: a bar with the time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import timedelta

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from crowd_sim.progress import Pace, Progress

_SECONDS_BETWEEN_LINES = 5.0


@contextmanager
def shown(console: Console) -> Iterator[Progress]:
    """A callable (stage, done, total, note) that shows each stage as it goes on; a stage ends as the next one begins.

    Of a stage whose total is 0 nobody knows how much there is to do.
    """
    with _bars(console) if console.is_terminal else nullcontext(_Lines(console)) as progress:
        yield progress


@contextmanager
def _bars(console: Console) -> Iterator[Progress]:
    columns = (
        TextColumn("{task.description:>8}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[count]}", markup=False),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
    )
    with Bars(*columns, console=console) as bars:
        tasks: dict[str, TaskID] = {}
        last = ""

        def end(stage: str) -> None:
            # a stage that was over before anyone asked is over all the same
            total = bars.tasks[tasks[stage]].total
            count = f"{int(total):,}/{int(total):,}" if total else ""
            bars.update(tasks[stage], completed=total or 1, total=total or 1, count=count)

        def move(stage: str, done: int, total: int, note: str = "", /) -> None:
            nonlocal last
            if last not in ("", stage):
                end(last)
            last = stage
            count = f"{done:,}/{total:,}" if total else ""
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total or None, note=note, count=count)
            bars.update(tasks[stage], completed=done, total=total or None, note=note, count=count)

        yield move
        if last:
            end(last)


class _Lines:
    """A line as a stage begins, as it ends, and every few seconds in between."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last, self._said = time.monotonic(), ("", 0, 0, "")
        self._started: set[str] = set()
        self._pace = Pace()

    def __call__(self, stage: str, done: int, total: int, note: str = "", /) -> None:
        now = time.monotonic()
        left = self._pace.left(stage, done, total, now)
        said, since = self._said, now - self._last
        ends = 0 < done == total and (stage, done, total) != said[:3]
        waited = since >= _SECONDS_BETWEEN_LINES or not total  # the steps of a start are few
        goes_on = waited and done < max(total, 1) and said != (stage, done, total, note)
        if stage in self._started and not ends and not goes_on:
            return
        self._started.add(stage)
        self._last, self._said = now, (stage, done, total, note)
        more = f"about {timedelta(seconds=round(left))} left" if round(left) else ""
        count = f"{done:,} of {total:,}" if total else ""
        self._console.print(f"{stage}: " + ", ".join(filter(None, (count, note, more))), highlight=False)
