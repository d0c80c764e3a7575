"""The one interface of trackers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

PROJECT = "crowd-sim"
"""What runs are filed under where the tracker's own environment says nothing else."""


class Tracker(Protocol):
    """Whoever is told of a run, a sweep or a search; the calls come in this order, from one thread.

    What a tracker raises is a warning, and it is told nothing more.
    """

    def start(self, name: str, folder: Path | None, config: Mapping[str, Any]) -> None:
        """Work begins.

        Args:
            name: of the folder.
            folder: where the tables will be; None: nowhere.
            config: as nested dictionaries.
        """

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Values at a step: a round, a number of points, a trial. Values without a number are left out."""

    def finish(self, metrics: Mapping[str, float], files: Sequence[Path]) -> None:
        """What came out in the end, and the files worth keeping beside it; not called where the work failed."""

    def close(self, state: str) -> None:
        """Work is over: finished, interrupted or failed."""


def leaves(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The fields of a configuration by dotted name."""
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
