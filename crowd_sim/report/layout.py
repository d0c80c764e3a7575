"""What a sweep's figure shows where: which swept field is the axis, which the lines, which the rows and columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from crowd_sim.report.tables import is_numeric, ordered, swept_fields

N_WORKERS, N_GROUPS = "crowd.n_workers", "tournament.n_groups"
GROUPING, SCORE = "tournament.grouping", "tournament.score"


@dataclass(frozen=True)
class Layout:
    """Fields by their role; ``None`` where the sweep has none for it.

    Attributes:
        x: the horizontal axis: n if swept, otherwise the first numeric field, otherwise any field.
        lines: K if swept and not already the axis.
        rows: the grouping, and ``columns``: the score, where swept.
        averaged: swept fields without a role, over which points are averaged.
    """

    x: str | None
    lines: str | None
    rows: str | None
    columns: str | None
    averaged: tuple[str, ...]

    @property
    def shown(self) -> list[str]:
        """The fields that tell the drawn points apart."""
        return [field for field in (self.x, self.lines, self.rows, self.columns) if field is not None]


def plan(points: pd.DataFrame) -> Layout:
    """Give every field with more than one value in ``points`` its role."""
    varying = [field for field in swept_fields(points) if varies(points, field)]
    varying.sort(key=lambda field: field == "seed")  # no setting: averaged over, where there is any other
    numeric = [field for field in varying if is_numeric(points[field])]
    # K last: it has a role of its own, as the lines.
    preferred = sorted(numeric, key=lambda field: (field != N_WORKERS, field == N_GROUPS))
    x = next(iter([*(field for field in preferred if field != "seed"), *varying]), None)
    free = [field for field in varying if field != x]
    roles = {field: field if field in free else None for field in (N_GROUPS, GROUPING, SCORE)}
    averaged = tuple(field for field in free if field not in roles)
    return Layout(x, roles[N_GROUPS], roles[GROUPING], roles[SCORE], averaged)


def varies(table: pd.DataFrame, field: str) -> bool:
    """Whether ``field`` is a column of ``table`` with more than one value."""
    return field in table.columns and len(table[field].map(str).unique()) > 1


def averaged(points: pd.DataFrame, layout: Layout, metric: str) -> pd.DataFrame:
    """The metric by the fields shown: those columns, ``mean`` and ``se``; undefined points are left out.

    Where several points fall together, ``mean`` is their plain mean and ``se`` its standard error, taking the points
    as independent.
    """
    frame = comparable(points[layout.shown])
    frame["mean"] = points.get(f"{metric}_mean", np.nan)
    frame["variance"] = points.get(f"{metric}_se", pd.Series(np.nan, points.index)) ** 2
    frame = frame.dropna(subset=["mean"])
    if not layout.shown:
        frame["all"] = ""
    grouped = frame.groupby(layout.shown or ["all"], sort=False, dropna=False)
    result = grouped["mean"].mean().to_frame()
    result["se"] = np.sqrt(grouped["variance"].sum(min_count=1)) / grouped["mean"].count()
    return result.reset_index()


def comparable(fields: pd.DataFrame) -> pd.DataFrame:
    """A copy in which every column is numeric or text, so that lists and truth values can be grouped, too."""
    return pd.DataFrame({name: column if is_numeric(column) else column.map(str) for name, column in fields.items()})


def levels(points: pd.DataFrame, field: str | None) -> list[Any]:
    """The values of a field in the order in which they are shown; ``[None]`` for a role without field."""
    return [None] if field is None else ordered(comparable(points[[field]])[field])


def where(table: pd.DataFrame, field: str | None, value: Any) -> pd.DataFrame:
    """The rows in which ``field`` is ``value``; all of them for a role without field."""
    return table if field is None else table[table[field] == value]
