"""Progress a person can follow: a bar with the time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from crowd_sim.progress import Progress

_SECONDS_BETWEEN_LINES = 5.0
_SECONDS_BETWEEN_DRAWINGS = 0.1
_WIDTH = 20


@contextmanager
def in_place(stream: TextIO) -> Iterator[Progress]:
    """A callable as `shown`'s, for notebooks: a line per stage that is written over, without widgets."""
    started: dict[str, float] = {}
    last = ("", 0.0)

    def move(stage: str, done: int, total: int, note: str = "", /) -> None:
        nonlocal last
        now = time.monotonic()
        if stage == last[0] and done < total and now - last[1] < _SECONDS_BETWEEN_DRAWINGS:
            return
        if last[0] not in ("", stage):
            stream.write("\n")
        last = (stage, now)
        took = now - started.setdefault(stage, now)
        left = f", about {timedelta(seconds=round(took * (total - done) / done))} left" if 0 < done < total else ""
        share = done / total if total else 1.0
        bar = "█" * round(_WIDTH * share) + "·" * (_WIDTH - round(_WIDTH * share))
        stream.write(f"\r{stage}: {share:4.0%} {bar} {done:,} of {total:,}, {took:.1f} s{left} {note}".ljust(100))
        stream.flush()

    yield move
    if last[0]:
        stream.write("\n")


@contextmanager
def shown(console: Console) -> Iterator[Progress]:
    """A callable (stage, done, total, note) that shows each stage as it goes on."""
    if console.is_terminal:
        columns = (
            TextColumn("{task.description:>8}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", markup=False),
        )
        with Bars(*columns, console=console) as bars:
            tasks = {}

            def move(stage: str, done: int, total: int, note: str = "", /) -> None:
                if stage not in tasks:
                    tasks[stage] = bars.add_task(stage, total=total, note=note)
                bars.update(tasks[stage], completed=done, total=total, note=note)

            yield move
            for task in bars.tasks:  # a stage that was over before anyone asked is over all the same
                bars.update(task.id, completed=task.total)
    else:
        last, said = time.monotonic(), ("", 0, 0)
        started: dict[str, tuple[float, int]] = {}

        def line(stage: str, done: int, total: int, note: str = "", /) -> None:
            nonlocal last, said
            news = (stage, done, total) != said
            now = time.monotonic()
            since, before = started.setdefault(stage, (now, done))
            if news and (done == total or now - last >= _SECONDS_BETWEEN_LINES):
                last, said = now, (stage, done, total)
                left = (total - done) * (now - since) / (done - before) if done > before else 0.0
                more = f"about {timedelta(seconds=round(left))} left" if round(left) else ""
                console.print(", ".join(filter(None, (f"{stage}: {done:,} of {total:,}", note, more))), highlight=False)

        yield line
