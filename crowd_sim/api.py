"""The Python face of the simulator; its names are those of the package `crowd_sim`.

Every function does what the command of its name does, by the same code (`crowd_sim.commands`).
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from dataclasses import fields as dataclass_fields
from difflib import get_close_matches
from functools import wraps
from html import escape
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np

from crowd_sim.commands import IN_PROCESS
from crowd_sim.config import RunConfig
from crowd_sim.config.code import check_code
from crowd_sim.config.io import check_content, load_config, load_content
from crowd_sim.errors import InputError
from crowd_sim.files import arrow_table
from crowd_sim.outcome import Outcome
from crowd_sim.progress import Progress, quiet
from crowd_sim.tasks.tables import tables_of
from crowd_sim.valuation import Rule, ShapleyResult, shapley
from crowd_sim.valuation.validation import integer

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike

    from crowd_sim.crowd.population import Population
    from crowd_sim.trackers import Named

__all__ = [
    "CrowdValues",
    "Outcome",
    "RunConfig",
    "SearchResult",
    "SweepResult",
    "load_config",
    "run",
    "search",
    "shapley",
    "sweep",
    "value",
]

_F = TypeVar("_F", bound=Callable[..., Any])

_ROWS = 20
"""Of a table that is printed."""


def _as_arguments(face: _F) -> _F:
    """Errors name arguments, ``out``, where commands have options of that name, ``--out``."""

    @wraps(face)
    def named(*given: Any, **others: Any) -> Any:
        try:
            return face(*given, **others)
        except InputError as error:
            if not error.field.startswith("--"):
                raise
            raise InputError(error.field[2:].replace("-", "_"), error.value, error.allowed) from None

    return cast("_F", named)


@dataclass(frozen=True)
class RunResult(Outcome):
    """An `Outcome` that a notebook shows: workers first, then the metrics; see `Outcome` for its attributes."""

    def to_frame(self) -> pd.DataFrame:
        """A row per run and worker: points and, where there are values, value, its error, ranks and the gap between them."""
        from crowd_sim.report.worth import worth

        return worth(self._workers())

    def plot(self) -> Figure:
        """Points against Shapley values; a notebook shows the figure.

        Raises:
            InputError: nobody was valued.
        """
        if self.values is None:
            raise InputError(
                "valuation.method", "none", "must be one that values workers, to plot points against values"
            )
        from crowd_sim.report.figures import points_against_values

        return points_against_values(self._workers())

    def _workers(self) -> pd.DataFrame:
        return tables_of(self.config.task.kind).TABLES["workers"](self)

    def _repr_html_(self) -> str:
        from crowd_sim.report.worth import by_worker

        first, *metrics = str(self).splitlines()
        rows = "".join(f"<li>{escape(line.strip())}</li>" for line in metrics)
        return f"<p><b>{escape(first)}</b></p>{_html(by_worker(self.to_frame()))}<ul>{rows}</ul>"


@_as_arguments
def run(
    config: RunConfig | str | Path | Mapping[str, Any],
    out: str | Path | None = None,
    *,
    crowd: ArrayLike | pd.DataFrame | None = None,
    ray_address: str | None = IN_PROCESS,
    progress: Progress | bool | None = None,
    accept_changes: bool = False,
    trackers: Sequence[Any] = (),
    trust: bool = False,
    **fields: Any,
) -> RunResult:
    """Simulate and value a configuration's runs, whatever its task.

    Args:
        config: a configuration, the path of its file, the name of one that ships (`crowd-sim configs`), or nested dictionaries.
        out: the folder to leave tables, figures and report in, as `crowd-sim run --out` does; None: none. What the same run
            has left there is gone on with, and read where it is complete: nothing is simulated or valued again.
        crowd: vectors of N ≥ n_workers + 1 people, in place of `crowd.source` and `crowd.path`; each run's target is one of
            them. An array [N, d] of numbers, in any unit, or a DataFrame of N rows and d columns, whose column ``worker``, or
            else index, names the people. It is kept in the folder, as crowd.parquet, for `crowd-sim run --resume` and others.
            Where the configuration has no `crowd.n_workers` it is N − 1.
        ray_address: "none": in this process. None: on the process's Ray session, else on the cluster of the environment's
            RAY_ADDRESS, else on a local Ray, started for the run. "auto", "host:port" or "ray://host:port": on that cluster. A
            session that is there is used and left as it was. Results are the same bits.
        progress: called with (stage, done, total, note) as the run goes on; True: a bar on a terminal, lines elsewhere.
        accept_changes: go on from the last checkpoint in `out` though the configuration has changed since.
        trackers: names, ``"tensorboard"``, ``"mlflow"``, ``"wandb"`` or ``"package.module:Name"``, or objects that are told of
            the run, see `crowd_sim.trackers.Tracker`; they change nothing of it.
        trust: load the user-defined code, too, that a config.yaml of a run's folder names.
        fields: of the configuration, to be changed; with two underscores for a dot: ``crowd__n_workers=100``.

    Returns:
        the outcome; printed, it is a table of its metrics. A notebook shows its workers, too; `to_frame` and `plot` are theirs.

    Raises:
        InputError: a field that is wrong, a crowd that cannot be read or is too small, or a folder that cannot be written,
            holds something else, or in which another process is at work.
        StrategyError: user-defined code raised.
        ClusterError: no cluster, or one that is too small, or that fails more often than allowed.
        StorageError: the folder cannot be written any more.
    """
    from crowd_sim.commands.run import run as run_config
    from crowd_sim.crowd.sources.given import FILE, population_of

    _check_address(ray_address)
    folder, watchers = _folder(out), _trackers(trackers)
    people = None if crowd is None else population_of(crowd)
    changes = _changes(run, fields)
    if people is None:
        setup = _config(config, changes, trust)
    else:
        setup = RunConfig.parse(_with_crowd(_content(config, changes, trust), people, folder))
        if folder is not None:
            setup = setup.given_as({"crowd.path": FILE}, folder)
    with _told(progress) as report:
        finished = run_config(
            setup,
            folder,
            ray_address=ray_address,
            progress=report,
            accept_changes=accept_changes,
            given=people,
            trackers=watchers,
        )
    outcome = finished.outcome
    return RunResult(**{field.name: getattr(outcome, field.name) for field in dataclass_fields(outcome)})


@dataclass(frozen=True, eq=False)
class SweepResult:
    """A sweep that is over; printed, it is the table of its points.

    Attributes:
        points: a row per point that has a result: the swept fields by dotted name, then ``<metric>_mean`` and ``<metric>_se``.
        runs: a row per run of these: the swept fields, ``run``, ``seed``, and every metric.
        failures: a row per point that raised, with ``error``, ``traceback`` and ``attempts``; empty where none did.
        out: the folder; None where none was given.
    """

    points: pd.DataFrame
    runs: pd.DataFrame
    failures: pd.DataFrame
    out: Path | None

    def to_frame(self) -> pd.DataFrame:
        """`points`."""
        return self.points

    def plot(self) -> Figure:
        """Correlation of points with values by the swept fields; a notebook shows the figure."""
        from crowd_sim.report.figures import correlation_by_n

        return correlation_by_n(self.points)

    def _repr_html_(self) -> str:
        failed = f", {len(self.failures):,} failed" if len(self.failures) else ""
        return f"<p><b>{len(self.points):,} points{failed}</b></p>{_html(self.points)}"

    def __str__(self) -> str:
        """The swept fields and the means of the points' metrics that are known."""
        means = self.points[[name for name in self.points.columns if not name.endswith("_se")]].dropna(
            axis=1, how="all"
        )
        lines = [f"{len(self.points):,} points, {len(self.runs):,} runs", _text(means)]
        if len(self.failures):
            lines.append(f"{len(self.failures):,} points failed; the first: {self.failures['error'].iloc[0]}")
        return "\n".join(lines)


