"""How to read each figure."""

from __future__ import annotations

from typing import Literal, NamedTuple

import pandas as pd

from crowd_sim.report.measures import Measure

MOST_RUNS = 6
"""Runs of an LLM configuration whose candidates get a panel."""


class Caption(NamedTuple):
    """A figure's title, the text that says how to read it, and whether it takes one column of the page or all."""

    title: str
    text: str
    width: Literal["column", "page"]


DETECTION = Caption(
    "Who is told from the others?",
    "From the most suspicious worker on: the share of the bad who are found against the share of the others who are taken for "
    "bad, means over the runs. Few points, little value and little pay are suspicious, and high scores of screens. On the "
    "dashed line suspicion is blind (AUC ½).",
    "column",
)

CAPTIONS = {
    "correlation_by_n": Caption(
        "Do points stand for Shapley values?",
        "Pearson correlation of the workers' points with their Shapley values; 1 is perfect agreement, 0 none. Solid, "
        "filled marks: against accurate values. Dashed, open marks: against Kernel SHAP estimates, as in the paper, "
        "whose noise lowers the correlation: the gap between the two is the estimator's, not the points'. Bars: one "
        "standard error over runs, often smaller than the mark. Marks are moved slightly sideways to stay apart.",
        "page",
    ),
    "correlation_against_distance": Caption(
        "Does fairness cost quality?",
        "Each mark is one point of the sweep (a mean over its runs). Farther left: the model ended nearer to the "
        "target; higher: points agree better with accurate Shapley values. The best settings stand in the upper left. "
        "Colour: grouping; shape: score. Of up to eight, labels say the other settings.",
        "column",
    ),
    "points_by_combination": Caption(
        "Points against Shapley values, by grouping and score",
        "Each dot is a worker of the first run of each point. Both axes are standardised within run, so that runs of "
        "different size share a panel; on the dashed diagonal, points and values agree perfectly. Horizontal bars: one "
        "standard error of the value, where it is not exact. r and ρ: Pearson and Spearman correlation, means of "
        "the panel's runs.",
        "page",
    ),
    "distance_by_share": Caption(
        "What do attacks cost?",
        "Mean final distance of the model to its target by the share of bad workers, a panel per attack. Bars: one standard "
        "error over runs.",
        "page",
    ),
    "pay_per_head": Caption(
        "What are the bad paid?",
        "Pay per account of the bad over that of all others: on the dashed line both earn the same, at 0 the bad earn "
        "nothing. Bars: one standard error over runs.",
        "page",
    ),
    "pay_sybil_gain": Caption(
        "Do several accounts pay?",
        "Pay of all accounts of a person with several, over what a person with one account gets on average: on the dashed "
        "line nothing is gained. Bars: one standard error over runs.",
        "page",
    ),
}


def captions_of_sweep(measure: Measure) -> dict[str, Caption]:
    """The captions of a sweep's figures, of a task with this measure."""
    better = "More is better" if measure.turned else "Less is better"
    ends = (
        f"{measure.words} of the model after the last round, means over the runs. {better}. Bars: one standard error."
    )
    captions = {**CAPTIONS, "measure_by_field": Caption("How good are the models?", ends, "page")}
    if not measure.turned:
        return captions
    text = (
        f"Each mark is one point of the sweep (a mean over its runs). Farther right: more {measure.words.lower()}; higher: "
        "points agree better with accurate Shapley values. The best settings stand in the upper right. Colour: grouping; "
        "shape: score. Of up to eight, labels say the other settings."
    )
    return {**captions, "correlation_against_distance": Caption("Does fairness cost quality?", text, "column")}


