"""What the commands do: from a configuration to a folder with tables, figures and a report."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from math import isnan
from pathlib import Path

from rich.console import Console
from rich.table import Table

from crowd_sim.actors.cluster import connected
from crowd_sim.actors.placement import required_by_run
from crowd_sim.actors.round_manager import run_on_ray
from crowd_sim.cli.progress import shown
from crowd_sim.cli.signals import stoppable
from crowd_sim.config import RunConfig
from crowd_sim.crowd.population import Population
from crowd_sim.engine import Outcome, simulate
from crowd_sim.errors import InputError
from crowd_sim.files import fingerprint, write_json
from crowd_sim.host import InProcess
from crowd_sim.metrics import mean_and_error
from crowd_sim.participants import check_participants, load_population
from crowd_sim.store.checkpointer import Checkpointer
from crowd_sim.store.run_folder import open_run, read_run, write_run
from crowd_sim.store.run_log import Record, read_status

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
    population = load_population(config.crowd)
    check_participants(config, population)
    folder = out or Path("runs") / f"{name}-{fingerprint(config.determinants(), population)[:8]}"
    workers = config.runs * config.crowd.n_workers
    opened = open_run(folder, config, population, accept_changes)
    with opened as print_of:
        if (outcome := read_run(folder, config, population, print_of)) is not None and _is_over(folder):
            return Finished(folder, outcome, float(json.loads((folder / "timing.json").read_text())["seconds"]))
        with Record(folder, print_of, workers) as record, stoppable():
            return _finish(folder, config, population, ray_address, console, record, print_of)


def _is_over(folder: Path) -> bool:
    """Whether nothing is left to do in the folder of a run whose tables are whole."""
    try:
        return read_status(folder).state == "finished" and (folder / "timing.json").exists()
    except InputError:  # made in Python, which leaves no status and no report
        return False


def _finish(
    folder: Path,
    config: RunConfig,
    population: Population,
    ray_address: str | None,
    console: Console,
    record: Record,
    print_of: str,
) -> Finished:
    start = time.perf_counter()
    outcome = _simulate(config, population, ray_address, console, record, folder.name)
    write_run(folder, outcome, population, print_of)
    seconds = time.perf_counter() - start
    # apart from the summary, which is equal for equal runs
    write_json(folder / "timing.json", {"seconds": seconds, "ray_address": ray_address})
    from crowd_sim.report import write_report  # drawing has no part in how soon the first round starts

    write_report(folder)
    return Finished(folder, outcome, seconds)


def _simulate(
    config: RunConfig, population: Population, ray_address: str | None, console: Console, record: Record, name: str
) -> Outcome:
    if ray_address != IN_PROCESS:
        with connected(ray_address, required_by_run(config.actors)), shown(console) as progress:
            return run_on_ray(config, population, progress, record, name)
    checkpointer = Checkpointer(record.checkpoints(), config.actors.checkpoints, record.keep, record.tell)
    with shown(console) as progress:

        def both(stage: str, done: int, total: int, note: str = "", /) -> None:
            progress(stage, done, total, note)
            record.progress(stage, done, total, note)

        return simulate([config], population, InProcess(), both, checkpointer)[0]


def outcome_table(finished: Finished) -> Table:
    """The outcome in a few lines: means over the runs and their standard errors."""
    outcome = finished.outcome
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
