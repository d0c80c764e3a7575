"""The bar chart over emotions."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from crowd_sim.report.style import INK, PAGE_WIDTH, PALETTE, RULE, new_figure, styled
from experiments.paper.llm_folder import EQUAL, LARGEST, OWN


@styled
def bars_by_emotion(table: pd.DataFrame, best: str) -> Figure:
    """Distances of single models and tournament, and below them how much nearer the tournament came, by emotion.

    Emotions in falling order of the reduction against the single model of 100 examples. Thin lines: one standard error over
    seeds; open diamonds: the paper's reduction.

    Args:
        table: of `experiments.paper.llm_table.by_emotion`.
        best: the variant that is drawn.
    """
    table = table.sort_values(f"{best}_{LARGEST}", ascending=False, kind="stable", ignore_index=True)
    figure = new_figure(PAGE_WIDTH, 4.6)
    upper, lower = figure.subplots(2, 1, sharex=True)
    name = "tournament" if best == "tournament" else f"tournament, {best}"
    own = EQUAL in OWN.get(best, ())
    equal = f"{EQUAL}_of_{best}" if own else EQUAL
    # a model of other steps than the one beside it must not pass for its like
    equal_words = f"equal tokens, in steps of {best}" if own else "equal tokens"
    distances = {
        LARGEST: ("single, 100 examples", RULE),
        equal: (f"single, {equal_words}", PALETTE[4]),
        best: (name, PALETTE[0]),
    }
    reductions = {
        f"{best}_{LARGEST}": ("against 100 examples", PALETTE[0]),
        f"{best}_{EQUAL}": (f"against {equal_words}", PALETTE[5]),
    }
    place = np.arange(len(table))
    for axes, columns in ((upper, distances), (lower, reductions)):
        width = 0.8 / len(columns)
        for number, (column, (label, colour)) in enumerate(columns.items()):
            at = place + (number - (len(columns) - 1) / 2) * width
            bars = {"color": colour, "label": label, "linewidth": 0}
            axes.bar(at, table[column], width, **bars)
            error = table[f"{column}_se"].fillna(0.0)
            axes.errorbar(at, table[column], yerr=error, fmt="none", ecolor=INK, elinewidth=0.7)
        axes.grid(visible=False, axis="x")
    lower.axhline(0, color=INK, linewidth=0.6)
    paper = {"linestyle": "", "marker": "D", "markersize": 3.5, "markerfacecolor": "white", "markeredgecolor": INK}
    lower.plot(place - 0.2, table["published_reduction"], label="the paper's, 100 examples", **paper)
    upper.set_ylabel("Distance to the target")
    lower.set_ylabel("Reduction (%)")
    slanted = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"}
    lower.set_xticks(place, table["emotion"].astype(str), parse_math=False, **slanted)
    lower.tick_params(axis="x", length=0)
    upper.tick_params(axis="x", length=0)
    lower.set_xlim(-0.6, len(table) - 0.4)
    for axes in (upper, lower):
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, borderaxespad=0.2, columnspacing=1.4)
    return figure
