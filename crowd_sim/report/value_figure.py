"""The figure of `crowd-sim value`: every worker's value with its interval."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from crowd_sim.report.style import COLUMN_WIDTH, MUTED, PALETTE, drawable, new_figure, styled

_MOST_NAMES = 40
"""Workers that can be named along the axis at a readable size."""


@styled
def values_with_errors(table: pd.DataFrame) -> Figure:
    """Values in falling order with 95 % intervals.

    Args:
        table: the columns ``worker``, ``value``, ``lower`` and ``upper``, best worker first; intervals may be NaN.
    """
    n = len(table)
    named = n <= _MOST_NAMES
    figure = new_figure(COLUMN_WIDTH * 2, 3.0)
    axes = figure.subplots()
    place = np.arange(1, n + 1)
    value = table["value"].to_numpy(float)
    spread = np.nan_to_num(np.abs(table[["lower", "upper"]].to_numpy(float).T - value))
    axes.errorbar(place, value, yerr=spread, fmt="o", markersize=3 if named else 2, color=PALETTE[0], elinewidth=0.8)
    axes.axhline(0, color=MUTED, linewidth=0.6, linestyle="--")
    axes.set_title(f"Shapley values of {n:,} workers, 95 % intervals")
    axes.set_ylabel("Shapley value (units of the score)")
    if named:
        names = [drawable(str(worker), parse_math=False) for worker in table["worker"]]
        axes.set_xticks(place, names, rotation=90 if n > 12 else 0, parse_math=False)
        axes.set_xlabel("Worker")
    else:
        ends = [drawable(str(table["worker"].iloc[row]), parse_math=False) for row in (0, -1)]
        axes.set_xticks([1, n], ends, parse_math=False)
        axes.set_xlabel("Worker, by rank of value; the first and the last are named")
    axes.set_xlim(0.4, n + 0.6)
    axes.grid(visible=False, axis="x")
    return figure
