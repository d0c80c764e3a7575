"""Calibrated points beside the paper's: `python -m experiments.paper.calibrated_table [OVERRIDES]`.

Runs experiments/configs/calibrated_sweep.yaml in this process and prints a Markdown table, one row for each cell of score, n
and K: the correlation of the paper's points with Kernel SHAP as published and as reproduced, with accurate values (corrected),
and beside it how well the paper's and calibrated points rank the workers. Exit status 1 if one of three bars is missed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console

from crowd_sim.commands.progress import shown
from crowd_sim.config.io import load_content
from crowd_sim.engine import simulate
from crowd_sim.errors import InputError
from crowd_sim.host import InProcess
from crowd_sim.participants import check_participants, load_population
from crowd_sim.sweeps.partition import batches
from crowd_sim.sweeps.plan import Sweep
from crowd_sim.tables import point_metrics, run_metrics
from crowd_sim.tasks.load import load_task
from experiments.paper.compare_vector import published

SWEEP = Path(str(files("crowd_sim") / "configs" / "calibrated_sweep.yaml"))

MEAN_WANTED = 0.95
"""Mean over all cells of the Spearman correlation of calibrated points with accurate values."""

CELL_WANTED, SHARE_WANTED = 0.92, 0.75
"""Correlation to be reached in this share of the cells."""

CELL = {"score": "tournament.score", "n_workers": "crowd.n_workers", "n_groups": "tournament.n_groups"}
REWARD = "tournament.reward"
REWARDS = ("rank", "calibrated")


def run(plan: Sweep, console: Console) -> pd.DataFrame:
    """All points of a sweep, in their order, as in points.parquet.

    Raises:
        InputError: not a sweep of cells and both rewards, or people that cannot be used.
    """
    _check(plan)
    rows: list[dict[str, Any]] = []
    with shown(console) as progress:
        for batch in batches(plan, plan.first.actors.sweep.max_runs):
            points = [plan.points[number] for number in batch.tolist()]
            outcomes = simulate([point.config for point in points], load_task(points[0].config), InProcess())
            for point, outcome in zip(points, outcomes, strict=True):
                rows.append({"point": point.index, **point.columns, **point_metrics(run_metrics(outcome))})
            progress("points", len(rows), plan.n_points)
    return pd.DataFrame(rows).sort_values("point", ignore_index=True)


def table(points: pd.DataFrame, grouping: str) -> pd.DataFrame:
    """One row per cell: its fields, every metric of both rewards as `<reward>_<metric>`, and the published figures."""
    fields = {ours: theirs for theirs, ours in CELL.items()}
    cells = points.rename(columns=fields).pivot_table(index=list(CELL), columns=REWARD, sort=False, dropna=False)
    cells.columns = cells.columns.map(lambda column: f"{column[1]}_{column[0]}")
    reference = published()
    reference = reference[reference["grouping"] == grouping].drop(columns="grouping")
    return cells.reset_index().merge(reference, on=list(CELL), how="left", validate="one_to_one")


COLUMNS = (
    *("score", "n", "K", "r published", "r reproduced", "r corrected"),
    *("ρ rank", "ρ calibrated", "distance rank", "distance calibrated"),
)
"""r: Pearson correlation of the paper's points, with Kernel SHAP or, corrected, accurate values; ρ: Spearman's, with these."""


def markdown(cells: pd.DataFrame) -> Iterator[str]:
    """The table's lines."""
    figures = {
        "pearson_points_vs_kernelshap": 2,
        "rank_pearson_kernel_shap_mean": 2,
        "rank_pearson_accurate_mean": 2,
        "rank_spearman_accurate_mean": 3,
        "calibrated_spearman_accurate_mean": 3,
        "rank_final_distance_mean": 2,
        "calibrated_final_distance_mean": 2,
    }
    yield f"| {' | '.join(COLUMNS)} |"
    yield "| --- |" + " ---: |" * (len(COLUMNS) - 1)
    for cell in cells.to_dict("records"):
        shown_figures = ("" if pd.isna(cell[name]) else f"{cell[name]:.{digits}f}" for name, digits in figures.items())
        yield f"| {' | '.join((*(str(cell[name]) for name in CELL), *shown_figures))} |"


def bars(cells: pd.DataFrame) -> dict[str, bool]:
    """What is wanted, said with what was reached, and whether it was."""
    rank, ours = (cells[f"{reward}_spearman_accurate_mean"] for reward in REWARDS)
    near, above = int((ours >= CELL_WANTED).sum()), int((ours > rank).sum())
    return {
        f"mean ρ {ours.mean():.4f} (rank {rank.mean():.4f}), wanted {MEAN_WANTED}": bool(ours.mean() >= MEAN_WANTED),
        f"at least {CELL_WANTED} in {near} of {len(cells)} cells (rank {int((rank >= CELL_WANTED).sum())}), "
        f"wanted {SHARE_WANTED * len(cells):g}": near >= SHARE_WANTED * len(cells),
        f"above rank in {above} of {len(cells)}, wanted all": above == len(cells),
    }


def summary(cells: pd.DataFrame) -> str:
    """The three bars, and the distances, in one line."""
    rank, ours = (cells[f"{reward}_final_distance_mean"].mean() for reward in REWARDS)
    said = [f"{text}{'' if met else ' (MISSED)'}" for text, met in bars(cells).items()]
    return f"{'; '.join(said)}; mean final distance {ours:.3f} (rank {rank:.3f})"


def _check(plan: Sweep) -> None:
    unknown = set(plan.fields) ^ {*CELL.values(), REWARD}
    if unknown:
        names = ", ".join((*CELL.values(), REWARD))
        raise InputError("sweep", sorted(unknown)[0], f"must list {names} and nothing else")
    if set(plan.fields[REWARD]) != set(REWARDS):
        raise InputError(f"sweep.{REWARD}", plan.fields[REWARD], f"must list {' and '.join(REWARDS)}")
    for point in plan.points:
        if point.config.valuation.method == "none":
            raise InputError("valuation.method", "none", "must value the workers: ranks are compared with values")
        check_participants(point.config, load_population(point.config.crowd))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the sweep, print table and summary."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example: python -m experiments.paper.calibrated_table crowd.path=data runs=50",
    )
    parser.add_argument("overrides", nargs="*", help="dotted overrides of experiments/configs/calibrated_sweep.yaml")
    try:
        plan = Sweep.parse(load_content(SWEEP, parser.parse_args(arguments).overrides))
        cells = table(run(plan, Console(stderr=True)), plan.first.tournament.grouping)
    except InputError as error:
        print(f"calibrated_table: {error}", file=sys.stderr)
        sys.exit(2)
    print(*markdown(cells), "", summary(cells), sep="\n")
    sys.exit(0 if all(bars(cells).values()) else 1)


if __name__ == "__main__":
    main()
