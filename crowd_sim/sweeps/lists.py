"""The lists of a sweep's file, its key `sweep`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from crowd_sim.errors import InputError

MUST_LIST = "must list values, for example sweep.crowd.n_workers=[25,75]"


def size_of(lists: Any) -> int:
    """How many points there are of the lists of a sweep's file, its key `sweep`.

    Raises:
        InputError: what stands there is no such thing.
    """
    return math.prod(len(values) for _, values in lists_in(lists, "sweep"))


def lists_in(node: Any, path: str) -> Iterator[tuple[str, list[Any]]]:
    """The swept fields, dotted, and their values, of what stands at `path` in a sweep's file.

    Raises:
        InputError: what stands there lists nothing, or a value twice.
    """
    if isinstance(node, Mapping) and node:
        for key, value in node.items():
            yield from lists_in(value, f"{path}.{key}")
    elif isinstance(node, list) and node:
        if _has_equals(node):
            raise InputError(path, node, "must not list a value twice")
        yield path.removeprefix("sweep."), node
    else:
        raise InputError(path, node, MUST_LIST)


def _has_equals(values: list[Any]) -> bool:
    try:
        return len(set(values)) < len(values)
    except TypeError:  # lists of lists: short ones
        return any(value == other for i, value in enumerate(values) for other in values[:i])
