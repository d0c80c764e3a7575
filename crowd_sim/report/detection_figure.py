"""The figure of a run with bad workers: how well points, values, pay and screens tell them from the others."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from crowd_sim.metrics import auc
from crowd_sim.report.style import COLUMN_WIDTH, PALETTE, RULE, drawable, new_figure, say, styled

_MOST = 5
"""Curves, those with the largest areas."""

_SCREEN = "screen_"
_LOW_IS_BAD = {"points": "points", "shapley": "Shapley values", "pay": "pay"}
_GRID = np.linspace(0.0, 1.0, 201)


def has_bad(workers: pd.DataFrame) -> bool:
    """Whether the table says who is bad, and somebody is."""
    return "bad" in workers.columns and bool(workers["bad"].any())


@styled
def detection(workers: pd.DataFrame) -> Figure:
    """ROC curves, means over the runs: the bad found against the others who are taken for bad, from the most suspicious on.

    Whoever has few points, little value or little pay is suspicious, and whoever a screen scores high. Workers who score alike
    are taken together, and share the step.

    Args:
        workers: the table ``workers.parquet`` of a run that `has_bad`.
    """
    figure = new_figure(COLUMN_WIDTH, 3.2)
    axes = figure.subplots()
    axes.set(xlabel="Others taken for bad", ylabel="Bad workers found", xlim=(0, 1), ylim=(0, 1.02))
    axes.plot([0, 1], [0, 1], color=RULE, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
    curves: list[tuple[float, str, NDArray[np.float64]]] = []
    for name, suspicion in _suspicions(workers).items():
        found = [
            (roc(suspicion[rows], bad), float(auc(-suspicion[None, rows], bad[None])[0]))
            for rows in workers.groupby("run").indices.values()
            if 0 < (bad := workers["bad"].to_numpy(bool)[rows]).sum() < len(rows)
        ]
        if found:
            curves.append((float(np.mean([area for _, area in found])), name, np.mean([c for c, _ in found], axis=0)))
    if not curves:
        say(axes, "no run has both bad workers and others")
        return figure
    best = sorted(curves, key=lambda curve: -curve[0])[:_MOST]
    for color, (area, name, curve) in zip(PALETTE, best, strict=False):
        axes.plot(_GRID, curve, color=color, label=f"{drawable(name)}: AUC {area:.2f}", clip_on=False)
    axes.legend(loc="lower right", frameon=True, framealpha=0.9, edgecolor="none")
    return figure


def roc(suspicion: NDArray[np.float64], bad: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Share of the bad among those found when a share of the others, on a grid of 201 from 0 to 1, is taken for bad.

    Args:
        suspicion: float64[n], higher is more suspicious.
        bad: bool[n], some but not all.
    """
    steps = np.unique(suspicion)[::-1]
    found = [0.0, *((suspicion[bad] >= step).mean() for step in steps)]
    wrong = [0.0, *((suspicion[~bad] >= step).mean() for step in steps)]
    curve: NDArray[np.float64] = np.interp(_GRID, wrong, found)
    curve[0] = max(share for share, false in zip(found, wrong, strict=True) if false == 0.0)
    return curve


def _suspicions(workers: pd.DataFrame) -> Mapping[str, NDArray[np.float64]]:
    low = {label: -workers[name].to_numpy(float) for name, label in _LOW_IS_BAD.items() if name in workers.columns}
    high = {
        f"screen {name.removeprefix(_SCREEN).replace('_', ' ')}": workers[name].to_numpy(float)
        for name in workers.columns
        if name.startswith(_SCREEN)
    }
    return {name: values for name, values in (low | high).items() if np.isfinite(values).all()}
