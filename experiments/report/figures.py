"""The figures of a run's or a sweep's folder: drawn from its tables, written to ``figures/*.png``."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from experiments.report.run_figures import distance_per_round, points_against_values
from experiments.report.style import png, write_atomically
from experiments.report.sweep_figures import correlation_against_distance, correlation_by_n, points_by_combination
from experiments.report.tables import (
    ROUNDS_COLUMNS,
    VALUE_COLUMNS,
    WORKERS_COLUMNS,
    convergence_distance,
    read_config,
    read_points,
    read_table,
)

__all__ = [
    "correlation_against_distance",
    "correlation_by_n",
    "distance_per_round",
    "draw_run",
    "draw_sweep",
    "points_against_values",
    "points_by_combination",
]


def draw_run(folder: Path) -> list[Path]:
    """Draw ``distance_per_round.png`` of a run's folder and, unless nothing was valued, ``points_against_values.png``.

    The same tables give the same bytes, and a file is replaced as a whole or not at all.

    Returns:
        The files written, in the order in which a report shows them.

    Raises:
        InputError: if a file is missing or not what it should be; nothing is drawn then.
    """
    rounds = read_table(folder, "rounds.parquet", ROUNDS_COLUMNS)
    workers = read_table(folder, "workers.parquet", WORKERS_COLUMNS)
    _, config = read_config(folder)
    figures = {"distance_per_round": distance_per_round(rounds, convergence_distance(config))}
    if set(workers.columns) >= VALUE_COLUMNS:
        figures["points_against_values"] = points_against_values(workers)
    return _write(folder, figures)


def draw_sweep(folder: Path) -> list[Path]:
    """Draw ``correlation_by_n.png`` and ``correlation_against_distance.png`` of a sweep's folder.

    ``points_by_combination.png`` comes with them where the folder has a ``workers_sample.parquet`` with values.

    Returns:
        The files written, in the order in which a report shows them.

    Raises:
        InputError: if a file is missing or not what it should be; nothing is drawn then.
    """
    points = read_points(folder)
    figures = {
        "correlation_by_n": correlation_by_n(points),
        "correlation_against_distance": correlation_against_distance(points),
    }
    if (folder / "workers_sample.parquet").is_file():
        sample = read_table(folder, "workers_sample.parquet", WORKERS_COLUMNS)
        if set(sample.columns) >= VALUE_COLUMNS:
            figures["points_by_combination"] = points_by_combination(sample)
    return _write(folder, figures)


def _write(folder: Path, figures: dict[str, Figure]) -> list[Path]:
    return [write_atomically(folder / "figures" / f"{name}.png", png(figure)) for name, figure in figures.items()]
