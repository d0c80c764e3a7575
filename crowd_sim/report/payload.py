"""The data that a report's page carries for its tables and charts, as compact JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import stdtrit

from crowd_sim.characters import visible
from crowd_sim.report.labels import METRIC_HEADS, field_words, metric_words, value_words
from crowd_sim.report.layout import comparable, levels, varies
from crowd_sim.report.measures import DISTANCE, Measure
from crowd_sim.report.paired import Difference, between_levels
from crowd_sim.report.tables import is_numeric, swept_fields

MOST_ROWS = 20_000
"""Of a table that a page carries; more would make it larger than 3 MB."""

_DIGITS = 5
_MOST_LINES = 30
"""Runs whose distances a page carries beside their mean."""


def payload_of_run(
    rounds: pd.DataFrame, found: pd.DataFrame, within: float | None, measure: Measure = DISTANCE
) -> dict[str, Any]:
    """Workers of every run, as `worth` has them, and a measure by round, with a line where it is `within`, or the floor."""
    distances = measure.by_round(rounds).pivot_table(index="round", columns="run", values="distance")
    return {"kind": "run", "workers": _table(found), "whole": len(found), **_of_rounds(distances, within, measure)}


def payload_of_distances(
    distances: NDArray[np.float64], within: float | None, measure: Measure = DISTANCE
) -> dict[str, Any]:
    """A measure by round alone, of distances float64[rounds + 1, runs]."""
    return {
        "kind": "rounds",
        **_of_rounds(pd.DataFrame(1 - distances if measure.turned else distances), within, measure),
    }


def _of_rounds(distances: pd.DataFrame, within: float | None, measure: Measure) -> dict[str, Any]:
    return {
        "measure": measure.words,
        "line": "Dashed: the floor." if measure.turned and within is not None else "",
        "rounds": [int(number) for number in distances.index],
        "mean": numbers(distances.mean(axis=1)),
        "error": numbers(distances.sem(axis=1)),
        "runs": [int(run) for run in distances.columns[:_MOST_LINES]],
        "lines": [numbers(distances[run]) for run in distances.columns[:_MOST_LINES]],
        "within": within,
    }


def payload_of_sweep(
    points: pd.DataFrame, metrics: Sequence[str], runs: pd.DataFrame | None = None, each: int | None = None
) -> dict[str, Any]:
    """Every point: its fields, and each metric's mean, standard error and runs; of `runs`, paired differences of settings.

    Args:
        points: the table ``points.parquet``.
        metrics: those to show.
        runs: the table ``runs.parquet``, which knows how many runs of a point have a value.
        each: runs of a point, which count where there is no table of them.
    """
    fields, shown = swept_fields(points), points.head(MOST_ROWS)
    counts = {metric: _runs_of(shown, metric, runs, each) for metric in metrics}
    found = sorted({int(n) for column in counts.values() for n in column.dropna().unique() if n > 1})
    return {
        "kind": "sweep",
        "whole": len(points),
        "fields": [
            {
                "name": field,
                "words": field_words(field),
                "numeric": is_numeric(points[field]),
                **_coded(comparable(shown[[field]])[field], levels(points, field)),
            }
            for field in fields
        ],
        "metrics": [
            {
                "name": metric,
                "words": metric_words(metric),
                "head": METRIC_HEADS.get(metric, metric),
                "less": metric in ("final_distance", "rounds_to_converge"),
                "mean": numbers(shown[f"{metric}_mean"], 7),  # rounded for good by the page, as the error's digits say
                "se": numbers(shown[f"{metric}_se"], 3) if f"{metric}_se" in shown else [],
                "n": _once(numbers(counts[metric])),
            }
            for metric in metrics
        ],
        "t": {n: number(stdtrit(n - 1, 0.975)) for n in found},
        "paired": [] if runs is None else _paired(runs, fields, metrics),
    }


def _runs_of(points: pd.DataFrame, metric: str, runs: pd.DataFrame | None, each: int | None) -> pd.Series:
    """Over how many runs each point's mean is; NaN where that is not known."""
    fields = swept_fields(points)
    if runs is not None and metric in runs.columns and fields and set(fields) <= set(runs.columns):
        table = comparable(runs[fields]).assign(known=runs[metric].notna())
        counts = table.groupby(fields, sort=False, dropna=False)["known"].sum()
        return comparable(points[fields]).merge(counts.reset_index(), on=fields, how="left")["known"].astype(float)
    one = points["runs"] if "runs" in points.columns else pd.Series(np.nan if each is None else each, points.index)
    share = points["converged"] if metric == "rounds_to_converge" and "converged" in points.columns else 1.0
    return (one * share).astype(float).round()


def _once(column: list[float | int | None]) -> list[float | int | None] | float | int | None:
    """A column whose entries are all the same, as that one."""
    return column[0] if len(set(column)) == 1 else column


def _paired(runs: pd.DataFrame, fields: Sequence[str], metrics: Sequence[str]) -> list[dict[str, Any]]:
    """Each field's settings against each other, all else and the draws being equal."""
    known = [metric for metric in metrics if metric in runs.columns]
    table = runs.assign(**comparable(runs[list(fields)]))
    return [
        {
            "field": field,
            "first": visible(value_words(first)),
            "second": visible(value_words(second)),
            **{name: _numbers_of(one) for name, one in found.items() if one.n},
        }
        for field in fields
        if varies(table, field)
        for first, second, found in between_levels(table, fields, field, known)
    ]


def _numbers_of(found: Difference) -> list[float | int | None]:
    return [*(number(value, 4) for value in (found.mean, found.low, found.high)), found.n]


def script_json(payload: dict[str, Any]) -> str:
    """JSON that may stand inside a script element, whatever texts are in it."""
    text = json.dumps(payload, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _table(found: pd.DataFrame) -> dict[str, Any]:
    shown = found.head(MOST_ROWS)
    columns: dict[str, Any] = {}
    for name in shown.columns:
        if name == "worker":
            codes, found_names = pd.factorize(shown[name])
            columns[name] = {"levels": [visible(who) for who in found_names], "codes": codes.tolist()}
        elif shown[name].dtype == bool:
            columns[name] = [int(value) for value in shown[name]]
        else:
            columns[name] = numbers(shown[name])
    return columns


def _coded(column: pd.Series, found: Sequence[Any]) -> dict[str, Any]:
    """A column of few values as their words and, for each row, which."""
    place = {value: i for i, value in enumerate(found)}
    words = [visible(value_words(value)) for value in found]
    numbers = [None if isinstance(value, str) else number(value) for value in found]
    return {"levels": words, "numbers": numbers, "codes": [place.get(value, -1) for value in column]}


def numbers(column: pd.Series, digits: int = _DIGITS) -> list[float | int | None]:
    """A column in so many digits, None for what is no number."""
    return [number(value, digits) for value in column]


def number(value: Any, digits: int = _DIGITS) -> float | int | None:
    """A number in so many digits, None for what is none."""
    exact = float(value)
    if not math.isfinite(exact):
        return None
    short = float(f"{exact:.{digits}g}")
    return int(short) if short.is_integer() and abs(short) < 1e15 else short
