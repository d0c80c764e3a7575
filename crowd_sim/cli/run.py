"""What the commands do: from a configuration to a folder with tables, figures and a report."""

from __future__ import annotations

import time
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from math import isnan
from pathlib import Path
from typing import Protocol

from rich import box
from rich.console import Console
from rich.table import Table

from crowd_sim.actors.cluster import connected
from crowd_sim.actors.placement import required_by_run, reserved
from crowd_sim.actors.round_manager import Supervisor
from crowd_sim.cli.progress import shown
from crowd_sim.cli.signals import stoppable
from crowd_sim.config import RunConfig
from crowd_sim.engine import simulate_opened
from crowd_sim.files import write_json
from crowd_sim.host import InProcess
from crowd_sim.metrics import mean_and_error
from crowd_sim.outcome import Outcome
from crowd_sim.participants import check_participants
from crowd_sim.progress import Progress
from crowd_sim.store.checkpointer import Checkpointer
from crowd_sim.store.run_folder import open_run, run_fingerprint, write_run
from crowd_sim.store.run_log import Record
from crowd_sim.tasks.base import OpenTask, Task
from crowd_sim.tasks.imitate.task import ImitateTask
from crowd_sim.tasks.load import load_task
from crowd_sim.tasks.vector import VectorTask

IN_PROCESS = "none"
"""The value of --ray-address that means: without Ray."""


@dataclass(frozen=True)
class Finished:
    """A run that is over: its folder, what came out, the seconds it took from start to last table."""

    folder: Path
    outcome: Outcome
    seconds: float


def run(
    config: RunConfig,
    name: str,
    out: Path | None,
    ray_address: str | None,
    console: Console,
    accept_changes: bool = False,
) -> Finished:
    """Simulate, value, write, draw; what a run of the same configuration has left in the folder is gone on with.

    Of a run that is complete nothing is done again: its outcome is read.

    Args:
        config: the runs.
        name: of the configuration; names the folder where `out` does not.
        out: the run folder; absent: runs/<name>-<fingerprint>.
        ray_address: see `crowd_sim.actors.cluster.connected`; ``none`` runs in process.
        console: where progress is shown.
        accept_changes: go on, too, with what another configuration has left (`open_run`).

    Raises:
        InputError: people or folder that cannot be used.
        ClusterError: no cluster, or one that is too small, or that fails more often than allowed.
        StrategyError: a strategy of one's own raised.
        StorageError: the folder cannot be written any more.
    """
    task = load_task(config)
    if isinstance(task, VectorTask):
        check_participants(config, task.population)
    print_of = run_fingerprint(config, task)
    folder = out or Path("runs") / f"{name}-{print_of[:8]}"
    if isinstance(task, ImitateTask):
        task = replace(task, utilities=folder / "utilities")
    with ExitStack() as stack:
        stack.enter_context(stoppable())
        progress = stack.enter_context(shown(console))
        if ray_address == IN_PROCESS:
            session: _Session = _InProcess(config, task, progress)
        else:
            session = _OnRay(config, task, progress, folder.name, ray_address)
        stack.callback(session.close)
        # what a model cannot do is refused before a folder is made; a crowd of vectors has been checked
        weights = session.prepare() if config.task.kind == "imitate" else ""
        print_of = stack.enter_context(open_run(folder, config, task, accept_changes, weights))
        record = stack.enter_context(Record(folder, print_of, config.runs * config.crowd.n_workers))
        start = time.perf_counter()
        outcome = session.outcome(record)
        session.close()
        write_run(folder, outcome, print_of)
        seconds = time.perf_counter() - start
        _say_diverged(outcome, console)
        # apart from the summary, which is equal for equal runs
        write_json(folder / "timing.json", {"seconds": seconds, "ray_address": ray_address})
        from crowd_sim.report import write_report  # drawing has no part in how soon the first round starts

        write_report(folder)
    return Finished(folder, outcome, seconds)


class _Session(Protocol):
    """Where a run is simulated."""

    def prepare(self) -> str:
        """Start what the task needs; the digest of its models' files."""

    def outcome(self, record: Record) -> Outcome:
        """The run's outcome; `record` keeps log, status and checkpoints."""

    def close(self) -> None:
        """Stop what was started."""


class _InProcess:
    """See `_Session`."""

    def __init__(self, config: RunConfig, task: Task, progress: Progress) -> None:
        self._config, self._task, self._progress = config, task, progress
        self._stack, self._host = ExitStack(), InProcess()
        self._opened: OpenTask | None = None

    def prepare(self) -> str:
        """See `_Session`."""
        if self._opened is None:
            self._opened = self._stack.enter_context(self._task.open([self._config], self._host))
        return self._opened.weights

    def outcome(self, record: Record) -> Outcome:
        """See `_Session`."""
        self.prepare()
        checkpointer = Checkpointer(record.checkpoints(), self._config.actors.checkpoints, record.keep, record.tell)

        def both(stage: str, done: int, total: int, note: str = "", /) -> None:
            self._progress(stage, done, total, note)
            record.progress(stage, done, total, note)

        assert self._opened is not None  # noqa: S101 - it is prepared
        opened, ids = self._opened, self._task.ids
        return simulate_opened([self._config], opened, ids, self._host, both, checkpointer)[0]

    def close(self) -> None:
        """See `_Session`."""
        self._stack.close()


