"""The grid of panels of a sweep's figures, and its horizontal axis."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from numpy.typing import NDArray

from crowd_sim.report.labels import field_words, value_words
from crowd_sim.report.layout import Layout, levels
from crowd_sim.report.style import COLUMN_WIDTH, PAGE_WIDTH, drawable, new_figure
from crowd_sim.report.tables import is_numeric

_MOST_NAMED = 4
"""Panels side by side that have room for more than a value."""


class Axis:
    """The horizontal axis of a facet grid: numbers where they stand, anything else evenly spaced."""

    def __init__(self, points: pd.DataFrame, field: str | None) -> None:
        self.field = field
        self.values = levels(points, field)
        self.numeric = field is not None and is_numeric(points[field])
        self.log = self.numeric and self.values[0] > 0 and self.values[-1] >= 50 * self.values[0]

    def positions(self, values: pd.Series, shift: float) -> NDArray[np.float64]:
        """Where ``values`` stand, moved by ``shift`` of the axis' length so that bars side by side stay apart."""
        if not self.numeric:
            places = {value: float(index) for index, value in enumerate(self.values)}
            return np.array([places[value] for value in values]) + shift * max(1, len(self.values) - 1)
        numbers = values.to_numpy(float)
        if self.log:
            return numbers * (self.values[-1] / self.values[0]) ** shift
        return numbers + shift * (self.values[-1] - self.values[0])

    def finish(self, grid: NDArray[Any]) -> None:
        """Put the ticks where the sweep's points are, or leave them to matplotlib when those are many."""
        for axes in grid.flat:
            if self.log:
                axes.set_xscale("log")
            if self.field is None:
                axes.set_xticks([])
            elif len(self.values) <= 8:
                places = self.values if self.numeric else range(len(self.values))
                # Names are longer than numbers: slanted, each ends at its tick.
                narrow = grid.shape[1] > _MOST_NAMED
                slant = (
                    {"rotation": 90 if narrow else 0}
                    if self.numeric
                    else {"rotation": 30, "ha": "right", "rotation_mode": "anchor"}
                )
                axes.set_xticks(list(places), [drawable(value_words(value)) for value in self.values], **slant)
                if not self.numeric:
                    axes.set_xlim(-0.5, len(self.values) - 0.5)
                axes.xaxis.set_minor_locator(NullLocator())


def facets(points: pd.DataFrame, layout: Layout) -> tuple[Figure, NDArray[Any]]:
    """A figure and its panels, object[rows, columns], on common axes; columns named above, rows on the right."""
    rows, columns = levels(points, layout.rows), levels(points, layout.columns)
    width = COLUMN_WIDTH if len(columns) == 1 else PAGE_WIDTH
    height = 1.0 + len(rows) * (2.1 if len(columns) <= 2 else 1.75)
    figure = new_figure(width, height)
    grid = figure.subplots(len(rows), len(columns), sharex=True, sharey=True, squeeze=False)
    if layout.columns:
        for axes, value in zip(grid[0], columns, strict=True):
            name = f"{field_words(layout.columns).lower()}: " if len(columns) <= _MOST_NAMED else ""
            axes.set_title(f"{name}{drawable(value_words(value))}")
    if layout.rows:
        for axes, value in zip(grid[:, -1], rows, strict=True):
            axes.annotate(
                f"{field_words(layout.rows).lower()}: {drawable(value_words(value))}",
                xy=(1.0, 0.5),
                xytext=(5, 0),
                xycoords="axes fraction",
                textcoords="offset points",
                rotation=-90,
                ha="left",
                va="center",
                fontsize=8.5,
            )
    return figure, grid