@_as_arguments
def sweep(
    config: RunConfig | str | Path | Mapping[str, Any],
    out: str | Path | None = None,
    grid: Mapping[str, Any] | None = None,
    *,
    crowd: ArrayLike | pd.DataFrame | None = None,
    ray_address: str | None = IN_PROCESS,
    progress: Progress | bool | None = None,
    retry_failed: bool = False,
    trackers: Sequence[Any] = (),
    trust: bool = False,
    **fields: Any,
) -> SweepResult:
    """Run every combination of listed values of a configuration's fields.

    Args:
        config: a sweep's file, name or nested dictionaries, with the lists under ``sweep``, or, with `grid`, a run's.
        out: the folder to leave tables, figures and report in, as `crowd-sim sweep --out` does; given again, the sweep goes on
            where it stopped, and no point is computed twice. None: none, and what an interrupted sweep has computed is lost.
        grid: lists of values by field, dotted or with two underscores: ``{"crowd.n_workers": [25, 75]}``; of a field that the
            sweep's own lists have, too, in their place.
        crowd: as for `run`, of all points; also kept in the folder.
        ray_address: as for `run`; Ray Client's ``ray://`` cannot be used.
        progress: called with ("points", done, total, note); True: a bar on a terminal, lines elsewhere.
        retry_failed: try points again that have failed before.
        trackers: as for `run`.
        trust: as for `run`.
        fields: as for `run`, of all points.

    Returns:
        the tables. Points that raised are in `failures`, and take no others with them.

    Raises:
        InputError, ClusterError, StorageError: as `run`.
    """
    import pandas as pd

    from crowd_sim.commands.sweep import sweep as run_sweep
    from crowd_sim.crowd.sources.given import FILE, population_of
    from crowd_sim.store.given_crowd import check_kept, keep
    from crowd_sim.sweeps.plan import Sweep

    _check_address(ray_address)
    wanted, watchers = _folder(out), _trackers(trackers)
    changes = _changes(sweep, fields)
    if grid is not None and not isinstance(grid, Mapping):
        raise InputError("grid", grid, 'must be lists of values by field, for example {"crowd.n_workers": [25, 75]}')
    lists = {f"sweep.{str(field).replace('__', '.')}": values for field, values in (grid or {}).items()}
    people = None if crowd is None else population_of(crowd)
    content = _content(config, changes | lists, trust)
    with _told(progress) as report, tempfile.TemporaryDirectory() as temporary:
        folder = wanted or Path(temporary) / "sweep"
        if people is None and isinstance(config, str | os.PathLike):
            plan = Sweep.load(Path(config), _overrides(changes | lists))
        else:
            plan = Sweep.parse(content if people is None else _with_crowd(content, people, folder))
        if people is not None:
            check_kept(people, folder)
            there = {path.name for path in folder.iterdir()} if folder.is_dir() else set[str]()
            if there - {FILE} and "config.yaml" not in there:
                raise InputError("out", str(folder), "must be a new or empty folder, or one this sweep has made")
            folder.mkdir(parents=True, exist_ok=True)
            keep(people, folder)
        run_sweep(plan, folder, "", ray_address, report, retry_failed=retry_failed, trackers=watchers)
        paths = [folder / f"{name}.parquet" for name in ("points", "runs", "failures")]
        points, runs, failures = (_frame(path) if path.exists() else pd.DataFrame() for path in paths)
    return SweepResult(points, runs, failures, wanted)


