"""Figures of a sweep: how well points agree with Shapley values, and what else moves with it."""

from __future__ import annotations

from itertools import chain
from textwrap import wrap
from typing import Any, Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from crowd_sim.report.facets import Axis, facets
from crowd_sim.report.labels import field_words, plain, value_words, with_note
from crowd_sim.report.layout import GROUPING, SCORE, Layout, averaged, comparable, levels, plan, varies, where
from crowd_sim.report.measures import DISTANCE, Measure
from crowd_sim.report.run_figures import draw_cloud, leave_room, pool
from crowd_sim.report.style import (
    COLUMN_WIDTH,
    INK,
    MUTED,
    RULE,
    colours,
    drawable,
    marker,
    new_figure,
    say,
    styled,
)
from crowd_sim.report.tables import swept_fields

# The solid line is the measurement, the dashed one what the paper's estimator makes of it.
_Dash = Literal["-"] | tuple[float, tuple[float, float]]
_ESTIMATES: tuple[tuple[str, _Dash, str], ...] = (
    ("pearson_accurate", "-", "accurate values"),
    ("pearson_kernel_shap", (0, (3, 2)), "Kernel SHAP"),
)
_ASIDE = 0.015
"""Of an axis' length, by which marks at one place are moved apart."""

_MOST_LABELS, _LONGEST = 8, 24
"""Dots of which each has a label, and its characters."""


@styled
def correlation_by_n(points: pd.DataFrame) -> Figure:
    """Pearson correlation of points with Shapley values by n, one line per K, rows by grouping, columns by score.

    Solid lines: accurate values; dashed: Kernel SHAP; bars: one standard error. Which fields take which part when the
    sweep is another one: `crowd_sim.report.layout.plan`. What was swept besides is averaged over, as a note says.

    Args:
        points: the table ``points.parquet``.
    """
    layout = plan(points)
    figure, grid = facets(points, layout)
    tables = {metric: averaged(points, layout, metric) for metric, _, _ in _ESTIMATES}
    axis = Axis(points, layout.x)
    for row, row_value in enumerate(levels(points, layout.rows)):
        for column, column_value in enumerate(levels(points, layout.columns)):
            here = {
                metric: where(where(table, layout.rows, row_value), layout.columns, column_value)
                for metric, table in tables.items()
            }
            _draw_lines(grid[row, column], here, levels(points, layout.lines), layout.lines, axis)
    axis.finish(grid)
    _limit_to_correlations(grid, tables)
    figure.supxlabel(with_note(field_words(layout.x) if layout.x else "", layout.averaged))
    figure.supylabel(f"Pearson correlation of points{' ' if len(grid) > 1 else chr(10)}with Shapley values")
    _legend(figure, points, layout.lines, joined=axis.numeric)
    return figure


@styled
def correlation_against_distance(points: pd.DataFrame, measure: Measure = DISTANCE) -> Figure:
    """Pearson correlation with accurate values against what the task measures in the end, one dot per point of the sweep.

    Colour: grouping; marker: score. Up to eight points are labelled with their other settings. Points without both numbers
    are left out and counted in the panel.

    Args:
        points: the table ``points.parquet``.
        measure: of the task; the final distance of vectors and of imitated texts.
    """
    words = "Final distance to target, ‖model − target‖₂" if measure is DISTANCE else measure.axis.replace("\n", ", ")
    figure = new_figure(COLUMN_WIDTH, 3.3)
    axes = figure.subplots()
    axes.set(
        xlabel=words,
        ylabel="Pearson correlation of points\nwith accurate Shapley values",
    )
    names = [field for field in (GROUPING, SCORE) if varies(points, field)]
    frame = comparable(points[names]).assign(
        distance=points.get(f"{measure.metric}_mean", np.nan), correlation=points.get("pearson_accurate_mean", np.nan)
    )
    drawn = frame.dropna(subset=["distance", "correlation"])
    if drawn.empty:
        say(
            axes,
            f"no point has both {'a final distance' if measure is DISTANCE else measure.words.lower()} and\n"
            "a correlation with accurate values",
        )
        return figure
    grouping, score = (field if field in names else None for field in (GROUPING, SCORE))
    palette = colours(len(levels(frame, grouping)))
    for colour, group in zip(palette, levels(frame, grouping), strict=True):
        for index, name in enumerate(levels(frame, score)):
            part = where(where(drawn, grouping, group), score, name)
            style: dict[str, Any] = {"marker": marker(index), "color": colour}
            axes.scatter(part["distance"], part["correlation"], s=16, alpha=0.75, linewidths=0, **style)
    others = [field for field in swept_fields(points) if varies(points, field) and field not in names]
    if others and len(drawn) <= _MOST_LABELS:
        _label(axes, drawn, points.loc[drawn.index, others])
        said = f"labels: {', '.join(map(field_words, others))}"
        axes.set_xlabel("\n".join([axes.get_xlabel(), *wrap(drawable(said), 48)]))
    if len(drawn) < len(frame):
        note = f"{len(frame) - len(drawn)} of {len(frame)} points undefined"
        axes.text(0.98, 0.02, note, transform=axes.transAxes, ha="right", color=MUTED)
    if drawn["correlation"].min() < 0:
        axes.axhline(0, color=RULE, linewidth=0.9, zorder=1)
    # One kind of mark per legend entry, so that colour and shape are read apart.
    groups = [
        Line2D([], [], color=colour, marker="o", linestyle="", label=drawable(value_words(value)))
        for colour, value in zip(palette, levels(frame, grouping), strict=True)
        if value is not None
    ]
    scores = [
        Line2D([], [], color=MUTED, marker=marker(index), linestyle="", label=drawable(value_words(value)))
        for index, value in enumerate(levels(frame, score))
        if value is not None
    ]
    # matplotlib fills a legend by columns: the shorter list is padded, which keeps each kind in its own.
    height = max(len(groups), len(scores))
    blank = Line2D([], [], linestyle="", label=" ")
    parts = [[*part, *[blank] * (height - len(part))] for part in (groups, scores) if part]
    if parts:
        figure.legend(handles=list(chain(*parts)), loc="outside upper center", ncols=len(parts), handletextpad=0.3)
    return figure


