"""Figures of a sweep with payment: what the bad earn, and what accounts of one person do."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from crowd_sim.report.layout import Layout, levels, varies
from crowd_sim.report.panels import panels
from crowd_sim.report.style import styled
from crowd_sim.report.tables import swept_fields

METRICS = {
    "pay_per_head": "Pay per head of the bad, over the others'",
    "pay_sybil_gain": "Pay of a person with accounts",
}
_X = ("crowd.bad.identities", "crowd.bad.behaviour", "crowd.bad.share", "crowd.bad.jitter")
_COLUMNS = ("payment.identities", "crowd.bad.fresh")
_MOST_LINES = 7


def has(points: pd.DataFrame, metric: str) -> bool:
    """Whether a sweep knows it."""
    return f"{metric}_mean" in points and bool(points[f"{metric}_mean"].notna().any())


@styled
def pay_by_field(points: pd.DataFrame, metric: str) -> Figure:
    """A metric of `METRICS` by identities, behaviour or share of the bad, a line per further field, with standard errors;
    a row of panels per value of another; what was swept besides is averaged over, as a note says.

    Args:
        points: the table ``points.parquet``.
        metric: one that it `has`.
    """
    varying = [field for field in swept_fields(points) if varies(points, field)]
    x = next((field for field in (*_X, *varying) if field in varying), None)
    free = [field for field in varying if field != x]
    columns = next((field for field in _COLUMNS if field in free), None)
    free = [field for field in free if field != columns]
    few = [field for field in free if len(levels(points, field)) <= _MOST_LINES]
    lines = next((field for field in few if field not in _COLUMNS), next(iter(few), None))
    rows = next((field for field in few if field != lines), None)
    layout = Layout(x, lines, rows, columns, tuple(field for field in free if field not in (lines, rows)))
    return panels(points, layout, metric, METRICS[metric], even=1.0)
