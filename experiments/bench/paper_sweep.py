"""Time per run of the paper's sweep against the paper's own procedure, written plainly (`plain.py`); one core each.

Ours does more: besides Kernel SHAP at 10,000 evaluations it estimates accurate values with another 10,000.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from rich.console import Console
from rich.table import Table
from threadpoolctl import threadpool_limits

from crowd_sim.loading import load_content, load_people
from crowd_sim.services import InProcess
from crowd_sim.simulation import simulate
from crowd_sim.sweep import Sweep, batches, run_batch
from experiments.bench import plain

SWEEP = Path(str(files("experiments") / "configs" / "paper_sweep.yaml"))


def compare(plain_runs: int, overrides: Sequence[str], console: Console) -> None:
    """Print, for each size of crowd, seconds per run of both and their ratio.

    Args:
        plain_runs: runs of the plain procedure per size; its combinations of grouping and score take turns.
        overrides: of experiments/configs/paper_sweep.yaml; the crowd is synthetic unless they say otherwise.
        console: where the table goes.
    """
    content = load_content(SWEEP, ["crowd.source=synthetic", *overrides])
    whole = Sweep.parse(content)
    table = Table(title="seconds per run, one core: the paper's sweep, plainly and by crowd-sim")
    for name in ("n", "plain", "alone", "in the sweep", "plain / alone", "plain / in the sweep"):
        table.add_column(name, justify="right")
    for n in whole.fields["crowd.n_workers"]:
        part = Sweep.parse(load_content(SWEEP, ["crowd.source=synthetic", *overrides, f"sweep.crowd.n_workers=[{n}]"]))
        with threadpool_limits(1):
            slow = _plain_seconds(part, n, plain_runs)
        alone, together = _alone_seconds(part), _sweep_seconds(part)
        table.add_row(
            str(n), f"{slow:.3f}", f"{alone:.4f}", f"{together:.4f}", f"{slow / alone:.0f}", f"{slow / together:.0f}"
        )
    console.print(table)
    console.print(
        "alone: one configuration's runs, nothing shared between them, mean over the scores. "
        "in the sweep: all combinations of groups, grouping and score, which share their games.",
        highlight=False,
    )


def _plain_seconds(sweep: Sweep, n_workers: int, n_runs: int) -> float:
    people = load_people(sweep.points[0].config.crowd).vectors
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
    population = load_people(sweep.points[0].config.crowd)
    for config in by_score.values():  # compiled code is loaded, and people are read, before the clock starts
        simulate([config.model_copy(update={"runs": 1})], population, InProcess())
    start = time.perf_counter()
    for config in by_score.values():
        simulate([config], population, InProcess())
    return (time.perf_counter() - start) / sum(config.runs for config in by_score.values())


def _sweep_seconds(sweep: Sweep) -> float:
    population = load_people(sweep.points[0].config.crowd)
    start = time.perf_counter()
    for batch in batches(sweep.points, sweep.points[0].config.actors.sweep.max_runs):
        run_batch(batch, population, with_workers=False)
    return (time.perf_counter() - start) / sum(point.config.runs for point in sweep.points)
