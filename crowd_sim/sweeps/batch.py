"""A batch of a sweep's points, simulated; a point that fails takes no other with it."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crowd_sim.engine import simulate
from crowd_sim.host import InProcess
from crowd_sim.outcome import Outcome
from crowd_sim.sweeps.plan import Point, Sweep
from crowd_sim.tables import point_metrics, run_metrics, workers_table
from crowd_sim.tasks.base import Task


@dataclass(frozen=True)
class Failure:
    """A point that has no result.

    Attributes:
        point: its number.
        error: type and message, in one line.
        traceback: where it was raised; empty where the process died.
    """

    point: int
    error: str
    traceback: str


@dataclass(frozen=True)
class BatchResult:
    """What became of a batch: every one of its points is either in `points` or in `failures`.

    Attributes:
        points: int64[m], the numbers of the points that have a result.
        metrics: their metrics by column, float64[m] each; NaN where a point has none.
        failures: the others.
        workers: for those who want them, the workers of every point's first run.
        runs: a row per run of every point, by column: `point`, `run`, `seed` and the run's metrics.
    """

    points: NDArray[np.int64]
    metrics: dict[str, NDArray[np.float64]]
    failures: tuple[Failure, ...]
    workers: tuple[pd.DataFrame, ...]
    runs: dict[str, NDArray[Any]]


def run_batch(plan: Sweep, numbers: NDArray[np.int64], task: Task, with_workers: bool) -> BatchResult:
    """Simulate and value a batch of points, int64[m], of the same people in this process."""
    failures: list[Failure] = []
    outcomes = list(_outcomes(plan, numbers.tolist(), task, failures))
    runs = [_runs(outcome) for _, outcome in outcomes]
    rows = [point_metrics(own) for own in runs]
    return BatchResult(
        points=np.array([point.index for point, _ in outcomes], dtype=np.int64),
        metrics={
            name: np.array([row.get(name, np.nan) for row in rows])
            for name in dict.fromkeys(name for row in rows for name in row)
        },
        failures=tuple(failures),
        workers=tuple(_sample(point, outcome) for point, outcome in outcomes if with_workers),
        runs=joined([_numbered(point, own) for (point, _), own in zip(outcomes, runs, strict=True)]),
    )


def joined(parts: Sequence[Mapping[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
    """Columns one below the other; NaN in the rows of parts that lack one."""
    lengths = [len(next(iter(part.values()))) for part in parts]
    return {
        name: np.concatenate(
            [part[name] if name in part else np.full(n, np.nan) for part, n in zip(parts, lengths, strict=True)]
        )
        for name in dict.fromkeys(name for part in parts for name in part)
    }


def _runs(outcome: Outcome) -> dict[str, NDArray[np.float64]]:
    if outcome.config.task.kind == "imitate":
        from crowd_sim.tasks.imitate import tables  # a sweep of vectors needs none of it

        return tables.run_metrics(outcome)
    return run_metrics(outcome)


def _numbered(point: Point, runs: Mapping[str, NDArray[np.float64]]) -> dict[str, NDArray[Any]]:
    n_runs = point.config.runs
    return {
        "point": np.full(n_runs, point.index),
        "run": np.arange(n_runs),
        "seed": np.full(n_runs, point.config.seed, dtype=np.int64),
        **runs,
    }


def _outcomes(plan: Sweep, numbers: list[int], task: Task, failures: list[Failure]) -> Iterator[tuple[Point, Outcome]]:
    """The outcomes of the points that have one; what a batch raises is traced to its points by halving it."""
    try:
        points = [plan.points[number] for number in numbers]
        found = list(zip(points, simulate([point.config for point in points], task, InProcess()), strict=True))
    except Exception as error:  # a user's code may raise anything; the other points go on
        if len(numbers) == 1:
            failures.append(Failure(numbers[0], _line(error), "".join(traceback.format_exception(error))))
            return
        found = []
    if found:
        yield from found
    else:
        half = len(numbers) // 2
        yield from _outcomes(plan, numbers[:half], task, failures)
        yield from _outcomes(plan, numbers[half:], task, failures)


def _line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())


def _sample(point: Point, outcome: Outcome) -> pd.DataFrame:
    table = workers_table(outcome, slice(0, 1))
    return table.assign(point=point.index, **point.columns)
