"""User-defined code that a configuration names, and whether it may be loaded.

A run's or a sweep's folder is data: it may come from someone else, and what its config.yaml names is loaded only where the
command names it again, or trusts the folder. A configuration file that the command is given is the user's; it may name what is
the user's, too, and what is marked (`crowd_sim.user_defined`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from crowd_sim.errors import InputError
from crowd_sim.registry import FIELDS
from crowd_sim.user_defined import check_users, load_object

EVERY_FIELD = tuple(FIELDS.values())
"""Where a configuration may name code."""


def check_code(
    content: Mapping[str, Any],
    overrides: Mapping[str, Any],
    *,
    handed_over: bool,
    trust: bool,
    fields: Collection[str] = EVERY_FIELD,
) -> None:
    """Load the user-defined strategies that the content of a run's or a sweep's file names, or none of them.

    Args:
        content: with the overrides.
        overrides: the command's, as content: what they name may be loaded.
        handed_over: whether the file is of a run's or a sweep's folder.
        trust: whether all that it names may be loaded.
        fields: those that are needed.

    Raises:
        InputError: names the code that may not or cannot be loaded.
    """
    wanted = {(field, name): place for place, field, name in _code_in(content, fields)}
    again = {(field, name) for _, field, name in _code_in(overrides, fields)}
    unnamed = [] if trust else [key for key in wanted if key not in again]
    if handed_over and unnamed:
        listed = ", ".join(f"{wanted[key]} = {key[1]!r}" for key in unnamed)
        allowed = (
            "is code that the folder names; name it on the command line, too, or give --trust (in Python trust=True), to have "
            "it run"
        )
        raise InputError(listed, None, allowed)
    for (field, name), place in wanted.items():
        try:
            (check_users if (field, name) in unnamed else load_object)(name)
        except ValueError as error:
            raise InputError(place, name, str(error)) from None


def names_code(content: Mapping[str, Any]) -> bool:
    """Whether a run's or a sweep's folder with this content is gone on with only where it is trusted."""
    return any(_code_in(content, EVERY_FIELD))


def _code_in(content: Mapping[str, Any], fields: Collection[str]) -> Iterator[tuple[str, str, str]]:
    """Where code is named, the field that this is for, and the name."""
    for prefix, root in (("", content), ("sweep.", content.get("sweep")), ("search.", content.get("search"))):
        for field in fields:
            for name in _values(root, field.split(".")):
                if isinstance(name, str) and ":" in name:
                    yield f"{prefix}{field}", field, name


def _values(node: Any, parts: Sequence[str]) -> Iterator[Any]:
    """What stands under this name, in every element of what is a list on the way."""
    if isinstance(node, list | tuple):
        for element in node:
            yield from _values(element, parts)
    elif not parts:
        yield node
    elif isinstance(node, Mapping):
        yield from _values(node.get(parts[0]), parts[1:])