def _frame(path: Path) -> pd.DataFrame:
    with path.open("rb") as file:
        return arrow_table(file).to_pandas()


@dataclass(frozen=True, eq=False)
class SearchResult:
    """A search that is over; printed, it is the best setting and what it is worth.

    Attributes:
        trials: a row per trial: number, the fields of the space, state, runs, the metric's mean, every metric.
        best: the configuration with the best setting, as `run` takes it.
        values: of the best setting, by field.
        importance: share of the metric's variance by field, the most important first.
        held_out: what `summary.json` says of the best and the own setting on held-out seeds; None where nothing is to be said.
        metric, direction: what was looked for.
        out: the folder; None where none was given.
    """

    trials: pd.DataFrame
    best: RunConfig
    values: dict[str, Any]
    importance: dict[str, float]
    held_out: dict[str, Any] | None
    metric: str
    direction: str
    out: Path | None

    def to_frame(self) -> pd.DataFrame:
        """`trials`."""
        return self.trials

    def plot(self) -> Figure:
        """The metric by trial, and the best so far; a notebook shows the figure."""
        from crowd_sim.report.search_figures import search_history

        return search_history(self.trials, self.metric, self.direction, None)

    def _repr_html_(self) -> str:
        first, *others = str(self).splitlines()
        return f"<p><b>{escape(first)}</b></p><p>{escape(' '.join(others))}</p>{_html(self.trials)}"

    def __str__(self) -> str:
        """The best setting, and its gain on held-out seeds."""
        setting = ", ".join(f"{field} = {value}" for field, value in self.values.items())
        lines = [f"{self.direction} {self.metric}, {len(self.trials):,} trials", f"best: {setting}"]
        if self.held_out is not None:
            told = {name: self.held_out[name] for name in ("gain", "low", "high")}
            gain, low, high = ("unknown" if number is None else f"{number:.4g}" for number in told.values())
            lines.append(f"better than the own setting on held-out seeds by {gain} (95 %: {low} to {high})")
        return "\n".join(lines)


