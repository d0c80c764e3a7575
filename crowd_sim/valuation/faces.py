"""What results look like: pictures and tables for a notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from crowd_sim.errors import InputError

if TYPE_CHECKING:  # importing pandas costs an actor a part of a second of its start
    import pandas as pd
    from matplotlib.axes import Axes

_ROWS_SHOWN = 40
_LINES = 20
_FIRST, _LAST = 40, 20  # rows that are drawn of more of them


def html(title: str, table: pd.DataFrame) -> str:
    """What a notebook shows: a line and the table, of many rows the ends of it."""
    shown = table.to_html(index=False, max_rows=_ROWS_SHOWN, float_format=lambda x: f"{x:.4g}")
    return f"<p>{title}</p>{shown}"


def text(title: str, table: pd.DataFrame) -> str:
    """What is printed: a line and the table, of many rows the ends of it."""
    shown = table.to_string(index=False, max_rows=_LINES, float_format=lambda x: f"{x:.4g}")
    return f"{title}\n{shown}"


def dots(values: NDArray[np.float64], reach: NDArray[np.float64] | None, label: str, ax: Axes | None) -> Axes:
    """A row a player, best first, with intervals of ± ``reach`` float64[n] (NaN: none) where there are any.

    Of many players the first and the last, with a gap between them, which the axis says.
    """
    order = np.argsort(-values, kind="stable")
    places, shown = np.arange(len(order)), "player"
    if len(order) > _FIRST + _LAST:
        shown = f"player: first {_FIRST} and last {_LAST} of {len(order):,}"
        order = np.concatenate([order[:_FIRST], order[-_LAST:]])
        places = np.arange(len(order)) + (np.arange(len(order)) >= _FIRST)
    ax = _axes(ax, (6.0, max(2.0, 0.25 * len(order))))
    width = None if reach is None else np.nan_to_num(reach[order])
    ax.errorbar(values[order], places, xerr=width, fmt="o", markersize=4, capsize=2)
    ax.set_yticks(places, [str(player) for player in order])
    ax.invert_yaxis()
    ax.axvline(0.0, color="0.7", linewidth=0.8, zorder=0)
    ax.set(xlabel=label, ylabel=shown)
    return ax


def squares(values: NDArray[np.float64], label: str, ax: Axes | None) -> Axes:
    """A square a pair of players, float64[n, n], red above 0 and blue below, the diagonal empty."""
    side = max(3.0, 0.25 * len(values))
    ax = _axes(ax, (side + 1.0, side))
    most = float(np.abs(values).max()) or 1.0
    shown = np.where(np.eye(len(values), dtype=np.bool_), np.nan, values)
    image = ax.imshow(shown, cmap="RdBu_r", vmin=-most, vmax=most)
    if ax.figure is not None:
        ax.figure.colorbar(image, ax=ax, label=label)
    ax.set(xlabel="player", ylabel="player")
    return ax


def _axes(ax: Axes | None, size: tuple[float, float]) -> Axes:
    if ax is None:
        from matplotlib.figure import Figure

        return Figure(figsize=size, layout="constrained").subplots()
    if not hasattr(ax, "errorbar"):
        raise InputError("ax", ax, "must be matplotlib's axes, or None")
    return ax
