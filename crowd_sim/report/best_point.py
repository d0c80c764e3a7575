"""The best point of a sweep, in a sentence."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from crowd_sim.report.labels import field_words, mean_and_error, value_words
from crowd_sim.report.layout import comparable
from crowd_sim.report.measures import DISTANCE, Measure
from crowd_sim.report.paired import mean_difference, pairs

_AGREEMENT = "pearson_accurate"
_EQUAL = 1e-12


def best_point(
    points: pd.DataFrame, fields: Sequence[str], metrics: Sequence[str], measure: Measure, runs: pd.DataFrame | None
) -> list[str]:
    """Where points of workers agree best with values or, where nobody was valued, where the models end best.

    Points that are alike are said to be; the best is only told from the next where a 95 % interval of the paired differences of
    their runs does.

    Args:
        points: with the metrics' means and standard errors.
        fields: that tell them apart; of none there is nothing to say.
        metrics: those that are known.
        measure: of the task.
        runs: the table ``runs.parquet``; None: it is not known whether the best can be told from the next.
    """
    metric = _AGREEMENT if _AGREEMENT in metrics else measure.metric
    known = points[points[f"{metric}_mean"].notna()] if metric in metrics else points.head(0)
    if known.empty or not fields:
        return []
    values = known[f"{metric}_mean"].to_numpy(float)
    order = np.argsort(values if measure is DISTANCE and metric == measure.metric else -values, kind="stable")
    best = known.iloc[order[0]]
    number = mean_and_error(best[f"{metric}_mean"], best.get(f"{metric}_se"))
    agree, at = "Points agree", f"with Shapley values, at r = {number}"
    alike = int((np.abs(values - values[order[0]]) <= _EQUAL * np.abs(values).max()).sum())
    if alike == len(known) > 1:
        whole = f"in all {alike:,} points" if alike == len(points) else f"in all {alike:,} points that have a value"
        said = (
            f"{agree} alike {at}, {whole}"
            if metric == _AGREEMENT
            else f"{measure.words} in the end is {number} {whole}"
        )
        return [f"{said}."]
    setting = ", ".join(f"{field_words(field)} {value_words(best[field])}" for field in fields)
    said = f"{agree} best {at}" if metric == _AGREEMENT else f"{measure.words} in the end is best, {number}"
    if alike > 1:
        return [f"{said}, with {setting}, and alike in {alike - 1:,} more."]
    if runs is None or len(known) < 2:
        return [f"{said}, with {setting}."]
    told = _is_told_apart(runs, comparable(known[list(fields)]).iloc[order[:2]], fields, metric)
    return [f"{said}, with {setting}; paired differences {'tell' if told else 'do not tell'} it from the next."]


def _is_told_apart(runs: pd.DataFrame, two: pd.DataFrame, fields: Sequence[str], metric: str) -> bool:
    """Whether the 95 % interval of the paired differences of two points' runs leaves out 0."""
    table = comparable(runs[list(fields)])
    first, second = (runs[(table == row).all(axis=1)] for _, row in two.iterrows())
    found = mean_difference(pairs(first, second, [], [metric]), metric)
    return found.low > 0 or found.high < 0
