"""Runs, or sweeps, held against the first of them: what differs in their configurations, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from crowd_sim.characters import visible
from crowd_sim.errors import InputError
from crowd_sim.paths import exists
from crowd_sim.report.labels import METRIC_WORDS
from crowd_sim.report.layout import comparable
from crowd_sim.report.measures import in_words
from crowd_sim.report.page import leaves, setting
from crowd_sim.report.paired import RUN, Difference, mean_difference, pairs, unpaired_difference
from crowd_sim.report.tables import VALUE_COLUMNS, WORKERS_COLUMNS, Kind, is_numeric, kind_of, read_config, read_table

_KINDS: dict[Kind, str] = {
    "run": "a run of vectors",
    "sweep": "a sweep",
    "llm": "a run of texts",
    "choice": "a run of items",
}
_OF_THE_CROWD = ("crowd.source", "crowd.path", "crowd.seed", "crowd.target")
"""Fields that say of whom workers are: of crowds that have these in common, a name is one worker's."""


@dataclass(frozen=True)
class Compared:
    """One of the folders.

    Attributes:
        name: of the folder.
        kind: what it holds.
        config: its fields by dotted name; what a sweep sweeps begins with ``sweep.``.
        runs: a row per run: `seed`, `run`, the swept fields, the metrics.
        workers: a row per run and worker, with the swept fields; None where no table was kept.
        rounds: a row per run and round; None of a sweep.
    """

    name: str
    kind: Kind
    config: dict[str, Any]
    runs: pd.DataFrame
    workers: pd.DataFrame | None
    rounds: pd.DataFrame | None

    @property
    def swept(self) -> list[str]:
        """The fields that it sweeps."""
        return [name.removeprefix("sweep.") for name in self.config if name.startswith("sweep.")]

    @cached_property
    def metrics(self) -> list[str]:
        """Metrics that at least one run has, those with words first."""
        there = [
            name
            for name in map(str, self.runs.columns)
            if name not in (*RUN, *self.swept, "point")
            and is_numeric(self.runs[name])
            and self.runs[name].notna().any()
        ]
        in_order = [
            *(name for name in METRIC_WORDS if name in there),
            *(name for name in there if name not in METRIC_WORDS),
        ]
        return in_words(in_order, str(self.config.get("task.kind", "vector")))


@dataclass(frozen=True)
class Comparison:
    """Folders of one kind.

    Attributes:
        folders: at least two; each is held against the first.
        differing: fields that are not the same in all, with each one's value.
        keys: the fields by which points of sweeps are matched.
        metrics: those that all have.
    """

    folders: Sequence[Compared]
    differing: list[tuple[str, list[str]]]
    keys: list[str]
    metrics: list[str]

    def pairs(self, other: int) -> pd.DataFrame:
        """Differences of one of the others to the first, a row per pair; none where the seeds are not the same."""
        return pairs(self.folders[0].runs, self.folders[other].runs, self.keys, self.metrics)

    def difference(self, metric: str, other: int, found: pd.DataFrame) -> Difference:
        """Of the metric's mean, by `pairs` where there are any."""
        if len(found):
            return mean_difference(found, metric)
        ours, theirs = (self.folders[i].runs[metric].to_numpy(float) for i in (0, other))
        return unpaired_difference(ours, theirs)

    def workers(self, other: int) -> pd.DataFrame | None:
        """A row per worker of both, means over what is paired: points and values of each; None where crowds differ."""
        first, second = self.folders[0], self.folders[other]
        if first.workers is None or second.workers is None:
            return None
        if any(first.config.get(name) != second.config.get(name) for name in _OF_THE_CROWD):
            return None
        by = [*self.keys, "run", "worker"] if first.config.get("seed") == second.config.get("seed") else ["worker"]
        both = [_worth(folder.workers, by) for folder in (first, second) if folder.workers is not None]
        found = both[0].add_suffix("_a").join(both[1].add_suffix("_b"), how="inner")
        return None if found.empty else found.groupby(level="worker", sort=False).mean().reset_index()


