"""Figures of a search: its history, what every field matters, and the metric by each field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from pandas.api.types import is_integer_dtype

from crowd_sim.report.labels import METRIC_HEADS, field_words, value_words
from crowd_sim.report.style import (
    COLUMN_WIDTH,
    MUTED,
    PAGE_WIDTH,
    PALETTE,
    drawable,
    new_figure,
    say,
    styled,
)
from crowd_sim.report.tables import is_numeric

_PER_ROW = 3
_MOST_PANELS = 12
_MOST_LEVELS = 12


@styled
def search_history(trials: pd.DataFrame, metric: str, direction: str, own: float | None) -> Figure:
    """The metric of every trial in their order, and the best so far.

    Args:
        trials: the columns ``trial``, ``state`` and ``value`` of ``trials.parquet``.
        metric: its name.
        direction: minimize or maximize.
        own: what the configuration's own setting came to, if that was tried.
    """
    figure = new_figure(COLUMN_WIDTH, 2.8)
    axes = figure.subplots()
    axes.set(xlabel="Trial", ylabel=_words(metric))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    done = trials[trials["state"] == "complete"]
    _dots(axes, trials, "trial")
    best = np.minimum.accumulate if direction == "minimize" else np.maximum.accumulate
    axes.step(done["trial"], best(done["value"].to_numpy()), where="post", color=PALETTE[1], label="best so far")
    if own is not None:
        axes.axhline(own, color=MUTED, linestyle=(0, (4, 3)), linewidth=0.9, label="the configuration's own")
    figure.legend(loc="outside upper center", ncols=2)
    return figure


@styled
def search_importance(importance: Mapping[str, float]) -> Figure:
    """A bar per field: its share of the metric's variance, the most important on top."""
    figure = new_figure(COLUMN_WIDTH, max(1.4, 0.6 + 0.28 * len(importance)))
    axes = figure.subplots()
    figure.supxlabel("Share of the metric's variance (fANOVA)")
    if not importance:
        say(axes, "not known: too few trials")
        return figure
    names = [drawable(field_words(field)) for field in importance]
    axes.barh(names, list(importance.values()), color=PALETTE[0], height=0.6)
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.grid(visible=False, axis="y")
    return figure


@styled
def search_by_field(trials: pd.DataFrame, fields: Sequence[str], metric: str, logs: Sequence[str]) -> Figure:
    """A panel per field: the metric of every trial by its value there.

    Args:
        trials: the table ``trials.parquet``.
        fields: of the space; of many the first are shown.
        metric: its name.
        logs: fields whose ranges are logarithmic.
    """
    shown = list(fields)[:_MOST_PANELS]
    columns = min(len(shown), _PER_ROW)
    rows = -(-len(shown) // columns)
    figure = new_figure(min(PAGE_WIDTH, 2.6 * columns + 0.6), 2.2 * rows + 0.3)
    grid = figure.subplots(rows, columns, squeeze=False, sharey=True)
    for axes, field in zip(grid.flat, shown, strict=False):
        axes.set_xlabel(drawable(field_words(field)))
        if is_numeric(trials[field]):
            _dots(axes, trials, field)
            if is_integer_dtype(trials[field]):
                axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
            if field in logs:
                axes.set_xscale("log")
        else:
            _categories(axes, trials, field)
    for axes in grid.flat[len(shown) :]:
        axes.set_axis_off()
    figure.supylabel(_words(metric))
    return figure


def _dots(axes: Axes, trials: pd.DataFrame, x: str) -> None:
    for state, label, filled in (("complete", "complete", True), ("pruned", "ended early", False)):
        some = trials[trials["state"] == state]
        if len(some):
            face = PALETTE[0] if filled else "none"
            axes.plot(some[x], some["value"], "o", color=PALETTE[0], markerfacecolor=face, alpha=0.8, label=label)


def _categories(axes: Axes, trials: pd.DataFrame, field: str) -> None:
    levels = list(dict.fromkeys(trials[field].map(str)))[:_MOST_LEVELS]
    place = {level: i for i, level in enumerate(levels)}
    known = trials[trials[field].map(str).isin(levels)]
    _dots(axes, known.assign(**{field: known[field].map(str).map(place)}), field)
    words = [drawable(value_words(level)) for level in levels]
    axes.set_xticks(range(len(levels)), words, rotation=30 if len("".join(words)) > 24 else 0, ha="center")
    axes.set_xlim(-0.5, len(levels) - 0.5)


def _words(metric: str) -> str:
    return drawable(METRIC_HEADS.get(metric, metric))


def draw(trials: pd.DataFrame, told: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, Figure]:
    """All figures of a search, by name.

    Args:
        trials: the table ``trials.parquet``.
        told: its summary.
        fields: of the space, with what they may be.
    """
    own = (told.get("own") or {}).get("value")
    logs = [field for field, axis in fields.items() if isinstance(axis, dict) and axis.get("log")]
    return {
        "search_history": search_history(trials, told["metric"], told["direction"], own),
        "search_importance": search_importance(told.get("importance") or {}),
        "search_by_field": search_by_field(trials, list(fields), told["metric"], logs),
    }