@_as_arguments
def search(
    config: RunConfig | str | Path | Mapping[str, Any],
    out: str | Path | None = None,
    space: Mapping[str, Any] | None = None,
    *,
    metric: str | None = None,
    direction: str | None = None,
    trials: int | None = None,
    at_once: int | None = None,
    prune: bool | None = None,
    held_out: int | None = None,
    ray_address: str | None = IN_PROCESS,
    progress: Progress | bool | None = None,
    trackers: Sequence[Any] = (),
    trust: bool = False,
    **fields: Any,
) -> SearchResult:
    """Look for the fields of a configuration that make a metric best, by Optuna (the extra ``search``).

    Args:
        config: a search's file, name or nested dictionaries, with metric and space under ``search``, or, with `space` and
            `metric`, a run's.
        out: the folder to leave tables, figures, report and best.yaml in, as `crowd-sim search --out` does; given again, the
            search goes on where it stopped, also with more trials. None: none.
        space: by field, dotted or with two underscores, a list of choices, or a range: ``{"low": 0.1, "high": 1}`` with
            ``"log": True`` or ``"step"``.
        metric: one of points.parquet's, whose mean over the runs is wanted.
        direction: minimize or maximize; that of distances, rounds and correlations is known.
        trials: settings that are tried; 30 where the file says nothing.
        at_once: trials that are chosen without knowing of each other's outcome, and run side by side on Ray.
        prune: whether trials end early which a quarter of the runs, 5 at least, shows to be worse than the best.
        held_out: other seeds on which the best setting and the own are compared.
        ray_address: as for `run`; Ray Client's ``ray://`` cannot be used.
        progress: called with ("trials", done, total, note); True: a bar on a terminal, lines elsewhere.
        trackers: as for `run`.
        trust: as for `run`.
        fields: as for `run`, of all trials.

    Raises:
        InputError: Optuna is not installed; what is wrong of the search; and as `run`.
        ClusterError, StorageError: as `run`.
    """
    from crowd_sim.commands.search import search as run_search
    from crowd_sim.searches.plan import Search
    from crowd_sim.searches.trials import trials_table

    _check_address(ray_address)
    wanted, watchers = _folder(out), _trackers(trackers)
    if space is not None and not isinstance(space, Mapping):
        raise InputError(
            "space", space, 'must be ranges or lists by field, for example {"tournament.n_groups": [2, 4]}'
        )
    options = {"metric": metric, "direction": direction, "trials": trials, "at_once": at_once, "prune": prune}
    options["held_out"] = held_out
    told = {name: value for name, value in options.items() if value is not None}
    told |= {str(field).replace("__", "."): value for field, value in (space or {}).items()}
    changes = _changes(search, fields) | {f"search.{field}": value for field, value in told.items()}
    if isinstance(config, str | os.PathLike):
        _content(config, changes, trust)  # the code that it names may be loaded
        plan = Search.load(Path(config), _overrides(changes))
    else:
        plan = Search.parse(_content(config, changes, trust))
    with _told(progress) as report, tempfile.TemporaryDirectory() as temporary:
        found = run_search(plan, wanted or Path(temporary) / "search", "", ray_address, report, trackers=watchers)
    assert found.best is not None  # noqa: S101 - else it is refused
    return SearchResult(
        trials_table(plan, found.trials),
        found.best_config,
        dict(found.best.values),
        found.importance,
        None if found.held_out is None else found.held_out.summary(),
        plan.options.metric,
        plan.options.direction or "",
        wanted,
    )


