"""The figure of `crowd-sim equilibrium`: best responses and what effort is good for."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from crowd_sim.payment.effort import EffortGame
from crowd_sim.report.style import COLUMN_WIDTH, MUTED, PALETTE, new_figure, styled


@styled
def effort_curves(game: EffortGame, distances: NDArray[np.float64]) -> Figure:
    """Left: a worker's best response to the others' effort; where it meets the diagonal effort stays. Right: the distance.

    Args:
        game: the game of effort.
        distances: float64[L, m], to the target where all make an effort.
    """
    figure = new_figure(COLUMN_WIDTH * 2, 2.8)
    left, right = figure.subplots(1, 2)
    levels = game.levels
    left.plot([0, 1], [0, 1], color=MUTED, linewidth=0.6, linestyle="--")
    left.plot(levels, levels[game.best], marker="o", color=PALETTE[0], label="best response")
    stays = levels[game.equilibria]
    left.plot(stays, stays, "D", markersize=7, markerfacecolor="none", color=PALETTE[1], label="symmetric equilibrium")
    left.set(xlabel="Effort of all others", ylabel="Effort of a worker", xlim=(-0.04, 1.04), ylim=(-0.04, 1.04))
    left.legend()
    error = distances.std(axis=1, ddof=1) / np.sqrt(distances.shape[1]) if distances.shape[1] > 1 else None
    right.errorbar(levels, distances.mean(axis=1), yerr=error, marker="o", color=PALETTE[2], elinewidth=0.8)
    right.set(xlabel="Effort of all", ylabel="Distance to the target at the end")
    right.set_ylim(bottom=0)
    return figure
