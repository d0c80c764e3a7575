"""Names of workers and columns: texts and whole numbers as they are, nothing else turned into text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from crowd_sim.crowd.population import first_duplicate
from crowd_sim.errors import InputError

LONGEST = 200


def identifier(value: Any, name: str, place: str) -> str:
    """The text that names a worker: a text as it is, or a whole number in decimal.

    Args:
        value: what stands there.
        name: of the column.
        place: of the row, for the error.

    Raises:
        InputError: anything else: a number with a fraction, a truth value, a date, a missing value, an empty text.
    """
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return str(int(value))
    if not isinstance(value, str):
        shown = repr(value)
        shown = shown if len(shown) <= 60 else shown[:59] + "…"
        kind = type(value).__name__
        raise InputError(place, None, f"{name} must be a text or a whole number, it is {shown} ({kind})")
    if flaw := text_flaw(value):
        raise InputError(place, None, f"{name} must be a name that comes only once, it is {value[:60]!r}: {flaw}")
    return str(value)


def text_flaw(text: str) -> str | None:
    """Why a text cannot name a worker; None where it can."""
    if not text.strip():
        return "a name must not be blank"
    if len(text) > LONGEST:
        return f"a name must have at most {LONGEST} characters"
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            return "it has half a pair (\\ud…)"
    return None


def check_names(names: Sequence[str], refusal: Callable[[str], InputError]) -> None:
    """Refuse a name that comes twice, in linear time."""
    place = first_duplicate(tuple(names))
    if place is not None:
        raise refusal(names[place])
