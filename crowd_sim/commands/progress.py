"""Progress a person can follow: a bar with the time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from crowd_sim.progress import Progress

_SECONDS_BETWEEN_LINES = 5.0
_SECONDS_BETWEEN_DRAWINGS = 0.1
_WIDTH = 20


@contextmanager
def in_place(stream: TextIO) -> Iterator[Progress]:
    """A callable as `shown`'s, for notebooks: a line per stage that is written over, without widgets."""
    started: dict[str, float] = {}
    pace = _Pace()
    last = ("", 0.0)

    def move(stage: str, done: int, total: int, note: str = "", /) -> None:
        nonlocal last
        now = time.monotonic()
        left = pace.left(stage, done, total, now)
        if stage == last[0] and (done < total or not total) and now - last[1] < _SECONDS_BETWEEN_DRAWINGS:
            return
        if last[0] not in ("", stage):
            stream.write("\n")
        last = (stage, now)
        took = now - started.setdefault(stage, now)
        more = f", about {timedelta(seconds=round(left))} left" if round(left) else ""
        share = done / total if total else 0.0
        bar = "█" * round(_WIDTH * share) + "·" * (_WIDTH - round(_WIDTH * share))
        count = f"{share:4.0%} {bar} {done:,} of {total:,}, " if total else ""
        stream.write(f"\r{stage}: {count}{took:.1f} s{more} {note}".ljust(100))
        stream.flush()

    yield move
    if last[0]:
        stream.write("\n")


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


class _Pace:
    """How fast stages go, from the first step that is over on: that one waits for kernels to be compiled, the rest does not."""

    def __init__(self) -> None:
        self._before: dict[str, int] = {}
        self._moved: dict[str, tuple[float, int]] = {}

    def left(self, stage: str, done: int, total: int, now: float) -> float:
        """Seconds to the stage's end; 0 while nobody knows."""
        if done <= self._before.setdefault(stage, done):
            return 0.0
        began, before = self._moved.setdefault(stage, (now, done))
        return (total - done) * (now - began) / (done - before) if done > before else 0.0


class _Lines:
    """A line as a stage begins, as it ends, and every few seconds in between."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last, self._said = time.monotonic(), ("", 0, 0, "")
        self._started: set[str] = set()
        self._pace = _Pace()

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
