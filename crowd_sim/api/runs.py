"""`crowd_sim.run`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from dataclasses import fields as dataclass_fields
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crowd_sim.api.arguments import (
    as_arguments,
    changes_of,
    check_address,
    config_of,
    content_of,
    folder_of,
    reporting,
    trackers_of,
    with_crowd,
)
from crowd_sim.api.shown import html_of
from crowd_sim.commands import IN_PROCESS
from crowd_sim.config import RunConfig
from crowd_sim.errors import InputError
from crowd_sim.metrics import mean_and_error
from crowd_sim.outcome import Outcome
from crowd_sim.progress import Progress
from crowd_sim.tasks.tables import tables_of

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike


@dataclass(frozen=True)
class RunResult(Outcome):
    """An `Outcome` that a notebook shows: workers first, then the metrics.

    See `Outcome` for its attributes. Of models that are judged item by item `metrics` has ``accuracy_after`` or
    ``reward_after`` and others of runs.parquet, in place of distances.
    """

    def __str__(self) -> str:
        """A line per metric of the task: mean, standard error, and over how many runs."""
        runs, task = self.config.runs, self.config.task.kind
        lines = [f"{runs} run{'s' * (runs != 1)} of {self.config.crowd.n_workers} workers (task {task})"]
        for name, sample in self.metrics.items():
            mean, error, known = mean_and_error(sample)
            if self.config.valuation.method == "none" and name.startswith(("pearson_", "spearman_")):
                continue  # nobody was valued: there is nothing to correlate
            said = "unknown" if not known else f"{mean:.4g}" + (f" ± {error:.2g}" if known > 1 else "")
            lines.append(f"  {name:<24} {said}  ({known} of {runs} runs)")
        return "\n".join(lines)

    def to_frame(self) -> pd.DataFrame:
        """A row per run and worker: points and, where there are values, value, its error, ranks and the gap between them.

        The gap is rank by value − rank by pay, or by points where nobody is paid; whom screens exclude is in no rank.
        """
        from crowd_sim.report.worth import excluding, worth

        return worth(self._workers(), excluding(self.config.model_dump()))

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
        return f"<p><b>{escape(first)}</b></p>{html_of(by_worker(self.to_frame()))}<ul>{rows}</ul>"


@as_arguments
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

    check_address(ray_address)
    folder, watchers = folder_of(out), trackers_of(trackers)
    people = None if crowd is None else population_of(crowd)
    changes = changes_of(run, fields)
    if people is None:
        setup = config_of(config, changes, trust)
    else:
        setup = RunConfig.parse(with_crowd(content_of(config, changes, trust), people, folder))
        if folder is not None:
            setup = setup.given_as({"crowd.path": FILE}, folder)
    with reporting(progress) as report:
        finished = run_config(
            setup,
            folder,
            ray_address=ray_address,
            progress=report,
            accept_changes=accept_changes,
            given=people,
            trackers=watchers,
        )
    return shown(finished.outcome)


def shown(outcome: Outcome) -> RunResult:
    """An outcome as `run` returns it."""
    told = {field.name: getattr(outcome, field.name) for field in dataclass_fields(outcome)}
    task = outcome.config.task.kind
    if task not in ("vector", "imitate"):
        from crowd_sim.report.measures import in_words

        metrics = tables_of(task).run_metrics(outcome)
        told["metrics"] = {name: metrics[name] for name in in_words([*metrics], task)}
    return RunResult(**told)
