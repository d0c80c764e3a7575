"""A batch of a sweep's points, simulated; a point that fails takes no other with it."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crowd_sim.config import RunConfig
from crowd_sim.engine import simulate_opened
from crowd_sim.errors import ClusterError, InputError, QuarantinedError, StorageError
from crowd_sim.files import fingerprint_of
from crowd_sim.host import Host, InProcess
from crowd_sim.outcome import Outcome
from crowd_sim.store.checkpoint import Checkpoints
from crowd_sim.store.checkpointer import Checkpointer
from crowd_sim.sweeps.plan import Point, Points
from crowd_sim.tables import point_metrics, workers_table
from crowd_sim.tasks.base import Task
from crowd_sim.tasks.imitate.task import ImitateTask
from crowd_sim.tasks.tables import tables_of

TABLES = ("workers", "rounds")
"""Tables of every run of a sweep that are made where they are asked for."""


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
        tables: those of `TABLES` that were asked for, with a column `point`.
        weights: digests of the models' files, by the models' names.
        resumed: points that went on from a checkpoint, with its round.
    """

    points: NDArray[np.int64]
    metrics: dict[str, NDArray[np.float64]]
    failures: tuple[Failure, ...]
    workers: tuple[pd.DataFrame, ...]
    runs: dict[str, NDArray[Any]]
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    weights: dict[str, str] = field(default_factory=dict)
    resumed: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class Workplace:
    """Where a batch is simulated, and what it finds there.

    Attributes:
        host: who does the work.
        folder: the sweep's; texts leave checkpoints and judged outputs there, and find them again. Absent: nowhere.
        weights: digests of the files of models that the folder's results are of, by the models' names.
        tables: those of `TABLES` that are asked for.
    """

    host: Host = field(default_factory=InProcess)
    folder: Path | None = None
    weights: Mapping[str, str] = field(default_factory=dict)
    tables: Sequence[str] = ()


class OtherWeightsError(InputError):
    """A sweep's folder has results of models whose files were others."""


