"""The page of a search: the best setting, what it is worth on held-out seeds, and all trials."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from crowd_sim.report.captions import Caption
from crowd_sim.report.labels import METRIC_HEADS, field_words, mean_and_error, three_digits, value_words
from crowd_sim.report.page import figures, record, settings_beside, versions
from crowd_sim.report.search_figures import draw
from crowd_sim.report.style import png, write_atomically
from crowd_sim.report.tables import is_numeric, read_config, read_table, read_whole_summary

_MOST_ROWS = 200
_COLUMNS = ("trial", "state", "runs", "value")
OPTIONS = ("metric", "direction", "trials", "at_once", "prune", "held_out")
"""Keys of a search's `search` that are no fields."""

_CAPTIONS = {
    "search_history": Caption(
        "How the search went",
        "Each dot is a trial: the mean over its runs. Open: ended early, as the runs it had were clearly worse than those of "
        "the best. Line: the best so far. The best of many noisy trials looks better than it is: what it is worth stands in "
        "the held-out comparison.",
        "column",
    ),
    "search_importance": Caption(
        "What matters?",
        "How much of the metric's variance over the space each field explains by itself and with others (fANOVA on the "
        "trials). With few trials it is rough.",
        "column",
    ),
    "search_by_field": Caption(
        "The metric by every field",
        "Each dot is a trial, by its value of the field. The other fields differ, too.",
        "page",
    ),
}


def draw_search(folder: Path) -> list[Path]:
    """Draw the figures of a search's folder; the files written, in the order in which a report shows them.

    Raises:
        InputError: a file is missing or not what it should be; nothing is drawn then.
    """
    trials, summary = read_table(folder, "trials.parquet", _COLUMNS), read_whole_summary(folder)
    drawn = draw(trials, summary, dict(space_of(folder)))
    return [write_atomically(folder / "figures" / f"{name}.png", png(figure)) for name, figure in drawn.items()]


def space_of(folder: Path) -> Iterator[tuple[str, Any]]:
    """The fields of a search's space, dotted, with what they may be."""
    _, config = read_config(folder)
    search = config.get("search")
    for key, node in search.items() if isinstance(search, dict) else ():
        if key not in OPTIONS:
            yield from _leaves(node, str(key))


def _leaves(node: Any, field: str) -> Iterator[tuple[str, Any]]:
    if isinstance(node, dict) and "low" not in node:
        for key, inner in node.items():
            yield from _leaves(inner, f"{field}.{key}")
    else:
        yield field, node


def search_page(folder: Path) -> dict[str, Any]:
    """What the template shows of a search's folder."""
    trials, summary = read_table(folder, "trials.parquet", _COLUMNS), read_whole_summary(folder)
    text, config = read_config(folder)
    space = dict(space_of(folder))
    metric, best = str(summary["metric"]), summary["best"]
    way = summary["direction"] != "minimize"
    in_order = trials.sort_values("value", ascending=not way, kind="stable")
    several = len(in_order) > _MOST_ROWS
    return {
        "title": f"A search of {len(trials):,} trials",
        "worth": None,
        "data": {"kind": "search"},
        "summary": list(_sentences(summary)),
        "settings": settings_beside([(field_words(name), _range_words(axis)) for name, axis in space.items()], config),
        "n_runs": None,
        "outcome": [],
        "search": True,
        "sweep": {
            "fields": [
                ("Trial", True),
                *((field_words(field), is_numeric(trials[field])) for field in space),
                ("State", False),
                ("Runs", True),
            ],
            "metrics": [METRIC_HEADS.get(metric, metric)],
            "rows": [_row(row, list(space), metric) for row in in_order.head(_MOST_ROWS).to_dict("records")],
            "heading": f"The best {_MOST_ROWS:,} of {len(trials):,} trials"
            if several
            else "All trials, the best first",
        },
        "llm": None,
        "figures": figures(draw_search(folder), _CAPTIONS),
        "record": record(
            summary, config, {"best trial": best["trial"], "metric": metric, "direction": summary["direction"]}
        ),
        "versions": versions({}, config),
        "config": text,
    }


def _sentences(summary: Mapping[str, Any]) -> Iterator[str]:
    metric, best, own, held = (summary.get(name) for name in ("metric", "best", "own", "held_out"))
    assert isinstance(best, dict)  # noqa: S101 - the summary has been read for it
    words = METRIC_HEADS.get(str(metric), str(metric))
    setting = ", ".join(f"{field_words(field)} {value_words(value)}" for field, value in best["values"].items())
    yield f"Best: {words} {mean_and_error(best['value'], best.get('se'))} with {setting}."
    if own and own["trial"] == best["trial"]:
        yield "That is the configuration's own setting: no trial was better."
    elif own:
        yield f"The configuration's own setting has {mean_and_error(own['value'], own.get('se'))}."
    if held and held["gain"] is not None:
        between = (
            ""
            if held["low"] is None
            else f" (95 %: {three_digits(held['low'])} to {three_digits(held['high'])}, "
            f"Student's t over {held['runs']} paired runs)"
        )
        yield (
            f"On {len(held['seeds'])} held-out seeds the best has {three_digits(held['best'])}, the own "
            f"{three_digits(held['own'])}: better by {three_digits(held['gain'])}{between}."
        )
    counts = summary.get("trials") or {}
    ended = [f"{counts[state]:,} {words}" for state, words in _ENDED if counts.get(state)]
    if ended:
        yield f"Of the trials {' and '.join(ended)}."


_ENDED = (("pruned", "were ended early"), ("failed", "failed"))


def _range_words(axis: Any) -> str:
    if not isinstance(axis, dict):
        return ", ".join(value_words(value) for value in axis) if isinstance(axis, list) else value_words(axis)
    said = f"{value_words(axis.get('low'))} to {value_words(axis.get('high'))}"
    if axis.get("log"):
        return f"{said}, logarithmic"
    return said if axis.get("step") is None else f"{said}, by {value_words(axis['step'])}"


def _row(row: Mapping[Any, Any], fields: list[str], metric: str) -> dict[str, list[str]]:
    error = row.get(f"{metric}_se")
    return {
        "fields": [str(row["trial"]), *(_cell(row[field]) for field in fields), str(row["state"]), str(row["runs"])],
        "numbers": [three_digits(row["value"]), three_digits(None if error is None or pd.isna(error) else error)],
    }


def _cell(value: Any) -> str:
    return three_digits(value) if isinstance(value, float) else value_words(value)
