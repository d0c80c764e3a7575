"""Fields that must keep their defaults."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from pydantic import BaseModel

from crowd_sim.errors import InputError


def check_default(section: BaseModel, name: str, field: str, kind: str) -> None:
    """Refuse a field that is not left out.

    Raises:
        InputError: names the field that is wrong.
    """
    value, default = getattr(section, field), default_of(type(section), field)
    if value != default:
        allowed = f"must be left out with task.kind={kind}, which has no use for it"
        if isinstance(value, BaseModel):
            raise InputError(f"{name}.{field}", value.model_dump(exclude_defaults=True), allowed)
        written = default if isinstance(default, str) else json.dumps(default)
        raise InputError(
            f"{name}.{field}", value, f"{allowed}; where the configuration sets it: {name}.{field}={written}"
        )


@cache
def default_of(section: type[BaseModel], field: str) -> Any:
    """The value of a field that is left out."""
    return section.model_fields[field].get_default(call_default_factory=True)
