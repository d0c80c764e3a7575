"""The figure of a sweep in which nobody was valued: how good the models are in the end."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from crowd_sim.report.layout import plan
from crowd_sim.report.measures import DISTANCE, OF_CHOICES, Measure
from crowd_sim.report.panels import panels
from crowd_sim.report.style import styled


def has_correlations(points: pd.DataFrame) -> bool:
    """Whether any point of a sweep knows how its workers' points agree with values."""
    return any(
        f"pearson_{estimate}_mean" in points and points[f"pearson_{estimate}_mean"].notna().any()
        for estimate in ("accurate", "kernel_shap")
    )


def measure_in(points: pd.DataFrame) -> Measure:
    """The measure that a sweep's table holds."""
    return next((measure for measure in OF_CHOICES.values() if f"{measure.metric}_mean" in points), DISTANCE)


@styled
def measure_by_field(points: pd.DataFrame, measure: Measure) -> Figure:
    """What the task measures after the last round by the swept fields, which have the places of `correlation_by_n`'s.

    Args:
        points: the table ``points.parquet``.
        measure: of the task.
    """
    return panels(points, plan(points), measure.metric, measure.axis)
