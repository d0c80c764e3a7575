"""Figures of a sweep with payment: what the bad earn, and what accounts of one person do."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from crowd_sim.report.facets import Axis, facets
from crowd_sim.report.labels import field_words, value_words
from crowd_sim.report.layout import Layout, averaged, levels, varies, where
from crowd_sim.report.style import MUTED, colours, marker, new_figure, say, styled
from crowd_sim.report.tables import swept_fields

METRICS = {
    "pay_per_head": "Pay per head of the bad, over the others'",
    "pay_sybil_gain": "Pay of a person with accounts",
}
_X = ("crowd.bad.identities", "crowd.bad.behaviour", "crowd.bad.share")
_COLUMNS = ("payment.identities", "crowd.bad.fresh")
_MOST_LINES = 7


def has(points: pd.DataFrame, metric: str) -> bool:
    """Whether a sweep knows it."""
    return f"{metric}_mean" in points and bool(points[f"{metric}_mean"].notna().any())


@styled
def pay_by_field(points: pd.DataFrame, metric: str) -> Figure:
    """A metric of `METRICS` by identities, behaviour or share of the bad, a line per further field, with standard errors.

    Args:
        points: the table ``points.parquet``.
        metric: one that it `has`.
    """
    varying = [field for field in swept_fields(points) if varies(points, field)]
    x = next((field for field in (*_X, *varying) if field in varying), None)
    free = [field for field in varying if field != x]
    columns = next((field for field in _COLUMNS if field in free), None)
    free = [field for field in free if field != columns]
    lines = next((field for field in free if len(levels(points, field)) <= _MOST_LINES), None)
    layout = Layout(x, lines, None, columns, tuple(field for field in free if field != lines))
    table = averaged(points, layout, metric)
    axis = Axis(points, x)
    figure, grid = facets(points, layout) if x else (new_figure(3.5, 2.4), None)
    if grid is None:
        say(figure.subplots(), "nothing was swept")
        return figure
    values = levels(points, lines)
    for axes, column in zip(grid[0], levels(points, columns), strict=True):
        here = where(table, columns, column)
        for index, (colour, line) in enumerate(zip(colours(len(values)), values, strict=True)):
            part = where(here, lines, line)
            at = axis.positions(part[x], 0.015 * (index - (len(values) - 1) / 2))
            part = part.assign(at=at).sort_values("at")
            style = "-" if axis.numeric else "none"
            label = None if lines is None else value_words(line)
            axes.errorbar(
                part["at"],
                part["mean"],
                yerr=part["se"],
                color=colour,
                marker=marker(index),
                linestyle=style,
                label=label,
            )
        axes.axhline(1.0, color=MUTED, linewidth=0.6, linestyle="--")
        axes.set_ylim(bottom=0.0)
    axis.finish(grid)
    figure.supxlabel(field_words(x) if x else "")
    figure.supylabel(METRICS[metric])
    if lines is not None:
        figure.legend(
            *grid[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=4, title=field_words(lines)
        )
    return figure
