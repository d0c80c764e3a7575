"""How work says how far it is."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Whoever is told how far work is."""

    def __call__(self, stage: str, done: int, total: int, note: str = "", /) -> None:
        """What is being done, how much of it is done, how much there is, and what else there is to know."""


def quiet(stage: str, done: int, total: int, note: str = "", /) -> None:
    """Progress that nobody watches."""
