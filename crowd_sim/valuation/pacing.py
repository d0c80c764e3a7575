"""How much work to hand over at a time, learnt from how long it takes."""

from __future__ import annotations

_GROWTH = 4
"""Largest step up: a first coalition that happens to be quick must not tie up thousands of slow ones."""


def paced(count: int, done: int, seconds: float, wanted: float) -> int:
    """How many coalitions next, where ``count`` was aimed at and ``done`` took ``seconds``, to take ``wanted`` seconds."""
    fitting = int(wanted * done / max(seconds, 1e-9))
    return min(max(fitting, 1), _GROWTH * count)
