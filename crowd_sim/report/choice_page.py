"""The page of a run of `classify`, `prefer` or `verify`: how often its model is right, before and after, against the floor."""

from __future__ import annotations

from math import isfinite, nan
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import stdtrit

from crowd_sim.metrics import independent, mean_and_se
from crowd_sim.paths import exists
from crowd_sim.report.captions import captions_of_choice_run
from crowd_sim.report.figures import draw_choice_run
from crowd_sim.report.labels import mean_and_error as words_of
from crowd_sim.report.labels import metric_words, plain, three_digits
from crowd_sim.report.measures import measure_of, task_of
from crowd_sim.report.page import fields_of, figures, record, settings, verbatim, versions, worth_rows_of
from crowd_sim.report.payload import payload_of_run
from crowd_sim.report.tables import ROUNDS_COLUMNS, WORKERS_COLUMNS, read_config, read_summary, read_table
from crowd_sim.report.worth import excluding, worth

_NORMAL_95 = 1.959963984540054
_LONGEST, _MOST = 300, 100
"""Characters of a text, and items, that the page shows."""
_MEASURES = {
    "accuracy": "Accuracy",
    "reward": "Mean reward",
    "log_likelihood": "Log-likelihood of the right choice, nats",
    "calibration_error": "Calibration error",
    "distinct": "Different outputs",
    "win_rate": "Preferred to the model before",
    "repetition": "Repeated 3-grams",
}
"""What is measured of every model, as ``<measure>_<model>``."""
_FLOORS = {
    "classify": "the accuracy of one who always says the label that is right most often",
    "prefer": "the accuracy of one who tosses a coin",
    "verify": "the highest mean reward of one output to all items",
}
_RIGHT = {
    "classify": "What is right of a text is what most of its workers call it",
    "prefer": "What is right of a pair or a response is what most of those say who judge it",
    "verify": "The answer to a prompt is that of most of its workers",
}
_PARTS = {"classify": "choices", "prefer": "choices", "verify": "verified"}


def choice_page(folder: Path) -> dict[str, Any]:
    """Draw the figures of such a run's folder; what the template needs to write the page around them.

    Raises:
        InputError: if a file is missing or not what it should be.
    """
    text, config = read_config(folder)
    task, measure = task_of(config), measure_of(config)
    found = read_summary(folder, _PARTS[task])[_PARTS[task]]
    summary = read_summary(folder)
    rounds = read_table(folder, "rounds.parquet", ROUNDS_COLUMNS)
    workers = read_table(folder, "workers.parquet", WORKERS_COLUMNS)
    runs, items = read_table(folder, "runs.parquet", ("run",)), read_table(folder, "items.parquet", ("run", "item"))
    n_runs, n_items = len(runs), int(items["item"].nunique())
    floor = float(found["floor"]["mean"])
    main = measure.metric.removesuffix("_after")
    ends = {when: _estimate(main, when, found, items) for when in ("before", "after")}
    paid = worth_rows_of(workers, config)
    labels = read_table(folder, "labels.parquet") if task == "classify" and exists(folder / "labels.parquet") else None
    return {
        "title": f"One run of task {task}" if n_runs == 1 else f"{n_runs} runs of task {task}",
        "summary": _sentences(task, main, ends, floor, n_items, n_runs),
        "settings": [*verbatim(config), *settings(config, fields_of(config))],
        "n_runs": n_runs,
        "outcome": [],
        "sweep": None,
        "llm": None,
        "choices": {
            "models": _models(found),
            "rows": [_row(name, words, found, items) for name, words in _MEASURES.items() if _has(name, found)],
            "floor": three_digits(floor),
            "floor_is": _FLOORS[task],
            "right_is": f"{_RIGHT[task]}; where they are tied, there is no item.",
            "n_items": n_items,
            "labels": [] if labels is None else _labels(labels),
            "measure": measure.words,
            "rounds": [_round(row) for row in measure.by_round(rounds).to_dict("records")],
            "others": _others(summary["metrics"], found),
            "verify": task == "verify",
            "items": _items(items, "verify" if task == "verify" else "choose"),
        },
        "worth": paid,
        "data": payload_of_run(rounds, worth(workers, excluding(config)), floor, measure),
        "figures": figures(draw_choice_run(folder, floor), captions_of_choice_run(n_runs, workers, measure)),
        "record": record(summary, config, {"runs": n_runs}),
        "versions": versions(summary, config),
        "config": text,
    }


def _models(found: dict[str, Any]) -> list[str]:
    """The models that something is measured of, those of the rounds first."""
    names = dict.fromkeys(["before", "after"])
    for name in found:
        for measure in _MEASURES:
            if name.startswith(f"{measure}_") and name not in ("reward_accuracy",):
                names[name.removeprefix(f"{measure}_")] = None
    return list(names)


def _has(measure: str, found: dict[str, Any]) -> bool:
    return any(f"{measure}_{model}" in found for model in _models(found))


_Estimate = tuple[float, float, float]
"""A mean and the ends of its 95 % interval, NaN where there is none."""


