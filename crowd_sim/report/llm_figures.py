"""Figures of an LLM run: outputs' distances by model, candidates' scores by round, what everyone earned and was worth."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from crowd_sim.report.captions import MOST_RUNS
from crowd_sim.report.labels import plain, short_model_words
from crowd_sim.report.run_figures import against_values
from crowd_sim.report.style import COLUMN_WIDTH, INK, MUTED, PAGE_WIDTH, PALETTE, RULE, drawable, new_figure, styled
from crowd_sim.tasks.imitate.tables import in_order

_BLUE, _ORANGE, _GREEN = PALETTE[:3]
_MOST_NAMES = 30
"""Workers that can be named at a readable size."""


@styled
def distance_by_model(outputs: pd.DataFrame) -> Figure:
    """Box plots of the outputs' distance to the target: base, singles, equal tokens, rounds, as in the paper.

    Args:
        outputs: the columns ``model`` and ``distance`` of ``outputs.parquet``; the outputs of all runs share a box.
    """
    models = in_order(outputs["model"])
    figure = new_figure(PAGE_WIDTH, 2.8)
    axes = figure.subplots()
    tournament = [model.startswith("round_") for model in models]
    boxes = axes.boxplot(
        [outputs.loc[outputs["model"] == model, "distance"].to_numpy(float) for model in models],
        positions=range(len(models)),
        widths=0.6,
        patch_artist=True,
        showmeans=True,
        medianprops={"color": INK, "linewidth": 1.1},
        meanprops={"marker": "D", "markersize": 3.5, "markerfacecolor": "white", "markeredgecolor": INK},
        boxprops={"edgecolor": INK, "linewidth": 0.7},
        whiskerprops={"color": INK, "linewidth": 0.7},
        capprops={"color": INK, "linewidth": 0.7},
        flierprops={"marker": "o", "markersize": 2.2, "markerfacecolor": MUTED, "markeredgewidth": 0, "alpha": 0.7},
    )
    for box, ours in zip(boxes["boxes"], tournament, strict=True):
        box.set_facecolor(_BLUE if ours else RULE)
        box.set_alpha(0.6)
    names = [drawable(short_model_words(model)) for model in models]
    if len(models) > 10:
        axes.set_xticks(range(len(models)), names, rotation=40, ha="right", rotation_mode="anchor")
    else:
        axes.set_xticks(range(len(models)), [_in_lines(name) for name in names])
    axes.set_ylabel("Distance to the target\n‖Φ(output) − target‖₂")
    axes.grid(visible=False, axis="x")
    handles: list[Any] = [
        Patch(facecolor=RULE, edgecolor=INK, linewidth=0.7, alpha=0.6, label="base and single models"),
        Patch(facecolor=_BLUE, edgecolor=INK, linewidth=0.7, alpha=0.6, label="tournament"),
        Line2D([], [], linestyle="", marker="D", markersize=3.5, mfc="white", mec=INK, label="mean"),
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=3, handlelength=1.2, columnspacing=1.2)
    return figure


@styled
def scores_by_round(rounds: pd.DataFrame, candidates: pd.DataFrame) -> Figure:
    """What selection saw: candidates' scores by round, the old model's as a line, the winner in a ring; a panel per run.

    Args:
        rounds: ``rounds.parquet`` of an LLM run; of many runs, the first `MOST_RUNS` are drawn.
        candidates: its ``candidates.parquet``.
    """
    runs = list(rounds["run"].unique()[:MOST_RUNS])
    n_rows = 1 if len(runs) <= 3 else 2
    columns = -(-len(runs) // n_rows)
    figure = new_figure(PAGE_WIDTH, 0.8 + 2.0 * n_rows)
    grid = figure.subplots(n_rows, columns, sharex=True, sharey=True, squeeze=False)
    for axes, run in zip(grid.flat, runs, strict=False):
        _scores(axes, rounds[rounds["run"] == run], candidates[candidates["run"] == run])
        if len(runs) > 1:
            axes.set_title(f"run {run}")
    for empty in grid.flat[len(runs) :]:
        empty.set_axis_off()
        grid[0, -1].tick_params(labelbottom=True)  # the panel above it is the last of its column
    grid[0, 0].xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    grid[0, 0].set_xlim(rounds["round"].min() - 0.5, rounds["round"].max() + 0.5)
    figure.supxlabel("Round")
    figure.supylabel("Score in selection (higher is better)")
    mark: dict[str, Any] = {"linestyle": "", "marker": "o"}
    handles = [
        Line2D([], [], color=INK, linewidth=1.0, linestyle=(0, (4, 2)), marker="s", label="old model"),
        Line2D([], [], color=_BLUE, **mark, label="candidate"),
        Line2D([], [], color=_GREEN, linestyle="", marker="D", label="merged"),
        Line2D([], [], **mark | {"markersize": 8}, mfc="none", mec=_ORANGE, mew=1.2, label="winner"),
    ]
    shown = [handle for handle in handles if handle.get_label() != "merged" or rounds["merged_score"].notna().any()]
    figure.legend(handles=shown, loc="outside upper center", ncols=4, handletextpad=0.6, columnspacing=1.4)
    return figure


@styled
def workers_in_a_row(workers: pd.DataFrame) -> Figure:
    """Every worker's points and, where there are such columns, Shapley value by retraining and first-order value.

    Means over runs with their standard errors; of one run, Shapley values have their own and the rest has none. Best worker
    first, by Shapley value if there is one, else by points.

    Args:
        workers: ``workers.parquet`` of an LLM run.
    """
    kinds = {
        "points": "Points",
        "shapley": "Shapley value\n(units of the score)",
        "first_order": "First-order value\n(nats)",
    }
    shown = [kind for kind in kinds if kind in workers.columns]
    grouped = workers.groupby("worker", sort=False)[shown]
    errors = grouped.sem()
    if len(workers["run"].unique()) == 1 and "shapley_stderr" in workers:
        errors["shapley"] = workers.groupby("worker", sort=False)["shapley_stderr"].first()
    means = grouped.mean().sort_values("shapley" if "shapley" in shown else "points", ascending=False, kind="stable")
    errors = errors.loc[means.index].fillna(0.0)
    n, named = len(means), len(means) <= _MOST_NAMES
    height = 0.8 + (0.19 * max(n, 4) if named else 3.2)
    figure = new_figure(COLUMN_WIDTH if len(shown) == 1 else PAGE_WIDTH, height)
    grid = figure.subplots(1, len(shown), sharey=True, squeeze=False)[0]
    for axes, kind in zip(grid, shown, strict=True):
        bars: dict[str, Any] = (
            {"xerr": errors[kind], "error_kw": {"elinewidth": 0.8, "ecolor": INK}} if (errors[kind] > 0).any() else {}
        )
        axes.barh(range(n), means[kind], height=0.7 if named else 1.0, color=_BLUE, alpha=0.75, linewidth=0, **bars)
        axes.axvline(0, color=INK, linewidth=0.6)
        axes.set_xlabel(kinds[kind])
        axes.xaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 2.5, 5, 10]))
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0)
    grid[0].set_ylim(n - 0.4, -0.6)
    if named:
        grid[0].set_yticks(range(n), [_name(worker) for worker in means.index], parse_math=False)
    else:
        grid[0].set_ylabel("Workers, best first")
    return figure


def _name(worker: object) -> str:
    return drawable(plain(worker, 24), parse_math=False)


def first_order_against_values(workers: pd.DataFrame) -> Figure:
    """Every worker's first-order value against its Shapley value by retraining, with both correlations.

    Args:
        workers: the columns ``run``, ``first_order``, ``shapley``, ``shapley_stderr`` of ``workers.parquet``.
    """
    return against_values(workers.assign(points=workers["first_order"]), "First-order value", unit="(nats)")


def _in_lines(name: str) -> str:
    return name.replace(",", "").replace(" ", "\n")


def _scores(axes: Axes, rounds: pd.DataFrame, candidates: pd.DataFrame) -> None:
    """One run's rounds, each in a slot of width 1: on its left the old model, then the candidates, then the merged one."""
    old: dict[str, Any] = {"color": INK, "linewidth": 1.0, "linestyle": (0, (4, 2))}
    whiskers: dict[str, Any] = {"fmt": "none", "elinewidth": 0.8, "capsize": 0}
    for played in rounds.to_dict("records"):
        number = played["round"]
        own = candidates[candidates["round"] == number].sort_values("candidate")
        score = own["score"].to_numpy(float)
        axes.plot([number - 0.45, number + 0.45], [played["model_score"]] * 2, **old)
        x = number + np.linspace(-0.35, 0.35, len(own) + 2)
        axes.errorbar(x[0], played["model_score"], yerr=played["model_score_se"], ecolor=INK, **whiskers)
        axes.plot(x[0], played["model_score"], marker="s", color=INK)
        axes.errorbar(x[1:-1], score, yerr=own["score_se"].to_numpy(float), ecolor=_BLUE, **whiskers)
        axes.scatter(x[1:-1], score, s=14, color=_BLUE, linewidths=0, zorder=3)
        if not np.isnan(played["merged_score"]):
            axes.plot(x[-1], played["merged_score"], marker="D", color=_GREEN, linestyle="")
        heights = [played["model_score"], *score, played["merged_score"]]
        place = played["winner"] + 1  # −1, none, is the old model
        axes.scatter(x[place], heights[place], s=70, facecolors="none", edgecolors=_ORANGE, linewidths=1.2, zorder=4)
    axes.grid(visible=False, axis="x")