@dataclass(frozen=True, eq=False)
class CrowdValues:
    """What workers are worth; printed, it is a table, best worker first.

    Attributes:
        table: a row per worker, best first: `worker`, `value`, `stderr`, and the 95 % interval's `lower` and `upper`.
        result: the valuation, its players in the crowd's order.
    """

    table: pd.DataFrame
    result: ShapleyResult

    def to_frame(self) -> pd.DataFrame:
        """`table`."""
        return self.table

    def plot(self) -> Any:
        """Values with their intervals; see `ShapleyResult.plot`."""
        return self.result.plot()

    def _repr_html_(self) -> str:
        head = f"Shapley values by {self.result.method}, {self.result.n_evaluations:,} evaluations"
        return f"<p><b>{escape(head)}</b></p>{_html(self.table)}"

    def __str__(self) -> str:
        """The method, and the workers."""
        head = f"Shapley values by {self.result.method}, {self.result.n_evaluations:,} evaluations"
        return f"{head}\n{_text(self.table)}"


@_as_arguments
def value(
    crowd: str | Path | ArrayLike | pd.DataFrame,
    target: str | Path | ArrayLike | None = None,
    out: str | Path | None = None,
    *,
    score: str = "l2",
    run: int = 0,
    method: str = "auto",
    budget: int = 10_000,
    stop: Rule | None = None,
    seed: int = 0,
    ray_address: str | None = IN_PROCESS,
    progress: Progress | bool | None = None,
    trust: bool = False,
) -> CrowdValues:
    """The Shapley values of a finished run's crowd, or of vectors and a target.

    A coalition's utility is the score of the mean of its members' vectors against the target.

    Args:
        crowd: a run's folder; a CSV or Parquet file, a row per worker; an array [n, d]; or a DataFrame, as for `run`.
        target: not for a folder, which has its own: a worker of the crowd by name, who is then not valued, a file with one
            row, or a vector [d].
        out: the folder for values.parquet and values.png; None: none.
        score: not for a folder: l2, l1, dot, squared_l2, or package.module:Name.
        run: of a folder, which of its runs.
        method: as for `crowd_sim.shapley`.
        budget: utility evaluations it may spend, as for `crowd_sim.shapley`.
        stop: a rule by which it may end earlier, as for `crowd_sim.shapley`.
        seed: not for a folder: the key of the draws.
        ray_address: as for `run`.
        progress: called with ("evaluations", done, budget, note); True: a bar on a terminal, lines elsewhere.
        trust: load the user-defined source and score, too, that a run's folder names.

    Raises:
        InputError: a crowd, target, score, method or budget that cannot be used.
        StrategyError: user-defined code raised.
        ClusterError: no cluster, or one that is too small.
    """
    from crowd_sim.commands.value import check_folder, check_own, of_people, of_run, table_of, write
    from crowd_sim.commands.value import value as value_question
    from crowd_sim.crowd.sources.given import population_of
    from crowd_sim.crowd.sources.vectors import load_vectors

    _check_address(ray_address)
    folder = _folder(out)
    if isinstance(crowd, str | os.PathLike) and Path(crowd).is_dir():
        check_own(target, score, seed)
        question = of_run(Path(crowd), integer("run", run, 0), trust)
    else:
        is_file = isinstance(crowd, str | os.PathLike)
        people = load_vectors(Path(cast("str", crowd))) if is_file else population_of(crowd)
        goal: Any = str(target) if isinstance(target, os.PathLike) else target
        question = of_people(people, goal, score, seed, str(crowd) if is_file else "the crowd")
    if folder is not None:
        check_folder(folder, question)
    with _told(progress) as report:
        result = value_question(question, method, budget, stop, ray_address, report)
    if folder is not None:
        write(folder, question, result, budget)
    return CrowdValues(table_of(question, result), result)


def _html(table: pd.DataFrame) -> str:
    return table.to_html(index=False, max_rows=_ROWS, float_format=lambda number: f"{number:.4g}")


def _text(table: pd.DataFrame) -> str:
    return table.to_string(index=False, max_rows=_ROWS, float_format=lambda number: f"{number:.4g}")


def _folder(out: Any) -> Path | None:
    if out is None:
        return None
    if not isinstance(out, str | os.PathLike) or not str(out):
        raise InputError("out", out, "must be the path of a folder, or None")
    return Path(out)


