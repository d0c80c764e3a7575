"""The base of every part of a configuration."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Self

from pydantic import BaseModel, ConfigDict

_LONG = re.compile(r"\b(0\.0{9,}[1-9]\d*|[1-9]\d*0{20,})\b")
_SUBJECT = re.compile(r"^(Value error, |\w+ (?=should ))(should )?")


def allowed_by(message: str) -> str:
    """Pydantic's message as the rest of a sentence that begins with the field, as all refusals are; 1e-100 in few digits."""
    said = _SUBJECT.sub(lambda found: "must " if found[2] else "", message, count=1)
    return _LONG.sub(lambda found: f"{float(found[0]):g}", said)


def bounds(metadata: Iterable[Any]) -> str:
    """What a field's annotations allow, each after a comma."""
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<", "min_length": "length ≥"}
    words = ""
    for bound in metadata:
        for name, sign in signs.items():
            if (limit := getattr(bound, name, None)) is not None:
                words += f", {sign} {limit:,}" if limit != 2**63 else f", {sign} 2^63"
    return words


def listed(value: Any) -> Any:
    """A YAML list as the tuple that strict mode asks for.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(value, list | tuple):
        raise ValueError("must be a list")  # noqa: TRY004 - pydantic takes a ValueError for bad input
    return tuple(value)


class Strict(BaseModel):
    """Frozen; nothing is converted silently, unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """Itself, as nothing in it changes: pydantic copies every default, which took half of a configuration's time."""
        return self
