"""Progress a person can follow: a bar with the time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from crowd_sim.progress import Progress as Report

_SECONDS_BETWEEN_LINES = 5.0


@contextmanager
def shown(console: Console) -> Iterator[Report]:
    """A callable (stage, done, total) that shows each stage as it goes on."""
    if console.is_terminal:
        columns = (
            TextColumn("{task.description:>8}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=console) as bars:
            tasks = {}

            def move(stage: str, done: int, total: int) -> None:
                if stage not in tasks:
                    tasks[stage] = bars.add_task(stage, total=total)
                bars.update(tasks[stage], completed=done, total=total)

            yield move
            for task in bars.tasks:  # a stage that was over before anyone asked is over all the same
                bars.update(task.id, completed=task.total)
    else:
        last, said = time.monotonic(), ("", 0, 0)

        def line(stage: str, done: int, total: int) -> None:
            nonlocal last, said
            news = (stage, done, total) != said
            if news and (done == total or time.monotonic() - last >= _SECONDS_BETWEEN_LINES):
                last, said = time.monotonic(), (stage, done, total)
                console.print(f"{stage}: {done} of {total}", highlight=False)

        yield line