def _trackers(given: Any) -> list[Named]:
    from crowd_sim.trackers import tracker_of

    if isinstance(given, str) or not isinstance(given, Sequence):
        raise InputError("trackers", given, 'must be a list of names or objects, for example ["tensorboard"]')
    return [tracker_of(one) for one in given]


@contextmanager
def _told(progress: Progress | bool | None) -> Iterator[Progress]:
    if progress is True:
        from rich.console import Console

        from crowd_sim.commands.progress import in_place, shown

        plain = Console(markup=False, emoji=False)
        with in_place(sys.stderr) if "ipykernel" in sys.modules else shown(plain) as report:
            yield report
    elif not progress:
        yield quiet
    elif callable(progress):
        yield progress
    else:
        raise InputError("progress", progress, "must be True, or a callable that takes (stage, done, total, note)")


def _changes(face: Callable[..., Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields by dotted name; what is more like an argument's name than a field is refused as that."""
    arguments = [name for name in signature(face).parameters if name != "fields"]
    for name, value in fields.items():
        if name.partition("__")[0] not in RunConfig.model_fields:
            for near in get_close_matches(name, arguments, 1, 0.75):
                raise InputError(name, value, f"is no argument and no field of the configuration; perhaps {near}")
    return {name.replace("__", "."): value for name, value in fields.items()}


def _check_address(ray_address: Any) -> None:
    if not isinstance(ray_address, str | None) or ray_address == "":
        raise InputError("ray_address", ray_address, 'must be "none", None, "auto", "host:port" or "ray://host:port"')


def _config(config: Any, changes: Mapping[str, Any], trust: bool) -> RunConfig:
    if isinstance(config, str | os.PathLike):
        return load_config(Path(config), _overrides(changes), trust=trust)
    if isinstance(config, RunConfig) and not changes:
        return config
    return RunConfig.parse(_content(config, changes, trust))


def _content(config: Any, changes: Mapping[str, Any], trust: bool) -> dict[str, Any]:
    """The configuration as nested dictionaries, changed; the code that it names may be loaded."""
    if isinstance(config, str | os.PathLike):
        content = load_content(Path(config), _overrides(changes))
        check_content(Path(config), content, _overrides(changes), trust=trust)
        return content
    if isinstance(config, RunConfig):
        config = config.model_dump(exclude_unset=True)
    if not isinstance(config, Mapping):
        allowed = (
            "must be a RunConfig, the path of a file, the name of a configuration that ships, or nested dictionaries"
        )
        raise InputError("config", config, allowed)
    content = deepcopy(dict(config))
    for field, value in changes.items():
        *parents, leaf = field.split(".")
        node = content
        for parent in parents:
            if node.get(parent) is None:
                node[parent] = {}
            node = node[parent]
            if not isinstance(node, dict):
                raise InputError(field, value, f"cannot be set: {parent} is not a group of fields")
        node[leaf] = _plain(value)
    check_code(content, content, handed_over=False, trust=True)
    return content


def _with_crowd(content: dict[str, Any], people: Population, folder: Path | None) -> dict[str, Any]:
    """The content with a given crowd, which the folder keeps, for its source."""
    from crowd_sim.crowd.sources.given import FILE

    given = {"source": "vectors", "path": None if folder is None else str(folder.resolve() / FILE)}
    section = content.get("crowd") or {}
    if not isinstance(section, Mapping):  # parsing says what is wrong
        return content
    return {**content, "crowd": {"n_workers": max(1, people.n_workers - 1), **section, **given}}


def _overrides(changes: Mapping[str, Any]) -> list[str]:
    return [f"{field}={_yaml(field, value)}" for field, value in changes.items()]


def _yaml(field: str, value: Any) -> str:
    try:
        return json.dumps(_plain(value), ensure_ascii=False)
    except TypeError:
        allowed = (
            f"must be a number, text, a truth value, or lists or dictionaries of these, not {type(value).__name__}"
        )
        raise InputError(field, None, allowed) from None


def _plain(value: Any) -> Any:
    """A value as a YAML file would have it: of numbers of NumPy, paths and tuples, what stands for them there."""
    if isinstance(value, os.PathLike):
        return str(value)
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, tuple | list | range):
        return [_plain(inner) for inner in value]
    return value
