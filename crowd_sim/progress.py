"""How work says how far it is."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Protocol, TextIO

_SECONDS_BETWEEN_DRAWINGS = 0.1
_WIDTH = 20


class Progress(Protocol):
    """Whoever is told how far work is."""

    def __call__(self, stage: str, done: int, total: int, note: str = "", /) -> None:
        """What is being done, how much of it is done, how much there is, and what else there is to know."""


def quiet(stage: str, done: int, total: int, note: str = "", /) -> None:
    """Progress that nobody watches."""


@contextmanager
def in_place(stream: TextIO) -> Iterator[Progress]:
    """A `Progress` for notebooks and for `shapley`: a line per stage that is written over, without widgets."""
    started: dict[str, float] = {}
    pace = Pace()
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


class Pace:
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
