"""A metric of a sweep by one field, a line per value of another, panels by a third and a fourth."""

from __future__ import annotations

from itertools import product

import pandas as pd
from matplotlib.figure import Figure

from crowd_sim.report.facets import Axis, facets
from crowd_sim.report.labels import field_words, value_words, with_note
from crowd_sim.report.layout import Layout, averaged, levels, where
from crowd_sim.report.style import MUTED, colours, drawable, marker, new_figure, say


def panels(points: pd.DataFrame, layout: Layout, metric: str, label: str, even: float | None = None) -> Figure:
    """The figure, in the style that is set; bars are one standard error.

    Args:
        points: the table ``points.parquet``.
        layout: which field is what.
        metric: that is drawn.
        label: what it is called.
        even: where a dashed line says that nothing is gained or lost.
    """
    table = averaged(points, layout, metric)
    axis, x, lines = Axis(points, layout.x), layout.x, layout.lines
    figure, grid = facets(points, layout) if x else (new_figure(3.5, 2.4), None)
    if grid is None:
        say(figure.subplots(), "nothing was swept")
        return figure
    values = levels(points, lines)
    places = product(levels(points, layout.rows), levels(points, layout.columns))
    for axes, (row, column) in zip(grid.flat, places, strict=True):
        here = where(where(table, layout.rows, row), layout.columns, column)
        for index, (colour, line) in enumerate(zip(colours(len(values)), values, strict=True)):
            part = where(here, lines, line)
            at = axis.positions(part[x], 0.015 * (index - (len(values) - 1) / 2))
            part = part.assign(at=at).sort_values("at")
            style = "-" if axis.numeric else "none"
            name = None if lines is None else drawable(value_words(line))
            axes.errorbar(
                part["at"],
                part["mean"],
                yerr=part["se"],
                color=colour,
                marker=marker(index),
                linestyle=style,
                label=name,
            )
        if even is not None:
            axes.axhline(even, color=MUTED, linewidth=0.6, linestyle="--")
    grid[0, 0].set_ylim(bottom=0.0)  # of all panels, and of all that is drawn
    axis.finish(grid)
    figure.supxlabel(with_note(field_words(x) if x else "", layout.averaged))
    figure.supylabel(label)
    if lines is not None:
        figure.legend(
            *grid[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=4, title=field_words(lines)
        )
    return figure
