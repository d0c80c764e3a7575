"""Sweeps: every combination of listed values.

A sweep's file is a run's configuration with one more key, `sweep`, that lists values for any field, nested as the fields are.
A point is a number; its values and its configuration are made of the lists when they are needed, so that a sweep of millions of
points is as small as its lists.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, overload

import numpy as np
from numpy.typing import NDArray

from crowd_sim.config import RunConfig
from crowd_sim.config.io import find_paths, load_content
from crowd_sim.errors import InputError
from crowd_sim.sweeps.lists import MUST_LIST, lists_in

_MOST_POINTS = 100_000_000
"""More are taken for a slip: a byte for each says whether it is done, and their table would not fit on most disks."""

_FREE = frozenset(
    {
        "seed",
        "runs",
        "crowd.seed",
        "tournament.step",
        "tournament.mistake_probability",
        "tournament.initial_range",
        "tournament.convergence_distance",
    }
)
"""Fields whose values are allowed or not whatever the other fields are: each value is checked once. All others are checked in
every combination."""


@dataclass(frozen=True)
class Point:
    """One combination.

    Attributes:
        index: its number in the order of the file's lists, the last field changing fastest.
        swept: the combination's values by dotted field.
        config: the whole configuration.
    """

    index: int
    swept: dict[str, Any]
    config: RunConfig

    @property
    def columns(self) -> dict[str, Any]:
        """The combination's values as a table holds them: one that is a list itself as text."""
        return {field: as_cell(value) for field, value in self.swept.items()}


class Numbered(Protocol):
    """Points by their numbers."""

    def __getitem__(self, number: int, /) -> Point:
        """The point of this number."""


class Points(Protocol):
    """What batches are cut of: a sweep, or the trials of a search.

    Attributes:
        fields: that differ between points, dotted.
        first: a configuration from which is read what all have in common.
        points: the points.
    """

    @property
    def fields(self) -> Mapping[str, Any]:
        """Dotted."""

    @property
    def first(self) -> RunConfig:
        """A configuration."""

    @property
    def points(self) -> Numbered:
        """By number."""