def _estimate(measure: str, model: str, found: dict[str, Any], items: pd.DataFrame) -> _Estimate:
    """Of several runs by Student's t over them, of one by its items: Wilson's of a share, the normal one of a mean.

    Items of one prompt, such as its pairs, count as far as they are `independent`.

    Numbers that are all the same have none: they do not say how far others would lie apart.
    """
    entry = found.get(f"{measure}_{model}", {})
    mean, error, n = (nan if entry.get(key) is None else float(entry[key]) for key in ("mean", "se", "n"))
    if n > 1:
        if not error:
            return mean, nan, nan
        half = float(stdtrit(n - 1, 0.975)) * error
        return mean, mean - half, mean + half
    own = item_values(measure, model, items)
    if measure == "accuracy" or (own is not None and np.isin(own, (0, 1)).all()):
        return mean, *wilson(mean, independent(own, items["prompt"].tolist()))
    if own is None or len(own) < 2:
        return mean, nan, nan
    half = _NORMAL_95 * mean_and_se(own, items["prompt"].tolist())[1] or nan
    return mean, mean - half, mean + half


def item_values(measure: str, model: str, items: pd.DataFrame) -> NDArray[np.float64] | None:
    """What the items of a table are worth, of which a measure is the mean; None where the table does not say."""
    if measure == "accuracy":
        if f"chosen_{model}" in items.columns:
            return np.array(items[f"chosen_{model}"] == items["right"], dtype=np.float64)
        rewarded = "answer" in items.columns and f"reward_{model}" in items.columns  # of `verify`
        return np.array(items[f"reward_{model}"] >= 0.5, dtype=np.float64) if rewarded else None
    columns = {"reward": f"reward_{model}", "log_likelihood": f"probability_{model}"}
    name = columns.get(measure)
    if name not in items.columns:
        return None
    own = items[name].to_numpy(float)
    return np.log(np.maximum(own, np.finfo(float).tiny)) if measure == "log_likelihood" else own


def wilson(share: float, n: float) -> tuple[float, float]:
    """Wilson's 95 % interval of a share of ``n`` independent items (Wilson 1927); NaN of no share."""
    if not isfinite(share) or n < 1:
        return nan, nan
    z2 = _NORMAL_95**2
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = _NORMAL_95 * np.sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return max(0.0, float(middle - half)), min(1.0, float(middle + half))


def _words(estimate: _Estimate) -> str:
    mean, low, high = estimate
    within = f" ({three_digits(low)} to {three_digits(high)})" if isfinite(low) and isfinite(high) else ""
    return f"{three_digits(mean)}{within}"


def _row(name: str, words: str, found: dict[str, Any], items: pd.DataFrame) -> tuple[str, list[str]]:
    return words, [_words(_estimate(name, model, found, items)) for model in _models(found)]


def _sentences(task: str, main: str, ends: dict[str, _Estimate], floor: float, n_items: int, n_runs: int) -> list[str]:
    """What came of it, and whether it is more than the floor."""
    name = "mean reward" if main == "reward" else "accuracy"
    after = ends["after"]
    sentences = [
        f"After the last round the model's {name} on {n_items:,} items of the report is {_words(after)}; "
        f"before the first it was {_words(ends['before'])}. The floor, {_FLOORS[task]}, is {three_digits(floor)}."
    ]
    if isfinite(after[1]) and isfinite(after[2]):
        if after[1] > floor:
            sentences.append("That is above the floor.")
        elif after[2] < floor:
            sentences.append("That is below the floor.")
        else:
            sentences.append(
                "The interval holds the floor: nothing says that the model has learnt more than a constant."
            )
    over = (
        f"{n_runs} runs"
        if n_runs > 1
        else "the items of one run, clustered by prompt, not over what another seed would give"
    )
    return [*sentences, f"In brackets: 95 % intervals over {over}."]


def _labels(labels: pd.DataFrame) -> list[tuple[str, list[str]]]:
    """Of every label: its items, and how often the model is right on them, means over the runs."""
    means = labels.groupby("right", sort=True)[["items", "accuracy_before", "accuracy_after"]].mean()
    return [
        (
            plain(right, _LONGEST),
            [f"{row['items']:.0f}", *(three_digits(row[name]) for name in means.columns[1:])],
        )
        for right, row in means.iterrows()
    ]


def _round(row: dict[Any, Any]) -> tuple[list[str], str, list[str]]:
    winner = int(row["winner"])
    said = "start" if row["round"] == 0 else "none" if winner < 0 else f"candidate {winner}"
    scores = [three_digits(row[name]) for name in ("model_score", "best_score") if name in row]
    return [str(row["run"]), str(row["round"])], said, [*scores, three_digits(row["distance"])]


def _others(metrics: dict[str, Any], found: dict[str, Any]) -> list[tuple[str, str]]:
    """Metrics of points, pay and screens that there are, and what is measured of no single model."""
    of_models = {f"{measure}_{model}" for measure in _MEASURES for model in _models(found)}
    distances = ("initial_distance", "final_distance", "rounds_to_converge")
    entries = {name: entry for name, entry in metrics.items() if name not in distances}
    entries |= {name: entry for name, entry in found.items() if name not in (*of_models, "floor")}
    return [
        (metric_words(name), words_of(entry.get("mean"), entry.get("se")))
        for name, entry in entries.items()
        if entry.get("mean") is not None
    ]


def _items(items: pd.DataFrame, kind: str) -> list[list[str]]:
    """The first run's first items: prompt, what is right, and what the model said before and after."""
    own = items[items["run"] == items["run"].iloc[0]].sort_values("item").head(_MOST)
    names = ("answer", "output", "reward") if kind == "verify" else ("right", "chosen", "probability")
    right, said, number = names
    return [
        [
            *(_text(row[name]) for name in ("prompt", right)),
            *(
                f"{_text(row[f'{said}_{when}'])} ({three_digits(row[f'{number}_{when}'])})"
                for when in ("before", "after")
            ),
        ]
        for row in own.to_dict("records")
    ]


def _text(value: Any) -> str:
    return plain(value, _LONGEST)