def run_batch(
    plan: Points, numbers: NDArray[np.int64], task: Task, with_workers: bool, place: Workplace | None = None
) -> BatchResult:
    """Simulate and value a batch of points, int64[m], of the same task in this process.

    Raises:
        OtherWeightsError: the models are not those that `place` knows by their names.
    """
    failures: list[Failure] = []
    batch = _Batch(plan, task, place or Workplace())
    outcomes = list(_outcomes(batch, numbers.tolist(), failures))
    runs = [_runs(outcome) for _, outcome in outcomes]
    rows = [point_metrics(own) for own in runs]
    return BatchResult(
        points=np.array([point.index for point, _ in outcomes], dtype=np.int64),
        metrics={
            name: np.array([row.get(name, np.nan) for row in rows])
            for name in dict.fromkeys(name for row in rows for name in row)
        },
        failures=tuple(failures),
        workers=tuple(_sample(point, outcome, plan) for point, outcome in outcomes if with_workers),
        runs=joined([_numbered(point, own) for (point, _), own in zip(outcomes, runs, strict=True)]),
        tables={name: _table(name, outcomes, plan) for name in batch.place.tables if outcomes},
        weights=batch.weights,
        resumed=tuple(batch.resumed.items()),
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
    return tables_of(outcome.config.task.kind).run_metrics(outcome)


def _table(name: str, outcomes: Sequence[tuple[Point, Outcome]], plan: Points) -> pd.DataFrame:
    found = [
        tables_of(outcome.config.task.kind).TABLES[name](outcome).assign(point=point.index)
        for point, outcome in outcomes
    ]
    return pd.concat([_with_roles(table, plan) for table in found] if name == "workers" else found, ignore_index=True)


def _with_roles(table: pd.DataFrame, plan: Points) -> pd.DataFrame:
    """The same columns for points with and without bad workers, where a sweep has both."""
    if "bad" not in table and any(field.startswith("crowd.bad") for field in plan.fields):
        return table.assign(bad=False, identity_of=table["worker"])
    return table


def _numbered(point: Point, runs: Mapping[str, NDArray[np.float64]]) -> dict[str, NDArray[Any]]:
    n_runs = point.config.runs
    return {
        "point": np.full(n_runs, point.index),
        "run": np.arange(n_runs),
        "seed": np.full(n_runs, point.config.seed, dtype=np.int64),
        **runs,
    }


@dataclass(frozen=True)
class _Batch:
    """What the points of a batch share, and what is learned of them on the way."""

    plan: Points
    task: Task
    place: Workplace
    weights: dict[str, str] = field(default_factory=dict)
    resumed: dict[int, int] = field(default_factory=dict)

    def simulate(self, points: Sequence[Point]) -> list[Outcome]:
        """The outcomes of some of its points; texts go on from their checkpoints."""
        configs, host, folder = [point.config for point in points], self.place.host, self.place.folder
        task, savings = self.task, []
        if isinstance(task, ImitateTask) and folder is not None:
            cache = folder.absolute() / CACHE
            task = replace(task, utilities=cache / "utilities", outputs=cache / "outputs", tuning=cache / "tuning")
        with task.open(configs, host) as opened:
            if isinstance(task, ImitateTask):
                self._check(configs[0], opened.weights)
                if folder is not None:
                    savings = [self._saving(point, folder, opened.weights) for point in points]
            return simulate_opened(configs, opened, task.ids, host, each=savings)

    def _check(self, config: RunConfig, weights: str) -> None:
        own = config.task
        name = " ".join(filter(None, (own.model, own.phi.kind, own.phi.model, own.adapter)))
        if self.place.weights.get(name, weights) != weights:
            raise other_weights(self.place.folder)
        self.weights[name] = weights

    def _saving(self, point: Point, folder: Path, weights: str) -> Checkpointer:
        told = {"config": point.config.determinants(), "weights": weights}
        checkpoints = Checkpoints(unfinished(folder, point.index), fingerprint_of(told, self.task.identity()))
        schedule, tell = point.config.actors.checkpoints, partial(self._tell, point.index, checkpoints)
        return Checkpointer(tuple(checkpoints.read()), schedule, checkpoints.write, tell)

    def _tell(self, number: int, checkpoints: Checkpoints, event: str, **details: Any) -> None:
        if event == "checkpoint unusable":
            checkpoints.set_aside(int(details["round"]))
        elif event == "resumed":
            self.resumed.setdefault(number, int(details["round"]))


CACHE, UNFINISHED = "cache", "unfinished"
"""Of a sweep's folder: what several points of texts may ask for."""


def unfinished(folder: Path, number: int) -> Path:
    """Where a point of texts has its checkpoints until it is done."""
    return folder / UNFINISHED / f"{number:09d}"


def other_weights(folder: Path | None) -> OtherWeightsError:
    """What to say of results under other weights."""
    allowed = (
        "must be another folder: files of task.model, task.phi.model or task.adapter have changed since this was made"
    )
    return OtherWeightsError("--out", str(folder), allowed)


def _outcomes(batch: _Batch, numbers: list[int], failures: list[Failure]) -> Iterator[tuple[Point, Outcome]]:
    """The outcomes of the points that have one; what a batch raises is traced to its points by halving it."""
    try:
        points = [batch.plan.points[number] for number in numbers]
        found = list(zip(points, batch.simulate(points), strict=True))
    except (OtherWeightsError, StorageError):
        raise  # no point's own
    except Exception as error:  # a user's code may raise anything; the other points go on
        if isinstance(error, ClusterError) and not isinstance(error, QuarantinedError):
            raise
        if len(numbers) == 1 or _is_shared(error):
            told = _line(error), "".join(traceback.format_exception(error))
            failures += [Failure(number, *told) for number in numbers]
            return
        found = []
    if found:
        yield from found
    else:
        half = len(numbers) // 2
        yield from _outcomes(batch, numbers[:half], failures)
        yield from _outcomes(batch, numbers[half:], failures)


def _is_shared(error: Exception) -> bool:
    """Whether it is about the model, which is that of all points of a batch: to load it again for each helps nobody."""
    return isinstance(error, InputError) and error.field.startswith(("task.model", "task.phi", "task.device"))


def _line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())


def _sample(point: Point, outcome: Outcome, plan: Points) -> pd.DataFrame:
    table = _with_roles(workers_table(outcome, slice(0, 1)), plan)
    return table.assign(point=point.index, **point.columns)
