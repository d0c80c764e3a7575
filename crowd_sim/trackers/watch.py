"""Trackers as whoever works sees them: called where there is news, and dropped with a warning where they fail."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from crowd_sim.characters import visible
from crowd_sim.paths import is_file
from crowd_sim.progress import Progress
from crowd_sim.store.lock import ending
from crowd_sim.trackers.by_name import Named

_SECONDS_BETWEEN = 1.0


def told(error: BaseException) -> str:
    """What is wrong, in at most 200 characters of a line; of an error that cannot say it, its kind."""
    try:
        said = f"{type(error).__name__}: {error}"
    except Exception:  # what it says is user-defined code, too
        said = type(error).__name__
    return visible(" ".join(said.split())[:200])


def _warn(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


class Watch:
    """Some trackers, told of one piece of work as long as the context lasts; none is as good as some."""

    def __init__(self, trackers: Sequence[Named], warn: Callable[[str], object] = _warn) -> None:
        self._trackers = list(trackers)
        self._warn = warn
        self._started: list[Named] = []
        self._told = self._shown = float("-inf")
        self._rounds = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        state, _ = ending(error)
        self._each("close", state)

    def start(self, folder: Path | None, config: Mapping[str, Any]) -> None:
        """Work begins, in a folder where there is one."""
        self._started = self._trackers
        self._each("start", "run" if folder is None else folder.name, folder, config)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Values at a step; those that are no finite numbers are left out."""
        known = {name: float(value) for name, value in values.items() if math.isfinite(value)}
        if known:
            self._each("log", step, known)

    def distances(self, since: Callable[[int], Sequence[float]], *, over: bool = False) -> None:
        """More rounds are over: their distances, once a second and at the end, each once and in order.

        `since` gives those from a round on; 0 is before the first one.
        """
        now = time.monotonic()
        if self._started and (over or now - self._shown >= _SECONDS_BETWEEN):
            self._shown = now
            for distance in since(self._rounds):
                self.log(self._rounds, {"distance": distance})
                self._rounds += 1

    def finish(self, metrics: Mapping[str, float], files: Sequence[Path]) -> None:
        """What came out in the end; files that are not there are left out."""
        known = {name: float(value) for name, value in metrics.items() if math.isfinite(value)}
        self._each("finish", known, [path for path in files if is_file(path)])

    def over(self, progress: Progress) -> Progress:
        """Progress that trackers hear of, too: the share of a stage that is done, once a second and at its end."""
        if not self._trackers:
            return progress

        def both(stage: str, done: int, total: int, note: str = "", /) -> None:
            progress(stage, done, total, note)
            now = time.monotonic()
            if self._started and total > 0 and (done == total or now - self._told >= _SECONDS_BETWEEN):
                self._told = now
                self.log(done, {f"progress/{stage}": done / total})

        return both

    def _each(self, call: str, *arguments: Any) -> None:
        for named in list(self._started):
            try:
                getattr(named.tracker, call)(*arguments)
            except (Exception, SystemExit) as error:  # whatever it is, the work goes on
                self._started = [other for other in self._started if other is not named]
                what = told(error)
                self._warn(f"crowd-sim: tracker {named.name} failed in {call} ({what}); the work goes on without it")
