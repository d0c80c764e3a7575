"""Figures of one configuration: the way to the target, and points against Shapley values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from crowd_sim.report.labels import minus
from crowd_sim.report.measures import DISTANCE, Measure
from crowd_sim.report.style import COLUMN_WIDTH, INK, PALETTE, RULE, new_figure, say, styled

_BLUE = PALETTE[0]


@styled
def distance_per_round(rounds: pd.DataFrame, within: float = 5.0) -> Figure:
    """Distance to the target by round: the mean over the runs within the band of their quartiles.

    Args:
        rounds: the columns ``run``, ``round`` and ``distance`` of ``rounds.parquet``; a single run is one line.
        within: the distance from which a model counts as converged, drawn where a run starts farther away.
    """
    known = rounds["distance"].dropna()  # a model that starts this near has nothing to reach
    line = within if len(known) and known.max() > within > 0 else None
    return by_round(rounds, DISTANCE, None if line is None else (line, f"converged: within {line:g}"))


@styled
def by_round(rounds: pd.DataFrame, measure: Measure, across: tuple[float, str] | None = None) -> Figure:
    """A measure by round, as `distance_per_round`.

    Args:
        rounds: the columns ``run``, ``round`` and ``distance`` of ``rounds.parquet``; a single run is one line.
        measure: what is drawn of them.
        across: a dashed line across, and what it is called.
    """
    figure = new_figure(COLUMN_WIDTH, 2.8)
    axes = figure.subplots()
    axes.set(xlabel="Round", ylabel=measure.axis)
    rounds = measure.by_round(rounds)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    known = rounds.dropna(subset=["distance"])
    if known.empty:
        say(axes, "no distances recorded")
        return figure
    of_round = known.groupby("round")["distance"]
    mean = of_round.mean()
    numbers = mean.index.to_numpy(float)
    n_runs = known["run"].nunique()
    if n_runs > 1:
        low, high = of_round.quantile(0.25), of_round.quantile(0.75)
        label = f"middle half of the {n_runs} runs"
        axes.fill_between(numbers, low.to_numpy(), high.to_numpy(), color=_BLUE, alpha=0.2, linewidth=0, label=label)
    dots = "o" if len(numbers) <= 12 else None
    label = f"mean of {n_runs} runs" if n_runs > 1 else "one run"
    axes.plot(numbers, mean.to_numpy(), color=_BLUE, marker=dots, label=label, clip_on=False)
    if across is not None:
        axes.axhline(across[0], color=INK, linestyle=(0, (4, 3)), linewidth=0.9, label=across[1])
    axes.margins(y=0.15)  # a band that ends near the frame looks cut off
    axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]) if known["distance"].min() < 0 else 0)
    axes.set_xlim(numbers.min(), max(numbers.max(), numbers.min() + 1))
    handles, labels = axes.get_legend_handles_labels()
    # The line first: the band is named after it.
    order = sorted(
        range(len(labels)), key=lambda i: (labels[i] == (across and across[1]), labels[i].startswith("middle"))
    )
    axes.legend([handles[i] for i in order], [labels[i] for i in order], loc="best")
    return figure


@styled
def points_against_values(workers: pd.DataFrame, title: str = "") -> Figure:
    """Every worker's points against its accurate Shapley value, with both correlations.

    One run is shown in its own units. Several runs are pooled after standardising within each, which keeps what the
    correlation measures: the Pearson correlation of the cloud is the mean of the runs' own when they are equally large.

    Args:
        workers: the columns ``run``, ``points``, ``shapley``, ``shapley_stderr`` of ``workers.parquet``.
        title: shown above the panel where it adds something.
    """
    return against_values(workers, "Points", title)


@styled
def against_values(workers: pd.DataFrame, name: str, title: str = "", unit: str = "") -> Figure:
    """As `points_against_values`, of anything in the column ``points`` that has this name and unit."""
    figure = new_figure(COLUMN_WIDTH, 2.8)
    axes = figure.subplots()
    axes.set_title(title)
    cloud = pool(workers, ["run"], standardise=len(workers["run"].unique()) > 1)
    own = "(standardised within run)" if cloud.standardised else unit
    gap = "\n" if len(f"{name} {own}") > 40 else " "  # a longer label is cut off
    axes.set_xlabel(f"Accurate Shapley value{gap}{own if cloud.standardised else '(units of the score)'}")
    axes.set_ylabel(f"{name}{gap}{own}".rstrip())
    draw_cloud(axes, cloud)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5))
    axes.ticklabel_format(useOffset=False)
    leave_room(axes, 0.22)
    return figure


@dataclass(frozen=True)
class Cloud:
    """Workers as points in a panel.

    Attributes:
        values: float64[m], Shapley values, and ``stderr``, float64[m], their standard errors (0 where exact).
        points: float64[m].
        pearson: float64[r], one per run with a defined correlation; ``spearman`` likewise.
        n_runs: how many runs there were, defined or not.
        standardised: whether values and points have mean 0 and deviation 1 within each run.
    """

    values: NDArray[np.float64]
    stderr: NDArray[np.float64]
    points: NDArray[np.float64]
    pearson: NDArray[np.float64]
    spearman: NDArray[np.float64]
    n_runs: int
    standardised: bool


def pool(workers: pd.DataFrame, keys: Sequence[str], *, standardise: bool) -> Cloud:
    """Bring the runs that ``keys`` tell apart into one cloud.

    When standardising, a run whose points or values are all equal has no place in it and is left out.
    """
    values, stderr, points, pearson, spearman = [], [], [], [], []
    groups = workers.groupby(list(keys), sort=False, dropna=False)
    for _, run in groups:
        known = run.dropna(subset=["points", "shapley"])
        value, point = known["shapley"].to_numpy(float), known["points"].to_numpy(float)
        error = np.nan_to_num(known["shapley_stderr"].to_numpy(float))
        defined = len(known) > 1 and np.ptp(value) > 0 and np.ptp(point) > 0
        if defined:
            pearson.append(np.corrcoef(value, point)[0, 1])
            spearman.append(np.corrcoef(known["shapley"].rank(), known["points"].rank())[0, 1])
        if standardise:
            if not defined:
                continue
            error = error / value.std()
            value, point = (value - value.mean()) / value.std(), (point - point.mean()) / point.std()
        values.append(value)
        stderr.append(error)
        points.append(point)
    return Cloud(
        values=_joined(values),
        stderr=_joined(stderr),
        points=_joined(points),
        pearson=np.array(pearson, float),
        spearman=np.array(spearman, float),
        n_runs=groups.ngroups,
        standardised=standardise,
    )


def draw_cloud(axes: Axes, cloud: Cloud, *, brief: bool = False) -> None:
    """Draw a cloud with its correlations into a panel; say why where there is nothing to draw.

    ``brief``: only the mean correlations, on one line, for the small panels of a grid.
    """
    if not len(cloud.values):
        why = "points or values are\nthe same for all workers" if cloud.standardised else "no Shapley values"
        say(axes, why)
        return
    many = len(cloud.values)
    alpha, size = (0.9, 14.0) if many <= 120 else (0.45, 8.0) if many <= 1500 else (0.25, 5.0)
    if cloud.standardised:
        axes.axline((0, 0), slope=1, color=RULE, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
    uncertain = cloud.stderr > 0
    if uncertain.any():
        at = cloud.values[uncertain], cloud.points[uncertain]
        axes.errorbar(*at, xerr=cloud.stderr[uncertain], fmt="none", ecolor=_BLUE, alpha=alpha / 2, elinewidth=0.7)
    axes.scatter(cloud.values, cloud.points, s=size, color=_BLUE, alpha=alpha, linewidths=0, zorder=3)
    axes.margins(0.06)
    left = not len(cloud.pearson) or cloud.pearson.mean() >= 0  # where the cloud leaves the corner free
    place, align = (0.03, "left") if left else (0.97, "right")
    text = _brief(cloud) if brief else _correlations(cloud)
    axes.text(place, 0.98, text, transform=axes.transAxes, ha=align, va="top", linespacing=1.3, zorder=4)


def leave_room(axes: Axes, share: float) -> None:
    """Free the upper ``share`` of a panel (and of those that share its axis) for the text in its corner."""
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + (high - low) * share / (1 - share))


def _correlations(cloud: Cloud) -> str:
    if not len(cloud.pearson):
        return "correlation undefined:\nall points or all values are equal"
    lines = [f"Pearson r = {_mean_of_runs(cloud.pearson)}", f"Spearman ρ = {_mean_of_runs(cloud.spearman)}"]
    if cloud.n_runs > 1:
        some = f"{len(cloud.pearson)} of {cloud.n_runs}" if len(cloud.pearson) < cloud.n_runs else f"{cloud.n_runs}"
        lines.append(f"mean ± s.e., {some} runs" if len(cloud.pearson) > 1 else f"{some} runs")
    return "\n".join(lines)


def _brief(cloud: Cloud) -> str:
    return f"r = {minus(f'{cloud.pearson.mean():.2f}')},  ρ = {minus(f'{cloud.spearman.mean():.2f}')}"


def _mean_of_runs(correlations: NDArray[np.float64]) -> str:
    mean = minus(f"{correlations.mean():.3f}")
    return f"{mean} ± {correlations.std(ddof=1) / len(correlations) ** 0.5:.3f}" if len(correlations) > 1 else mean


def _joined(parts: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    return np.concatenate(parts) if parts else np.empty(0)
