"""Time per run of the paper's sweep against the paper's own procedure, written plainly (`plain.py`); one core each.

Ours does more: besides Kernel SHAP at 10,000 evaluations it estimates accurate values with another 10,000.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from rich import box
from rich.console import Console
from rich.table import Table
from threadpoolctl import threadpool_limits

from crowd_sim.cli import paper_baseline as plain
from crowd_sim.config.io import load_content
from crowd_sim.config.shipped import shipped_file
from crowd_sim.engine import simulate
from crowd_sim.host import InProcess
from crowd_sim.participants import load_population
from crowd_sim.sweeps.batch import run_batch
from crowd_sim.sweeps.partition import batches
from crowd_sim.sweeps.plan import Sweep
from crowd_sim.tasks.load import load_task

ACCURATE_BUDGET = 2_000
"""Evaluations at which errors are well below 0.02: `valuation_bars` has 16 workers at 1,600 and 75 at 750."""

SWEEP = shipped_file("paper_sweep")


def compare(plain_runs: int, overrides: Sequence[str], console: Console) -> None:
    """Print, for each size of crowd, seconds per run of both and their ratio.

    Args:
        plain_runs: runs of the plain procedure per size; its combinations of grouping and score take turns.
        overrides: of the shipped paper_sweep; the crowd is synthetic unless they say otherwise.
        console: where the table goes.
    """
    given = ["crowd.source=synthetic", *overrides]
    sizes = Sweep.parse(load_content(SWEEP, given)).fields["crowd.n_workers"]
    table = Table(title="seconds per run, one core: the paper's sweep, plainly and by crowd-sim", box=box.SIMPLE)
    for name in ("n", "plain", "alone", "sweep", "accurate only", "plain/alone", "plain/sweep", "plain/accurate only"):
        table.add_column(name, justify="right")
    totals = np.zeros(4)
    for n in sizes:
        whole, accurate = (
            Sweep.parse(load_content(SWEEP, [*given, f"sweep.crowd.n_workers=[{n}]", *more]))
            for more in ([], ["valuation.kernel_shap_budget=0", f"valuation.budget={ACCURATE_BUDGET}"])
        )
        with threadpool_limits(1):
            slow = _plain_seconds(whole, n, plain_runs)
        seconds = np.array([slow, _alone_seconds(whole), _sweep_seconds(whole), _sweep_seconds(accurate)])
        totals += seconds
        table.add_row(str(n), *_cells(seconds))
    table.add_row("mean", *_cells(totals / len(sizes)))
    console.print(table)
    console.print(
        "plain: Kernel SHAP at 10,000 evaluations, a Python loop over coalitions. alone: one configuration's runs, nothing "
        "shared between them, mean over the scores. sweep: all combinations of groups, grouping and score, which share "
        "their games; like alone it has Kernel SHAP at 10,000 and accurate values at 10,000 evaluations. accurate only: "
        f"the sweep without Kernel SHAP and with accurate values at {ACCURATE_BUDGET:,} evaluations.",
        highlight=False,
    )


def _cells(seconds: NDArray[np.float64]) -> list[str]:
    return [f"{value:.4f}" for value in seconds] + [f"{seconds[0] / value:.0f}" for value in seconds[1:]]


def _plain_seconds(sweep: Sweep, n_workers: int, n_runs: int) -> float:
    people = load_population(sweep.first.crowd).vectors
    fields = sweep.fields
    combinations = list(itertools.product(fields["tournament.score"], fields["tournament.grouping"]))
    plain.run(people, 5, "random", "l2", 2, 0)  # imports are not timed
    start = time.perf_counter()
    for i in range(n_runs):
        score, grouping = combinations[i % len(combinations)]
        plain.run(people, n_workers, grouping, score, 4, i)
    return (time.perf_counter() - start) / n_runs


def _alone_seconds(sweep: Sweep) -> float:
    by_score = {point.config.tournament.score: point.config for point in sweep.points}
    task = load_task(sweep.first)
    for config in by_score.values():  # compiled code is loaded, and people are read, before the clock starts
        simulate([config.model_copy(update={"runs": 1})], task, InProcess())
    start = time.perf_counter()
    for config in by_score.values():
        simulate([config], task, InProcess())
    return (time.perf_counter() - start) / sum(config.runs for config in by_score.values())


def _sweep_seconds(sweep: Sweep) -> float:
    task = load_task(sweep.first)
    start = time.perf_counter()
    for batch in batches(sweep, sweep.first.actors.sweep.max_runs):
        run_batch(sweep, batch, task, with_workers=False)
    return (time.perf_counter() - start) / sum(point.config.runs for point in sweep.points)