def compare(paths: Sequence[Path]) -> Comparison:
    """Read folders of runs, or of sweeps.

    Raises:
        InputError: fewer than two, one twice, folders of different kinds, or one that is missing or not finished.
    """
    if len(paths) < 2:
        raise InputError("folders", [str(path) for path in paths], "must be at least two, runs or sweeps")
    for i, path in enumerate(paths):
        if exists(path) and any(exists(other) and path.samefile(other) for other in paths[:i]):
            raise InputError("folder", str(path), "must be named once")
    kinds = [kind_of(path) for path in paths]
    if "search" in kinds:
        path = paths[kinds.index("search")]
        raise InputError(
            "folder", str(path), "must be of a run or a sweep; it is a search's: compare the run of its best.yaml"
        )
    for path, kind in zip(paths, kinds, strict=True):
        if kind != kinds[0]:
            allowed = f"must be of {_KINDS[kinds[0]]}, as {paths[0]} is; it is of {_KINDS[kind]}"
            raise InputError("folder", str(path), allowed)
    names = _names(paths)
    read = [_read(path, name, kind) for path, name, kind in zip(paths, names, kinds, strict=True)]
    keys = _keys(read)
    folders = [_filled(folder, keys) for folder in read]
    metrics = [name for name in folders[0].metrics if all(name in folder.metrics for folder in folders)]
    if not metrics:
        raise InputError("folders", ", ".join(map(str, paths)), "must have a metric in common")
    return Comparison(folders, _differing(folders), keys, metrics)


def _names(paths: Sequence[Path]) -> list[str]:
    short = [visible(path.resolve().name) for path in paths]
    return short if len(set(short)) == len(short) else [visible(str(path)) for path in paths]


def _read(path: Path, name: str, kind: Kind) -> Compared:
    config = leaves(read_config(path)[1])
    runs = read_table(path, "runs.parquet", ("run",))
    if "seed" not in runs.columns:
        runs = runs.assign(seed=config.get("seed", 0))
    if kind == "sweep":
        sampled = exists(path / "workers_sample.parquet")
        workers = read_table(path, "workers_sample.parquet", WORKERS_COLUMNS) if sampled else None
        return Compared(name, kind, config, runs, workers, None)
    workers = read_table(path, "workers.parquet", WORKERS_COLUMNS)
    return Compared(name, kind, config, runs, workers, read_table(path, "rounds.parquet", ("run", "round", "distance")))


def _keys(folders: Sequence[Compared]) -> list[str]:
    """Fields that any of the sweeps has, and of which all have a value in common."""
    swept = dict.fromkeys(name for folder in folders for name in folder.swept if name not in RUN)
    return [name for name in swept if set.intersection(*(_values(folder, name) for folder in folders))]


def _values(folder: Compared, field: str) -> set[str]:
    if field in folder.swept:
        return set(map(str, comparable(folder.runs[[field]])[field]))
    return {str(folder.config.get(field))}


def _filled(folder: Compared, keys: Sequence[str]) -> Compared:
    """With every key as a column of words, also of fields that this one has but one value of."""
    given = {name: str(folder.config.get(name)) for name in keys if name not in folder.swept}
    words = [name for name in keys if name in folder.swept]

    def filled(table: pd.DataFrame) -> pd.DataFrame:
        return table.assign(**{name: comparable(table[[name]])[name].map(str) for name in words}, **given)

    workers = None if folder.workers is None else filled(folder.workers)
    return Compared(folder.name, folder.kind, folder.config, filled(folder.runs), workers, folder.rounds)


def _differing(folders: Sequence[Compared]) -> list[tuple[str, list[str]]]:
    swept = {name for folder in folders for name in folder.swept}  # of which the configuration names the first point's
    names = [name for name in dict.fromkeys(name for folder in folders for name in folder.config) if name not in swept]
    rows = [(name, [setting(folder.config.get(name)) for folder in folders]) for name in names]
    return [(name, values) for name, values in rows if len(set(values)) > 1]


def _worth(workers: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    own = {"points": workers["points"].astype(float)}
    if set(workers.columns) >= VALUE_COLUMNS:
        own["value"] = workers["shapley"]
    table = pd.DataFrame(own).assign(
        **{name: workers[name].astype(str) if name == "worker" else workers[name] for name in by}
    )
    return table.groupby(list(by), sort=False).mean()


def correlation(first: pd.Series, second: pd.Series) -> float:
    """Pearson's, NaN where it is undefined."""
    with np.errstate(invalid="ignore"):
        return float(first.corr(second)) if len(first) > 1 else float("nan")