class _OnRay:
    """See `_Session`."""

    def __init__(self, config: RunConfig, task: Task, progress: Progress, name: str, address: str | None) -> None:
        self._config, self._task, self._progress = config, task, progress
        self._name, self._address = name, address
        self._stack = ExitStack()
        self._supervisor: Supervisor | None = None

    def prepare(self) -> str:
        """See `_Session`."""
        return self._start(None).prepare()

    def outcome(self, record: Record) -> Outcome:
        """See `_Session`."""
        if self._supervisor is None:
            return self._start(record).outcome()
        return self._supervisor.outcome(record)

    def close(self) -> None:
        """See `_Session`."""
        self._stack.close()

    def _start(self, record: Record | None) -> Supervisor:
        required = required_by_run(self._config.actors, with_crowd=self._config.task.kind == "vector")
        self._stack.enter_context(connected(self._address, required))
        group = self._stack.enter_context(reserved(required))
        supervisor = Supervisor(self._config, self._task, self._progress, self._name, group, record)
        self._supervisor = self._stack.enter_context(closing(supervisor))
        return supervisor


def _say_diverged(outcome: Outcome, console: Console) -> None:
    if outcome.config.task.kind != "imitate":
        return
    rounds = outcome.details.rounds
    if diverged := sum(record.n_diverged for record in rounds):
        total = sum(len(record.candidate_scores) for record in rounds)
        console.print(
            f"{diverged} of {total} candidates diverged in tuning and could not win: try a lower task.learning_rate"
        )


def outcome_table(finished: Finished) -> Table:
    """The outcome in a few lines: means over the runs and their standard errors."""
    outcome = finished.outcome
    if outcome.config.task.kind == "imitate":
        return _text_table(finished)
    config = outcome.config
    method = " and ".join(sorted(set(outcome.methods)))
    n_runs = f"{config.runs} run{'s' * (config.runs != 1)}"
    table = Table(title=f"{config.crowd.n_workers} workers in {config.tournament.n_groups} groups, {n_runs}")
    table.add_column("")
    table.add_column("mean", justify="right")
    table.add_column("± s.e.", justify="right")
    near = f"{config.tournament.convergence_distance:g}"
    _, _, converged = mean_and_error(outcome.metrics["rounds_to_converge"])
    names = {
        "final_distance": "distance to the target at the end",
        "rounds_to_converge": f"rounds to come within {near} ({converged} of {n_runs})",
        "pearson_accurate": f"Pearson, points with Shapley values ({method})",
        "spearman_accurate": f"Spearman, points with Shapley values ({method})",
        "pearson_kernel_shap": f"Pearson, points with Kernel SHAP at {config.valuation.kernel_shap_budget:,}",
    }
    mean, error, _ = mean_and_error(outcome.history.distances[0])
    table.add_row("distance to the target at the start", _number(mean), _number(error))
    for metric, words in names.items():
        mean, error, known = mean_and_error(outcome.metrics[metric])
        if known or metric == "rounds_to_converge":
            table.add_row(words, _number(mean), _number(error))
    table.add_row("seconds", f"{finished.seconds:.1f}", "")
    return table


def _number(value: float) -> str:
    return "–" if isnan(value) else f"{value:.3g}"


def _text_table(finished: Finished) -> Table:
    """The models of a run in a few lines: mean distance of fresh outputs over all runs, and what they took."""
    # their tables need pandas, which would delay a run's start
    from crowd_sim.report.labels import phi_words, short_model_words
    from crowd_sim.report.llm_numbers import distance_words
    from crowd_sim.tasks.imitate.tables import model_names, models_table

    outcome = finished.outcome
    models = models_table(outcome)
    table = Table(
        title=f"distance to {_target_words(outcome.config)}, Φ = {phi_words(outcome.details.info.phi)}",
        caption="trained and generated: tokens",
        box=box.SIMPLE_HEAD,  # millions of tokens and minutes of seconds are to fit into 80 columns
        collapse_padding=True,
        pad_edge=False,
    )
    for column in ("model", "distance ± s.e.", "distinct", "copied", "trained", "generated", "s"):
        table.add_column(column, justify="left" if column == "model" else "right", no_wrap=True)
    for name in model_names(outcome):
        own = models[models["model"] == name]
        table.add_row(
            short_model_words(name),
            distance_words(own),
            *(f"{own[share].mean():.0%}" for share in ("distinct", "copied")),
            f"{own['tokens_trained'].mean():,.0f}",
            f"{own['tokens_generated'].mean():,.0f}",
            f"{own['seconds'].mean():.1f}",
        )
    return table


def _target_words(config: RunConfig) -> str:
    target = str(config.crowd.target)
    return Path(target).name if config.crowd.source == "feedback" else target
