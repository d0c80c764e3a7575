"""The figure of a sweep of attacks: what shares of bad workers cost, by defence."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from crowd_sim.report.layout import Layout, levels, varies
from crowd_sim.report.panels import panels
from crowd_sim.report.style import styled
from crowd_sim.report.tables import swept_fields

SHARE, BEHAVIOUR = "crowd.bad.share", "crowd.bad.behaviour"
_MOST = 7


def sweeps_attacks(points: pd.DataFrame) -> bool:
    """Whether a sweep has several shares of bad workers."""
    return varies(points, SHARE)


@styled
def distance_by_share(points: pd.DataFrame) -> Figure:
    """Final distance by the share of bad workers: a panel per behaviour, a line per value of the first further field,
    a row of panels per value of the second; what was swept besides is averaged over, as a note says.

    Args:
        points: the table ``points.parquet`` of a sweep that `sweeps_attacks`.
    """
    free = [field for field in swept_fields(points) if varies(points, field) and field != SHARE]
    few = [field for field in free if len(levels(points, field)) <= _MOST]
    columns = BEHAVIOUR if BEHAVIOUR in few else None
    lines = next((field for field in few if field != columns), None)
    rows = next((field for field in few if field not in (columns, lines)), None)
    rest = tuple(field for field in free if field not in (columns, lines, rows))
    return panels(points, Layout(SHARE, lines, rows, columns, rest), "final_distance", "Final distance to target")
