"""The figures of a run's or a sweep's folder: drawn from its tables, written to ``figures/*.png``."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from crowd_sim.paths import is_file
from crowd_sim.report.attack_figure import distance_by_share, sweeps_attacks
from crowd_sim.report.detection_figure import detection, has_bad
from crowd_sim.report.llm_figures import (
    distance_by_model,
    first_order_against_values,
    scores_by_round,
    workers_in_a_row,
)
from crowd_sim.report.measure_figure import has_correlations, measure_by_field
from crowd_sim.report.measures import measure_of
from crowd_sim.report.pay_figures import METRICS as PAY_METRICS
from crowd_sim.report.pay_figures import has, pay_by_field
from crowd_sim.report.run_figures import by_round, distance_per_round, points_against_values
from crowd_sim.report.style import png, write_atomically
from crowd_sim.report.sweep_figures import correlation_against_distance, correlation_by_n, points_by_combination
from crowd_sim.report.tables import (
    CANDIDATES_COLUMNS,
    LLM_ROUNDS_COLUMNS,
    OUTPUTS_COLUMNS,
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
    "draw_choice_run",
    "draw_llm_run",
    "draw_run",
    "draw_sweep",
    "points_against_values",
    "points_by_combination",
]


def draw_run(folder: Path) -> list[Path]:
    """Draw ``distance_per_round.png`` of a run's folder and, unless nothing was valued, ``points_against_values.png``.

    Where workers are bad ``detection.png`` comes with them.

    The same tables give the same bytes, and a file is replaced as a whole or not at all.

    Returns:
        The files written, in the order in which a report shows them.

    Raises:
        InputError: if a file is missing or not what it should be; nothing is drawn then.
    """
    rounds = read_table(folder, "rounds.parquet", ROUNDS_COLUMNS)
    workers = read_table(folder, "workers.parquet", WORKERS_COLUMNS)
    _, config = read_config(folder)
    drawn = distance_per_round(rounds, convergence_distance(config))
    return _write(folder, {"distance_per_round": drawn, **_of_workers(workers)})


def draw_choice_run(folder: Path, floor: float) -> list[Path]:
    """Draw ``accuracy_per_round.png``, of `verify` ``reward_per_round.png``, and what `draw_run` draws beside the distance.

    Args:
        folder: of a run whose models are judged item by item.
        floor: what one who always says the same gets.

    Returns:
        The files written, in the order in which a report shows them.

    Raises:
        InputError: if a file is missing or not what it should be; nothing is drawn then.
    """
    rounds = read_table(folder, "rounds.parquet", ROUNDS_COLUMNS)
    workers = read_table(folder, "workers.parquet", WORKERS_COLUMNS)
    measure = measure_of(read_config(folder)[1])
    name = measure.metric.removesuffix("_after")
    return _write(
        folder, {f"{name}_per_round": by_round(rounds, measure, (floor, f"floor: {floor:.3g}")), **_of_workers(workers)}
    )


def _of_workers(workers: pd.DataFrame) -> dict[str, Figure]:
    found = {}
    if set(workers.columns) >= VALUE_COLUMNS:
        found["points_against_values"] = points_against_values(workers)
    if has_bad(workers):
        found["detection"] = detection(workers)
    return found


def draw_llm_run(folder: Path) -> list[Path]:
    """Draw ``distance_by_model.png``, ``scores_by_round.png`` and ``workers_in_a_row.png`` of an LLM run's folder.

    ``points_against_values.png`` and ``first_order_against_values.png`` come with them unless nothing was valued, and
    ``detection.png`` where workers are bad.

    Returns:
        The files written, in the order in which a report shows them.

    Raises:
        InputError: if a file is missing or not what it should be; nothing is drawn then.
    """
    outputs = read_table(folder, "outputs.parquet", OUTPUTS_COLUMNS)
    rounds = read_table(folder, "rounds.parquet", LLM_ROUNDS_COLUMNS)
    candidates = read_table(folder, "candidates.parquet", CANDIDATES_COLUMNS)
    workers = read_table(folder, "workers.parquet", WORKERS_COLUMNS)
    figures = {
        "distance_by_model": distance_by_model(outputs),
        "scores_by_round": scores_by_round(rounds, candidates),
        "workers_in_a_row": workers_in_a_row(workers),
    }
    if set(workers.columns) >= VALUE_COLUMNS:
        figures["points_against_values"] = points_against_values(workers)
        if "first_order" in workers.columns:
            figures["first_order_against_values"] = first_order_against_values(workers)
    if has_bad(workers):
        figures["detection"] = detection(workers)
    return _write(folder, figures)


def draw_sweep(folder: Path) -> list[Path]:
    """Draw ``correlation_by_n.png`` and ``correlation_against_distance.png`` of a sweep's folder, or ``measure_by_field.png``
    where nobody was valued.

    ``points_by_combination.png`` comes with them where the folder has a ``workers_sample.parquet`` with values, of sweeps
    of shares of bad workers ``distance_by_share.png``, and of sweeps with payment ``pay_per_head.png`` where workers are bad,
    ``pay_sybil_gain.png`` where some have several accounts.

    Returns:
        The files written, in the order in which a report shows them.

    Raises:
        InputError: if a file is missing or not what it should be; nothing is drawn then.
    """
    points, measure = read_points(folder), measure_of(read_config(folder)[1])
    figures = {}
    if has_correlations(points):
        figures["correlation_by_n"] = correlation_by_n(points)
        figures["correlation_against_distance"] = correlation_against_distance(points, measure)
    else:
        figures["measure_by_field"] = measure_by_field(points, measure)
    if sweeps_attacks(points):
        figures["distance_by_share"] = distance_by_share(points)
    figures |= {metric: pay_by_field(points, metric) for metric in PAY_METRICS if has(points, metric)}
    if is_file(folder / "workers_sample.parquet"):
        sample = read_table(folder, "workers_sample.parquet", WORKERS_COLUMNS)
        if set(sample.columns) >= VALUE_COLUMNS:
            figures["points_by_combination"] = points_by_combination(sample)
    return _write(folder, figures)


def _write(folder: Path, figures: dict[str, Figure]) -> list[Path]:
    return [write_atomically(folder / "figures" / f"{name}.png", png(figure)) for name, figure in figures.items()]