def _label(axes: Axes, drawn: pd.DataFrame, settings: pd.DataFrame) -> None:
    """Write beside each dot its settings; dots at one place share a label."""
    middle = (drawn["distance"].min() + drawn["distance"].max()) / 2
    words = settings.apply(lambda row: ", ".join(value_words(value) for value in row), axis=1)
    for (x, y), own in words.groupby([drawn["distance"], drawn["correlation"]], sort=False):
        right = x > middle
        axes.annotate(
            "\n".join(drawable(plain(word, _LONGEST)) for word in own),
            (x, y),
            xytext=(-5 if right else 5, 0),
            textcoords="offset points",
            ha="right" if right else "left",
            va="center",
            color=MUTED,
        )


@styled
def points_by_combination(sample: pd.DataFrame) -> Figure:
    """Points against accurate Shapley values, one panel per grouping and score.

    A panel pools the sampled runs of its combination (all n, all K), each standardised within itself.

    Args:
        sample: ``workers_sample.parquet``: the columns of ``workers.parquet`` and the swept fields.
    """
    fields = swept_fields(sample)
    frame = sample.assign(**comparable(sample[fields]))
    rows, columns = ((name if varies(frame, name) else None) for name in (GROUPING, SCORE))
    layout = Layout(x=None, lines=None, rows=rows, columns=columns, averaged=())
    figure, grid = facets(frame, layout)
    for row, row_value in enumerate(levels(frame, rows)):
        for column, column_value in enumerate(levels(frame, columns)):
            here = where(where(frame, rows, row_value), columns, column_value)
            if here.empty:
                say(grid[row, column], "no run")
                continue
            draw_cloud(grid[row, column], pool(here, [*fields, "run"], standardise=True), brief=True)
    leave_room(grid[0, 0], 0.15)
    grid[0, 0].xaxis.set_major_locator(
        MaxNLocator(nbins=5, integer=True)
    )  # as many whatever the width: room is kept for them
    figure.supxlabel("Accurate Shapley value (standardised within run)")
    figure.supylabel("Points (standardised within run)")
    return figure


def _draw_lines(axes: Axes, tables: dict[str, pd.DataFrame], lines: list[Any], field: str | None, axis: Axis) -> None:
    notes = []
    for estimate, (metric, dash, name) in enumerate(_ESTIMATES):
        if tables[metric].empty:
            notes.append(name)
            continue
        for index, (colour, line) in enumerate(zip(colours(len(lines)), lines, strict=True)):
            part = where(tables[metric], field, line)
            if axis.field is not None:
                part = part.sort_values(
                    axis.field, key=lambda column: pd.Series(axis.positions(column, 0.0)).to_numpy()
                )
            place = index * len(_ESTIMATES) + estimate - (len(lines) * len(_ESTIMATES) - 1) / 2
            x = axis.positions(part[axis.field], _ASIDE * place) if axis.field else [_ASIDE * place]
            dots: dict[str, Any] = {"marker": marker(index), "markerfacecolor": colour if dash == "-" else "white"}
            bars: dict[str, Any] = {"elinewidth": 0.8, "capsize": 0}
            joined = dash if axis.numeric else "none"  # between categories there is nothing to join
            axes.errorbar(x, part["mean"], yerr=part["se"], color=colour, linestyle=joined, **dots, **bars)
    if len(notes) == len(_ESTIMATES):
        say(axes, "no correlation:\nundefined or\nnot computed")
    elif notes:
        axes.text(0.97, 0.03, f"{notes[0]}: none", transform=axes.transAxes, ha="right", color=MUTED)


def _limit_to_correlations(grid: NDArray[Any], tables: dict[str, pd.DataFrame]) -> None:
    ends = [(table["mean"] - table["se"].fillna(0)).min() for table in tables.values() if not table.empty]
    lowest = min([0.0, *ends])
    grid[0, 0].set_ylim(lowest - (0.05 if lowest < 0 else 0.0), 1.0)
    if lowest < 0:
        for axes in grid.flat:
            axes.axhline(0, color=RULE, linewidth=0.9, zorder=1)


def _legend(figure: Figure, points: pd.DataFrame, field: str | None, *, joined: bool) -> None:
    values = levels(points, field)
    entries = [
        Line2D([], [], color=colour, marker=marker(index), label=f"K = {value_words(value)}")
        for index, (colour, value) in enumerate(zip(colours(len(values)), values, strict=True))
        if value is not None
    ]
    plain = INK if field else colours(1)[0]
    for metric, dash, name in _ESTIMATES:
        if points.get(f"{metric}_mean", pd.Series(dtype=float)).notna().any():
            face = plain if dash == "-" else "white"
            style: dict[str, Any] = {"marker": "o", "markerfacecolor": face, "linestyle": dash if joined else "none"}
            entries.append(Line2D([], [], color=plain, label=name, **style))
    wide = figure.get_figwidth() > COLUMN_WIDTH
    if entries:
        columns = len(entries) if wide and len(entries) <= 7 else 4 if wide else 2
        figure.legend(handles=entries, loc="outside upper center", ncols=columns, columnspacing=1.4)
