"""The space of a search: what every field may be."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from crowd_sim.errors import InputError

_MOST_STEPS = 1_000_000
_KEYS = ("low", "high", "log", "step")
_FORM = "must be a list of choices, or a range {low: …, high: …} with log: true or step: … where wanted"


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included; whole ones where the field takes no others.

    Attributes:
        low, high: the ends.
        whole: whether numbers are whole.
        log: whether equal ratios are equally likely, and not equal differences.
        step: only `low` and multiples of this above it; None: all.
    """

    low: float
    high: float
    whole: bool
    log: bool = False
    step: float | None = None

    def has(self, value: Any) -> bool:
        """Whether it is such a number."""
        if isinstance(value, bool) or not isinstance(value, int | float) or not self.low <= value <= self.high:
            return False
        if self.step is None:
            return not self.whole or float(value).is_integer()
        steps = (value - self.low) / self.step
        return math.isclose(steps, round(steps), abs_tol=1e-9)

    def ends(self) -> list[Any]:
        """Both ends."""
        return [self.low, self.high]

    def described(self) -> Any:
        """As in a search's file."""
        found: dict[str, Any] = {"low": self.low, "high": self.high}
        return found | ({"log": True} if self.log else {}) | ({} if self.step is None else {"step": self.step})


@dataclass(frozen=True)
class Choices:
    """One of some values, of any kind."""

    values: tuple[Any, ...]

    def has(self, value: Any) -> bool:
        """Whether it is one of them."""
        return any(value == choice and type(value) is type(choice) for choice in self.values)

    def ends(self) -> list[Any]:
        """All of them."""
        return list(self.values)

    def described(self) -> Any:
        """As in a search's file."""
        return list(self.values)


Axis = Range | Choices


def axes(nested: Mapping[str, Any], is_allowed: Callable[[str, Any], bool]) -> dict[str, Axis]:
    """The axes by dotted field, in the file's order.

    Args:
        nested: what stands under `search`, without its options.
        is_allowed: whether a field may have a value, the rest of the configuration being as it is.

    Raises:
        InputError: no field at all, or one whose range or list is none.
    """
    found = dict(_leaves(nested, "search", is_allowed))
    if not found:
        raise InputError(
            "search", None, "must name fields to choose, for example search.tournament.step={low: 0.1, high: 1}"
        )
    return found


def _leaves(node: Any, path: str, is_allowed: Callable[[str, Any], bool]) -> Iterator[tuple[str, Axis]]:
    field = path.removeprefix("search.")
    if isinstance(node, list) and node:
        if any(value == other for i, value in enumerate(node) for other in node[:i]):
            raise InputError(path, node, "must not list a value twice")
        yield field, Choices(tuple(node))
    elif isinstance(node, Mapping) and node.keys() & {"low", "high"}:
        yield field, _range(node, path, lambda value: is_allowed(field, value))
    elif isinstance(node, Mapping) and (node or path == "search"):
        for key, value in node.items():
            yield from _leaves(value, f"{path}.{key}", is_allowed)
    else:
        raise InputError(path, node, _FORM)


def _range(node: Mapping[Any, Any], path: str, is_allowed: Callable[[Any], bool]) -> Range:
    for key in node:
        if key not in _KEYS:
            raise InputError(f"{path}.{key}", None, f"is unknown; {_FORM}")
    for key in ("low", "high"):
        if key not in node:
            raise InputError(path, dict(node), f"has no {key}; {_FORM}")
    low, high, log, step = (node.get(key) for key in _KEYS)
    for key, value in (("low", low), ("high", high), ("step", step)):
        if value is None and key == "step":
            continue
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise InputError(f"{path}.{key}", value, "must be a finite number")
    assert isinstance(low, int | float)  # noqa: S101 - both have been looked at
    assert isinstance(high, int | float)  # noqa: S101
    if not isinstance(log, bool | None):
        raise InputError(f"{path}.log", log, "must be true or false")
    if low >= high:
        raise InputError(path, dict(node), "must have low below high")
    if log and (step is not None or low <= 0):
        raise InputError(path, dict(node), "with log: true must have a low above 0 and no step")
    if step is not None and not (high - low) / _MOST_STEPS <= step <= high - low:
        raise InputError(f"{path}.step", step, "must be above 0, at most high − low and at least a millionth of that")
    if step is not None:  # the last one is the last that is reached
        high = low + step * math.floor((high - low) / step + 1e-9)
    whole = all(isinstance(value, int | None) for value in (low, high, step))
    # 0 to 1 are numbers between them, too, where the field takes such
    whole = whole and (step is not None or not is_allowed(low + 0.37 * (high - low)))
    kind = int if whole else float
    return Range(kind(low), kind(high), whole, bool(log), None if step is None else kind(step))
