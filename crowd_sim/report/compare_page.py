"""``compare.html``: runs or sweeps side by side, on the report's design."""

from __future__ import annotations

from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crowd_sim.characters import visible
from crowd_sim.errors import InputError, StorageError
from crowd_sim.metrics import mean_and_error as sample_mean
from crowd_sim.report.comparison import Compared, Comparison, correlation
from crowd_sim.report.html import BIBTEX, rendered
from crowd_sim.report.labels import METRIC_HEADS, field_words, mean_and_error, metric_words, three_digits
from crowd_sim.report.measures import ACCURACY, DISTANCE, OF_CHOICES, Measure
from crowd_sim.report.paired import RUN, Difference, mean_difference
from crowd_sim.report.payload import MOST_ROWS, number, numbers
from crowd_sim.report.style import write_atomically

_LESS_IS_BETTER = ("final_distance", "rounds_to_converge", "calibration_error_before", "calibration_error_after")
_FOUND = ("accuracy_after", "reward_after", "final_distance", "pearson_accurate", "pay_per_head")
"""Metrics of which the header says who has more."""


def write_comparison(comparison: Comparison, path: Path) -> Path:
    """Write the page.

    Raises:
        InputError: it cannot be written there.
    """
    page = {
        "title": f"{len(comparison.folders)} {_KIND[comparison.folders[0].kind]} compared",
        "names": [folder.name for folder in comparison.folders],
        "found": _found(comparison),
        "differing": comparison.differing,
        "rows": [metric_row(comparison, metric) for metric in comparison.metrics],
        "note": pairing(comparison),
        "same_crowd": any(comparison.workers(i) is not None for i in range(1, len(comparison.folders))),
        "bibtex": BIBTEX,
        "data": _payload(comparison),
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return write_atomically(path, rendered("compare.html", page, ["compare"]).encode())
    except (OSError, StorageError) as error:
        reason = error.reason if isinstance(error, StorageError) else error.strerror
        raise InputError("--out", str(path), f"must be a file that can be written ({reason})") from None


_KIND: dict[str, str] = {"run": "runs", "sweep": "sweeps", "llm": "runs of texts", "choice": "runs of items"}


def metric_row(comparison: Comparison, metric: str) -> dict[str, Any]:
    """A metric's mean in each folder, and the others' differences to the first, in words.

    What varies are the runs: points of a sweep that share one, its seed and number, are averaged before.
    """
    by_run = [folder.runs.groupby(RUN, sort=False)[metric].mean() for folder in comparison.folders]
    means = [_mean_words(sample.to_numpy(float)) for sample in by_run]
    others = range(1, len(comparison.folders))
    found = [comparison.difference(metric, i, comparison.pairs(i)) for i in others]
    return {"words": metric_words(metric), "means": means, "differences": [difference_words(one) for one in found]}


def _mean_words(sample: NDArray[np.float64]) -> str:
    """Mean and error; of how many runs, where not all have a value: differences are of those that both have."""
    mean, error, known = sample_mean(sample)
    return mean_and_error(mean, error) + (f" ({known} of {len(sample)} runs)" if 0 < known < len(sample) else "")


def difference_words(found: Difference) -> tuple[str, str]:
    """A difference, and its 95 % interval with the number of runs."""
    if not isfinite(found.mean):
        return "–", ""
    if not isfinite(found.low):
        return three_digits(found.mean), "one run"
    over = f"{found.n} pairs" if found.paired else "unpaired"
    if found.low == found.high:
        return three_digits(found.mean), f"the same in all, {over}"
    return three_digits(found.mean), f"{three_digits(found.low)} to {three_digits(found.high)}, {over}"


def pairing(comparison: Comparison) -> str:
    """How the differences came about."""
    first = comparison.folders[0]
    said = []
    if any(folder.runs[metric].isna().any() for folder in comparison.folders for metric in comparison.metrics):
        said.append(
            "Where not all runs have a value, means are of those that have, and differences of pairs that both have."
        )
    paired = [len(comparison.pairs(i)) > 0 for i in range(1, len(comparison.folders))]
    if any(paired):
        said.append(
            f"Differences are to {first.name}, run by run where seed and run are the same"
            + (", and point by point where settings are" if comparison.keys else "")
            + "; intervals are Student's t, 95 %, over runs (where all is of one run, over points)."
        )
    if not all(paired):
        said.append(f"Runs with other seeds than {first.name}'s cannot be paired: Welch's interval of the two means.")
    said.append("Of many metrics, one in twenty is outside its interval by chance.")
    return " ".join(said)


def _found(comparison: Comparison) -> list[str]:
    first, sentences = comparison.folders[0], []
    for i, folder in enumerate(comparison.folders[1:], 1):
        for metric in _FOUND:
            if metric not in comparison.metrics:
                continue
            found = comparison.difference(metric, i, comparison.pairs(i))
            if not isfinite(found.low):
                continue
            if found.low == found.high == 0:
                sentences.append(f"{metric_words(metric)}: {folder.name} has the same as {first.name}.")
                continue
            chance = "" if found.low > 0 or found.high < 0 else ", which may be chance"
            size = f"{three_digits(abs(found.mean))} {'more' if found.mean > 0 else 'less'}"
            within = difference_words(found)[1]
            sentences.append(
                f"{metric_words(metric)}: {folder.name} has {size} than {first.name} (95 %: {within}){chance}."
            )
    return sentences or ["With one run each, nothing says how far the differences are chance."]


def _payload(comparison: Comparison) -> dict[str, Any]:
    others = range(1, len(comparison.folders))
    measures = {OF_CHOICES.get(str(folder.config.get("task.kind")), DISTANCE) for folder in comparison.folders}
    measure = measures.pop() if len(measures) == 1 else ACCURACY._replace(words="Accuracy or mean reward")
    return {
        "kind": "compare",
        "measure": measure.words,
        "first": measure.metric,
        "names": [folder.name for folder in comparison.folders],
        "metrics": [
            {
                "name": name,
                "words": metric_words(name),
                "head": METRIC_HEADS.get(name, metric_words(name)),
                "less": name in _LESS_IS_BETTER,
            }
            for name in comparison.metrics
        ],
        "keys": [{"name": name, "words": field_words(name)} for name in comparison.keys],
        "others": [_of_other(comparison, i) for i in others],
        "distances": [found for folder in comparison.folders if (found := _distances(folder, measure))],
    }


def _of_other(comparison: Comparison, other: int) -> dict[str, Any]:
    first, second = comparison.folders[0], comparison.folders[other]
    found = comparison.pairs(other)
    workers = comparison.workers(other)
    return {
        "runs": _runs(comparison, first, second) if len(found) else None,
        "points": _points(comparison, found) if len(found) and comparison.keys else [],
        "workers": None if workers is None else _workers(workers),
    }


def _runs(comparison: Comparison, first: Compared, second: Compared) -> dict[str, Any]:
    """Both sides of every pair, a mean over the points that it stands for."""
    by = [*comparison.keys, *RUN]
    ours, theirs = (folder.runs.groupby(by, sort=False)[comparison.metrics].mean() for folder in (first, second))
    both = ours.add_suffix(".a").join(theirs.add_suffix(".b"), how="inner").head(MOST_ROWS).reset_index()
    return {
        "run": [int(run) for run in both["run"]],
        **{end: {name: numbers(both[f"{name}.{end}"]) for name in comparison.metrics} for end in ("a", "b")},
    }


def _points(comparison: Comparison, found: pd.DataFrame) -> list[dict[str, Any]]:
    """Of every setting: the difference over the runs of the points that have it."""
    return [
        {
            "field": field,
            "level": visible(str(level)),
            **{
                name: [*(number(value, 4) for value in (one.mean, one.low, one.high)), one.n]
                for name in comparison.metrics
                if (one := mean_difference(part, name)).n
            },
        }
        for field in comparison.keys
        for level, part in found.groupby(field, sort=False)
    ]


def _workers(found: pd.DataFrame) -> dict[str, Any]:
    shown = found.head(MOST_ROWS)
    columns = [name for name in shown.columns if name != "worker"]
    of = "value" if "value_a" in columns and "value_b" in columns else "points"
    return {
        "worker": [visible(str(name)) for name in shown["worker"]],
        **{name: numbers(shown[name]) for name in columns},
        "of": of,
        "r": number(correlation(found[f"{of}_a"], found[f"{of}_b"])),
        "whole": len(found),
    }


def _distances(folder: Compared, measure: Measure) -> dict[str, Any] | None:
    if folder.rounds is None:
        return None
    by_round = measure.by_round(folder.rounds).groupby("round")["distance"]
    means = by_round.mean()
    return {
        "name": folder.name,
        "rounds": means.index.astype(int).tolist(),
        "mean": numbers(means),
        "error": numbers(by_round.sem().replace(np.nan, 0.0)),
    }
