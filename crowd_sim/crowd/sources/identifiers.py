"""Names of workers and columns: texts and whole numbers as they are, nothing else turned into text."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from crowd_sim.crowd.population import first_duplicate
from crowd_sim.errors import InputError

LONGEST = 200

_MISSING = frozenset({"NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "NaT", "NULL", "null", "None"})
"""What other programs write where there is nothing."""

_ID = re.compile(r"(.*[\W_])?ids?", re.DOTALL)
_CAMEL_ID = re.compile(r".*[a-z0-9](Id|ID)s?", re.DOTALL)
_NAMING = frozenset(
    {
        *("worker", "user", "rater", "annotator", "participant", "subject", "person", "name", "index"),
        *("workerid", "userid", "raterid", "annotatorid", "participantid", "subjectid", "personid"),
        *("username", "workername"),
    }
)
"""Without case, punctuation and the plural's s."""


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
    ends = ends_flaw(text)
    flaws = (
        (not text.strip(), "a name must not be blank"),
        (ends is not None, ends),
        ("\0" in text, "a name must not have a NUL"),
        (text in _MISSING, "this stands for a missing one"),
        (len(text) > LONGEST, f"a name must have at most {LONGEST} characters"),
        (not _is_unicode(text), "it has half a pair (\\ud…)"),
    )
    return next((flaw for is_so, flaw in flaws if is_so), None)


def ends_flaw(text: str) -> str | None:
    """What cannot be seen at the ends of a name: a blank, or a character without a width; None where there is nothing."""
    if len(text.strip()) < len(text):
        return "a name must not begin or end with a blank"
    for end in (text[:1], text[-1:]):
        # from U+E0000 on they are parts of emoji: of England's flag, say
        if not end.isascii() and unicodedata.category(end) in ("Cf", "Cc") and ord(end) < 0xE0000:
            return f"a name must not begin or end with a character that cannot be seen, U+{ord(end):04X}"
    return None


def _is_unicode(text: str) -> bool:
    try:
        return text.isascii() or bool(text.encode())
    except UnicodeEncodeError:
        return False


def looks_like_identifiers(column: str) -> bool:
    """Whether a column is hardly meant as a coordinate: it is called as what names workers, or ends in _id, Id or ID."""
    alike = "".join(letter for letter in column.casefold() if letter.isalnum())
    is_id = _ID.fullmatch(column.casefold()) is not None or _CAMEL_ID.fullmatch(column) is not None
    return is_id or alike in _NAMING or alike.removesuffix("s") in _NAMING


def check_names(names: Sequence[str], refusal: Callable[[str], InputError]) -> None:
    """Refuse a name that comes twice, in linear time."""
    place = first_duplicate(tuple(names))
    if place is not None:
        raise refusal(names[place])