@dataclass(frozen=True)
class Sweep:
    """All combinations of a sweep, checked.

    Attributes:
        content: the file's content without `sweep`.
        fields: the swept fields, dotted, with their values.
        given: paths that were found elsewhere as they were given, by field.
        base: the folder that they were given from.
    """

    content: dict[str, Any]
    fields: dict[str, list[Any]]
    given: Mapping[str, str] | None = None
    base: Path | None = None

    @classmethod
    def load(cls, path: str | Path, overrides: Sequence[str] = ()) -> Sweep:
        """A sweep's file, or a sweep folder's config.yaml, whose relative paths are looked for from where they were given.

        Raises:
            InputError: as `parse`, and what cannot be read.
        """
        content = load_content(path, overrides)
        plan = cls.parse(content)  # what is wrong is told as it was given
        found = deepcopy(content)
        given, base = find_paths(path, found, overrides)
        return replace(cls.parse(found), given=given, base=base) if given else plan

    @classmethod
    def parse(cls, content: Mapping[str, Any]) -> Sweep:
        """A sweep from nested dictionaries.

        Raises:
            InputError: names what is wrong: no lists, an empty one, too many points, or a value that its field does not
                allow.
        """
        if "sweep" not in content:
            allowed = f"{MUST_LIST}; a configuration without it is for `crowd-sim run`"
            raise InputError("sweep", None, allowed)
        base = {key: value for key, value in content.items() if key != "sweep"}
        fields = dict(lists_in(content["sweep"], "sweep"))
        for field in fields:
            if field.split(".")[0] == "actors":
                raise InputError(f"sweep.{field}", None, "cannot be swept: actors do not change results")
        n_points = math.prod(map(len, fields.values()))
        if n_points > _MOST_POINTS:
            raise InputError("sweep", None, f"has {n_points:,} points, must have at most {_MOST_POINTS:,}")
        for swept in _to_check(fields):
            _checked(base, swept)
        return cls(base, fields)

    @property
    def points(self) -> Sequence[Point]:
        """Every combination, each made when it is asked for."""
        return _Points(self)

    @cached_property
    def n_points(self) -> int:
        """How many combinations there are."""
        return math.prod(map(len, self.fields.values()))

    @cached_property
    def first(self) -> RunConfig:
        """The first point's configuration: what every point has in common is read from it."""
        return self.points[0].config

    def places(self, field: str, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """For points int64[m], the places in a swept field's list of their values, int64[m]."""
        names = list(self.fields)
        stride = math.prod(len(self.fields[name]) for name in names[names.index(field) + 1 :])
        return indices // stride % len(self.fields[field])

    def determinants(self) -> dict[str, Any]:
        """What results depend on: the first point's configuration without its actors, and the lists."""
        return {"base": self.first.determinants(), "sweep": self.fields}

    def crowds(self) -> Iterator[RunConfig]:
        """Configurations that between them have every crowd, in the order of the points; several may have the same."""
        texts = self.first.task.kind != "vector" or any(_place_of(field) == "task" for field in self.fields)
        told = ("crowd", "task", "seed") if texts else ("crowd",)
        choices = (values if _place_of(field) in told else values[:1] for field, values in self.fields.items())
        for values in itertools.product(*choices):
            yield self.config(dict(zip(self.fields, values, strict=True)))

    def config(self, swept: Mapping[str, Any]) -> RunConfig:
        """The configuration with these values."""
        config = _checked(self.content, swept)
        return config.given_as(dict(self.given), self.base) if self.given and self.base else config


@dataclass(frozen=True)
class _Points(Sequence[Point]):
    """The points of a sweep."""

    plan: Sweep

    def __len__(self) -> int:
        return self.plan.n_points

    @overload
    def __getitem__(self, index: int) -> Point: ...
    @overload
    def __getitem__(self, index: slice) -> list[Point]: ...
    def __getitem__(self, index: int | slice) -> Point | list[Point]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        number = range(len(self))[index]
        swept, rest = {}, number
        for field, values in reversed(self.plan.fields.items()):
            rest, place = divmod(rest, len(values))
            swept[field] = values[place]
        swept = {field: swept[field] for field in self.plan.fields}
        return Point(number, swept, self.plan.config(swept))


def as_cell(value: Any) -> Any:
    """A swept value as a table holds it: one that is a list or a mapping itself as text."""
    return str(value) if isinstance(value, list | dict) else value


def _place_of(field: str) -> str:
    return field.split(".", maxsplit=1)[0]


def _to_check(fields: Mapping[str, list[Any]]) -> Iterator[dict[str, Any]]:
    """Combinations in which every value that could be wrong appears."""
    firsts = {field: values[0] for field, values in fields.items()}
    crossed = [field for field in fields if field not in _FREE]
    for values in itertools.product(*(fields[field] for field in crossed)):
        yield firsts | dict(zip(crossed, values, strict=True))
    for field in fields:
        if field in _FREE:
            yield from (firsts | {field: value} for value in fields[field][1:])


def _checked(base: Mapping[str, Any], swept: Mapping[str, Any]) -> RunConfig:
    try:
        return RunConfig.parse(with_values(base, swept))
    except InputError as error:
        wrong = f"{error.field}."
        if any(wrong.startswith(f"{field}.") or field.startswith(wrong) for field in swept):
            raise InputError(f"sweep.{error.field}", error.value, error.allowed) from None
        raise


def with_values(base: Mapping[str, Any], swept: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration's content with these values of dotted fields.

    Raises:
        InputError: a field of what is no group of fields.
    """
    content = deepcopy(dict(base))
    for field, value in swept.items():
        *parents, leaf = field.split(".")
        node = content
        for parent in parents:
            node = node.setdefault(parent, {})
            if not isinstance(node, dict):
                whole = f"a list here, which can be swept as a whole: sweep.{field.rpartition('.')[0]}=[[...],[...]]"
                kind = whole if isinstance(node, list) else "not a group of fields"
                raise InputError(field, value, f"cannot be swept: {parent} is {kind}")
        node[leaf] = value
    return content
