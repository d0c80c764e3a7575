"""Sweeps: every combination of listed values, cut into batches.

A sweep's file is a run's configuration with one more key, `sweep`, that lists values for any field, nested as the fields are.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import pandas as pd

from crowd_sim.config import RunConfig
from crowd_sim.crowd.population import Population
from crowd_sim.errors import InputError
from crowd_sim.loading import people_key
from crowd_sim.results.tables import point_row, workers_table
from crowd_sim.services import InProcess
from crowd_sim.simulation import Outcome, simulate

_MOST_POINTS = 100_000
"""Points of a sweep: all are checked, and held, before the first one runs."""


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
        return {field: str(value) if isinstance(value, list) else value for field, value in self.swept.items()}


@dataclass(frozen=True)
class Sweep:
    """All combinations of a sweep, checked.

    Attributes:
        content: the file's content without `sweep`.
        fields: the swept fields, dotted, with their values.
        points: every combination.
    """

    content: dict[str, Any]
    fields: dict[str, list[Any]]
    points: tuple[Point, ...]

    @classmethod
    def parse(cls, content: Mapping[str, Any]) -> Sweep:
        """A sweep from nested dictionaries.

        Raises:
            InputError: names what is wrong: no lists, an empty one, too many points, or a value that its field does not
                allow.
        """
        base = {key: value for key, value in content.items() if key != "sweep"}
        fields = dict(_lists(content.get("sweep"), "sweep"))
        for field in fields:
            if field.split(".")[0] == "actors":
                raise InputError(f"sweep.{field}", None, "cannot be swept: actors do not change results")
        n_points = math.prod(map(len, fields.values()))
        if n_points > _MOST_POINTS:
            raise InputError("sweep", None, f"has {n_points:,} points, must have at most {_MOST_POINTS:,}")
        combinations = itertools.product(*fields.values())
        if base.get("llm") is not None or any(field.split(".")[0] == "llm" for field in fields):
            raise InputError("llm", None, "must be left out of a sweep: its points are runs without a section llm")
        points = []
        for index, values in enumerate(combinations):
            swept = dict(zip(fields, values, strict=True))
            points.append(Point(index, swept, _checked(base, swept)))
        return cls(base, fields, tuple(points))

    def determinants(self) -> dict[str, Any]:
        """What results depend on: the first point's configuration without its actors, and the lists."""
        return {"base": self.points[0].config.determinants(), "sweep": self.fields}


def batches(points: Sequence[Point], max_runs: int) -> list[list[Point]]:
    """Cut points into batches of at most `max_runs` runs, or of one point.

    Points of the same games (people, score, valuation) stand together, so that a batch values each game once.
    """
    together = sorted(points, key=lambda point: (_games(point.config), point.index))
    result: list[list[Point]] = []
    room, current = 0, ""
    for point in together:
        key = _people(point.config)
        if not result or key != current or point.config.runs > room:
            result.append([])
            room, current = max_runs, key
        result[-1].append(point)
        room -= point.config.runs
    return sorted(result, key=lambda batch: batch[0].index)


@dataclass(frozen=True)
class BatchResult:
    """Rows of `points.parquet` and, for those who want them, the workers of every point's first run."""

    rows: list[dict[str, Any]]
    workers: list[pd.DataFrame]


def run_batch(points: Sequence[Point], population: Population, with_workers: bool) -> BatchResult:
    """Simulate and value a batch of points in this process."""
    outcomes = simulate([point.config for point in points], population, InProcess())
    return BatchResult(
        rows=[point_row(point.index, point.columns, outcome) for point, outcome in zip(points, outcomes, strict=True)],
        workers=[
            _sample(point, outcome, population) for point, outcome in zip(points, outcomes, strict=True) if with_workers
        ],
    )


def _sample(point: Point, outcome: Outcome, population: Population) -> pd.DataFrame:
    table = workers_table(outcome, population, slice(0, 1))
    return table.assign(point=point.index, **point.columns)


def _people(config: RunConfig) -> str:
    return repr(people_key(config.crowd))


def _games(config: RunConfig) -> tuple[str, str, str, str]:
    """Configurations with the same key meet the same games, run by run."""
    return _people(config), config.crowd.model_dump_json(), config.tournament.score, config.valuation.model_dump_json()


def _lists(node: Any, path: str) -> Iterator[tuple[str, list[Any]]]:
    if isinstance(node, Mapping) and node:
        for key, value in node.items():
            yield from _lists(value, f"{path}.{key}")
    elif isinstance(node, list) and node:
        if any(value == other for i, value in enumerate(node) for other in node[:i]):
            raise InputError(path, node, "must not list a value twice")
        yield path.removeprefix("sweep."), node
    else:
        raise InputError(path, node, "must list values, for example sweep.crowd.n_workers=[25,75]")


def _checked(base: Mapping[str, Any], swept: Mapping[str, Any]) -> RunConfig:
    try:
        return RunConfig.parse(_with(base, swept))
    except InputError as error:
        wrong = f"{error.field}."
        if any(wrong.startswith(f"{field}.") or field.startswith(wrong) for field in swept):
            raise InputError(f"sweep.{error.field}", error.value, error.allowed) from None
        raise


def _with(base: Mapping[str, Any], swept: Mapping[str, Any]) -> dict[str, Any]:
    content = deepcopy(dict(base))
    for field, value in swept.items():
        *parents, leaf = field.split(".")
        node = content
        for parent in parents:
            node = node.setdefault(parent, {})
            if not isinstance(node, dict):
                raise InputError(field, value, f"cannot be swept: {parent} is not a group of fields")
        node[leaf] = value
    return content
