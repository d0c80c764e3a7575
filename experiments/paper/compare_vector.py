"""Hold a sweep against the published figures: `python -m experiments.paper.compare_vector FOLDER`.

The paper gives means of 50 runs without their errors. Its runs differ from ours in nothing but their draws, so a difference has
√2 times our standard error. Exit status 1 if fewer than 51 of the 54 rows lie within 3 of these, in either figure.
"""

from __future__ import annotations

import argparse
import sys
from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table

from crowd_sim.errors import InputError
from crowd_sim.report.tables import read_points

LIMIT = 3.0
"""Standard errors of the difference within which a row counts as met."""

WANTED = 51
"""Rows that must be met, of 54."""

FIELDS = {
    "grouping": "tournament.grouping",
    "score": "tournament.score",
    "n_workers": "crowd.n_workers",
    "n_groups": "tournament.n_groups",
}
"""Columns of the published table and the fields they are."""

FIGURES = {"pearson_points_vs_kernelshap": "pearson_kernel_shap", "final_distance": "final_distance"}
"""Published figures and the metrics they are."""


def published() -> pd.DataFrame:
    """The part of the paper's sweep that it gives figures for, 54 rows (arXiv 2506.04063)."""
    with files("experiments.paper").joinpath("published_vector_sweep.csv").open(encoding="utf-8") as file:
        return pd.read_csv(file)


def compare(points: pd.DataFrame, reference: pd.DataFrame) -> pd.DataFrame:
    """One row per published row: the figures, ours, and how far apart they are in standard errors of the difference.

    Raises:
        InputError: a published row that the sweep does not have.
    """
    missing = [column for column in FIELDS.values() if column not in points]
    if missing:
        raise InputError("points.parquet", None, f"has no column {missing[0]}: the sweep must list it")
    ours = points.rename(columns={ours: theirs for theirs, ours in FIELDS.items()})
    table = reference.merge(ours, on=list(FIELDS), how="left", validate="one_to_one", indicator=True)
    absent = table[table["_merge"] != "both"]
    if len(absent):
        raise InputError(
            "points.parquet",
            None,
            f"lacks {len(absent)} published rows, first {absent.iloc[0][list(FIELDS)].to_dict()}",
        )
    for theirs, metric in FIGURES.items():
        table[f"{metric}_z"] = (table[f"{metric}_mean"] - table[theirs]) / (np.sqrt(2) * table[f"{metric}_se"])
    return table


def met(table: pd.DataFrame) -> dict[str, int]:
    """How many rows lie within the limit, by metric."""
    return {metric: int((table[f"{metric}_z"].abs() <= LIMIT).sum()) for metric in FIGURES.values()}


COLUMNS = (
    *("grouping", "score", "n", "K", "r paper", "r ours", "± s.e.", "Δ/s.e.", "corrected"),
    *("dist. paper", "dist. ours", "± s.e.", "Δ/s.e."),
)
"""r is the Pearson correlation of points with Kernel SHAP; corrected, with accurate values."""


def rows(table: pd.DataFrame) -> list[tuple[str, ...]]:
    """The comparison as text, one tuple in the order of `COLUMNS` per published row."""
    return [
        (
            *(str(row[name]) for name in FIELDS),
            f"{row['pearson_points_vs_kernelshap']:.2f}",
            f"{row['pearson_kernel_shap_mean']:.2f}",
            f"{row['pearson_kernel_shap_se']:.3f}",
            f"{row['pearson_kernel_shap_z']:+.1f}",
            f"{row['pearson_accurate_mean']:.2f}",
            f"{row['final_distance']:.2f}",
            f"{row['final_distance_mean']:.2f}",
            f"{row['final_distance_se']:.2f}",
            f"{row['final_distance_z']:+.1f}",
        )
        for row in table.to_dict("records")
    ]


def show(table: pd.DataFrame, console: Console, markdown: bool = False) -> None:
    """Print the rows and the counts, as a table for a terminal or for a Markdown page."""
    if markdown:
        for line in (COLUMNS, ("---",) * len(COLUMNS), *rows(table)):
            console.out(f"| {' | '.join(line)} |", highlight=False)
        console.out("")
    else:
        view = Table(title="published, reproduced and corrected", box=box.SIMPLE, padding=(0, 1, 0, 0), pad_edge=False)
        for number, name in enumerate(COLUMNS):
            view.add_column(name, justify="right" if number >= 2 else "left", no_wrap=True)
        for row in rows(table):
            view.add_row(*row)
        console.print(view)
    for metric, count in met(table).items():
        console.print(f"{metric}: {count} of {len(table)} rows within {LIMIT:g} standard errors", highlight=False)


def main() -> None:
    """Run the comparison of a sweep's folder."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example: python -m experiments.paper.compare_vector runs/paper",
    )
    parser.add_argument("folder", type=Path, help="folder of a finished sweep of experiments/configs/paper_sweep.yaml")
    parser.add_argument("--markdown", action="store_true", help="print the table for a Markdown page")
    arguments = parser.parse_args()
    folder = arguments.folder
    try:
        table = compare(read_points(folder), published())
    except InputError as error:
        print(f"compare_vector: {error}", file=sys.stderr)
        sys.exit(2)
    show(table, Console(width=120), arguments.markdown)
    sys.exit(0 if min(met(table).values()) >= WANTED else 1)


if __name__ == "__main__":
    main()