def captions_of_choice_run(n_runs: int, workers: pd.DataFrame, measure: Measure) -> dict[str, Caption]:
    """The captions of the figures of a run whose models are judged item by item.

    Args:
        n_runs: replicates.
        workers: the table of them.
        measure: of the task.
    """
    over = f"Line: mean over {n_runs} runs. Band: the middle half of the runs. " if n_runs > 1 else "The one run. "
    words = measure.words.lower()
    text = f"{over}Higher is better: the {words} of the model after each round (0: the start). Dashed: the floor."
    n_workers = int(workers.groupby("run").size().max())
    name = f"{measure.metric.removesuffix('_after')}_per_round"
    return {**captions_of_run(n_runs, n_workers), name: Caption(f"{measure.words} by round", text, "column")}


def captions_of_run(n_runs: int, n_workers: int) -> dict[str, Caption]:
    """The captions of a run's figures, for ``n_runs`` replicates of ``n_workers`` workers."""
    several = n_runs > 1
    distance = (
        f"Line: mean over {n_runs} runs. Band: the middle half of the runs (first to third quartile). "
        if several
        else "The one run. "
    )
    cloud = (
        f"Each dot is one of the {n_workers} workers of one of the {n_runs} runs. Both axes are standardised "
        "within run, so that all runs share the panel; on the dashed diagonal, points and values agree perfectly. "
        if several
        else f"Each dot is one of the {n_workers} workers. "
    )
    return {
        "distance_per_round": Caption(
            "The way to the target",
            f"{distance}Lower is better: the distance from the model to the target after each round (0: the start). "
            "The dashed line, where there is one, is the distance that counts as converged.",
            "column",
        ),
        "points_against_values": Caption(
            "Points against Shapley values",
            f"{cloud}The closer the dots keep to a rising line, the fairer the points. Horizontal bars: one standard "
            "error of the Shapley value, where it is not exact.",
            "column",
        ),
        "detection": DETECTION,
    }


def captions_of_llm_run(n_runs: int, n_workers: int, n_outputs: int, *, valued: bool) -> dict[str, Caption]:
    """The captions of an LLM run's figures.

    Args:
        n_runs: replicates.
        n_workers: in each.
        n_outputs: fresh ones of each model in each.
        valued: whether there are Shapley values.
    """
    several = n_runs > 1
    boxes = (
        f"{n_outputs} fresh outputs of the model in each of the {n_runs} runs"
        if several
        else f"{n_outputs} fresh outputs"
    )
    first = f"The first {MOST_RUNS} of {n_runs} runs. " if n_runs > MOST_RUNS else ""
    bars = "Means over runs, with one standard error. " if several else ""
    worth = (
        ", what retraining says that their examples are worth (Shapley value, with one standard error where it is not "
        "exact), and its approximation from the gradients at the start (first-order value)"
        if valued
        else ""
    )
    return {
        "distance_by_model": Caption(
            "How near do the outputs come?",
            f"Each box: {boxes}, which selection has not seen. Box: the middle half; line: median; diamond: mean; "
            "whiskers: up to 1.5 times the box's height; dots: outputs beyond. Lower is better. A round in which no "
            "candidate won has the box of the round before: it is the same model.",
            "page",
        ),
        "scores_by_round": Caption(
            "What selection saw",
            f"{first}Mean score of the outputs that selection looked at, with one standard error. Square and dashed "
            "line: the model that the round started from; dots: its candidates; diamond: their merger, where there was "
            "one; ring: what the round went on with. The best of several noisy scores is too high on average: how good "
            "the winner is stands in the figure of the fresh outputs.",
            "page",
        ),
        "workers_in_a_row": Caption(
            "What everyone earned",
            f"{bars}Points of the {n_workers} workers at the end{worth}.",
            "page" if valued else "column",
        ),
        "points_against_values": captions_of_run(n_runs, n_workers)["points_against_values"],
        "first_order_against_values": Caption(
            "A cheap stand-in for retraining?",
            "As the figure of points, for the first-order values: what a worker's gradient at the start says that a step "
            "along it does to the loss on the target's texts.",
            "column",
        ),
        "detection": DETECTION,
    }
