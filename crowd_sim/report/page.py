"""What the pages of all kinds of folders have in common: settings, record, versions, figures."""

from __future__ import annotations

import base64
import json
import math
import platform
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pandas as pd

from crowd_sim.characters import visible
from crowd_sim.config import RunConfig
from crowd_sim.report.captions import Caption
from crowd_sim.report.labels import FIELD_WORDS, field_words, minus, plain, three_digits, value_words
from crowd_sim.report.measures import task_of
from crowd_sim.report.worth import by_worker, excluding, got_by, interval, marks, over_and_underpaid, worth

_NAMED, _SHOWN = 5, 50
"""Workers named as over- and underpaid, and rows of a page without scripts."""


# Shown above the full configuration, which stands at the end.
_OF_TEXTS = ("tournament.search", "tournament.incumbent", "tournament.drop_used")
_COMMON_OF_TEXTS = (
    *("crowd.source", "crowd.n_workers", "tournament.n_groups", "tournament.rounds", "tournament.grouping"),
    *("tournament.reward", "tournament.mistake_probability", "valuation.method", *_OF_TEXTS),
)
_TRAINING = ("task.rank", "task.alpha", "task.epochs", "task.batch_size", "task.learning_rate")
_BAD = tuple(field for field in FIELD_WORDS if field.startswith("crowd.bad."))
OF_VECTORS = tuple(field for field in FIELD_WORDS if field != "runs" and not field.startswith(("task.", *_OF_TEXTS)))
"""Fields that say what a run of vectors is."""
OF_IMITATING = (
    *_COMMON_OF_TEXTS,
    "tournament.score",
    *(field for field in FIELD_WORDS if field.startswith("task.") and field not in ("task.verifier.kind",)),
    "seed",
)
"""Fields that say what a run of `imitate` is."""
_OF_CHOICES = ("task.kind", "task.objective", *_COMMON_OF_TEXTS, *_TRAINING, "crowd.held_out", *_BAD)
_BY_TASK = {
    "imitate": OF_IMITATING,
    "classify": (*_OF_CHOICES, "payment.rule", "seed"),
    "prefer": (*_OF_CHOICES, "payment.rule", "seed"),
    "verify": (
        *(*_OF_CHOICES, "task.verifier.kind", "task.verifier.pattern"),
        *("task.generation.max_new_tokens", "task.generation.temperature", "payment.rule", "seed"),
    ),
}
# Texts that stand as they are: an underscore in a path is an underscore.
_VERBATIM = {"crowd.path": "File of the crowd", "crowd.target": "Target", "task.model": "Base model"}


def fields_of(config: dict[str, Any]) -> tuple[str, ...]:
    """The fields that say what a run of a configuration's task is."""
    return _BY_TASK.get(task_of(config), OF_VECTORS)


def verbatim(config: dict[str, Any]) -> list[tuple[str, str]]:
    """Files and models, by the names that a reader meets."""
    found = [(words, look_up(config, field)) for field, words in _VERBATIM.items()]
    return [(words, str(value)) for words, value in found if value is not None]


def settings(config: dict[str, Any], fields: Iterable[str]) -> list[tuple[str, str]]:
    """The fields of a configuration that are set, by the names and values that a reader meets."""
    found = [(field, look_up(config, field)) for field in fields]
    return [(field_words(field), value_words(value)) for field, value in found if value is not None]


def settings_beside(varied: Sequence[tuple[str, str]], config: dict[str, Any]) -> list[tuple[str, str]]:
    """What varies, by names and values, and then what is the same for all."""
    same = [*(verbatim(config) if task_of(config) != "vector" else ()), *settings(config, fields_of(config))]
    return [*varied, *(entry for entry in same if entry[0] not in dict(varied))]


def look_up(config: dict[str, Any], field: str) -> Any:
    """The value of a dotted field, None where a configuration has none."""
    value: Any = config
    for part in field.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def record(summary: dict[str, Any], config: dict[str, Any], rest: dict[str, Any]) -> list[tuple[str, str]]:
    """What identifies the run: its fingerprint, and whatever single values its summary holds besides."""
    fingerprint = summary.get("fingerprint", config.get("fingerprint"))
    entries = [("Fingerprint", str(fingerprint))] if fingerprint is not None else []
    for key, value in rest.items():
        if isinstance(value, float):
            entries.append((key.capitalize(), three_digits(value)))
        elif isinstance(value, str | int):
            entries.append((key.capitalize(), str(value)))
    return entries


def facts_of_this_run(folder: Path) -> list[tuple[str, str]]:
    """What may differ between equal runs: when, where and how long; what is not known is left out."""
    entries: list[tuple[str, str]] = []
    statuses = [found for path in sorted(folder.glob("status*.json")) if (found := _json(path))]
    if started := [float(status["started"]) for status in statuses if isinstance(status.get("started"), int | float)]:
        moment = datetime.fromtimestamp(min(started), tz=UTC)
        entries.append(("Started", f"{moment:%Y-%m-%d %H:%M} UTC"))
    if hosts := sorted({str(status["host"]) for status in statuses if "host" in status}):
        entries.append(("Host", ", ".join(hosts)))
    seconds = _json(folder / "timing.json").get("seconds")
    if isinstance(seconds, int | float):
        entries.append(("Took", f"{seconds:.1f} s" if seconds < 100 else str(timedelta(seconds=round(seconds)))))
    return entries


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def changed(config: dict[str, Any]) -> list[tuple[str, str, str]]:
    """The fields of a configuration that differ from the defaults: name, value, default.

    A field that a sweep varies is there by its values, ``sweep.…``, alone: what stands beside them is that of the first point.
    """
    defaults, said = dict(_leaves(RunConfig().model_dump(mode="json"))), leaves(config)
    found = [(name, value, defaults.get(name)) for name, value in said.items() if f"sweep.{name}" not in said]
    return [(name, setting(value), setting(default)) for name, value, default in found if value != default]


def leaves(config: dict[str, Any]) -> dict[str, Any]:
    """What a configuration says of results, by dotted field."""
    return {name: value for name, value in _leaves(config) if not name.startswith(_NOT_FIELDS)}


_NOT_FIELDS = ("format", "digest", "versions", "fingerprint", "lineage", "weights", "working_folder", "actors.")


def _leaves(node: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in node.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def setting(value: Any) -> str:
    """A configuration's value as it is written in a table."""
    return (
        "–"
        if value is None
        else plain(json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else value, 200)
    )


def worth_rows_of(workers: pd.DataFrame, config: Mapping[str, Any]) -> dict[str, Any]:
    """Of the section on workers: the most over- and underpaid, and the first rows for a page without scripts."""
    excludes = excluding(config) and "flagged" in workers.columns
    found = worth(workers, excludes)
    table = by_worker(found)
    over, under = over_and_underpaid(table, _NAMED)
    n_runs = int(found["run"].nunique())
    valued = "value" in table.columns
    means = "Means over the runs a worker took part in. " if n_runs > 1 else ""
    games = "the runs' games" if n_runs > 1 else "the game"
    got, marked = got_by(found), sorted({"bad", "flagged"} & set(table.columns))
    gap = (
        f"Rank gap: rank by value − rank by {got}; above 0, a worker is placed higher by {got} than by value. "
        f"The interval, of the value, says how far the estimate of {games} may be off, not what other runs would give; exact: "
        "nothing was sampled."
        if valued
        else "Nobody was valued (valuation.method is none)."
    )
    return {
        "over": [_gap_row(row, got) for row in over.to_dict("records")],
        "under": [_gap_row(row, got) for row in under.to_dict("records")],
        "first": [
            _first_row(row) | {"marks": [marks(row, excludes)] if marked else []}
            for row in table.head(_SHOWN).to_dict("records")
        ],
        "valued": valued,
        "got": got,
        "paid": "pay" in table.columns,
        "marked": " or ".join(marked).capitalize(),
        "note": means
        + gap
        + (" Who is flagged was excluded by screens: no points, no pay, in no rank." if excludes else ""),
    }


def _first_row(row: dict[Any, Any]) -> dict[str, Any]:
    return {"worker": visible(str(row["worker"])), "numbers": worth_numbers(row)}


def worth_numbers(row: dict[Any, Any]) -> list[str]:
    """Points and, of a worker who was valued, value, its 95 % interval and the rank gap; the pay of who is paid."""
    numbers = [three_digits(row["points"])]
    if "value" in row:
        low, high = interval(row["value"], row["error"])
        exact = "each game exact" if row.get("runs", 1) > 1 else "exact"
        within = (
            "unknown" if math.isnan(low) else exact if low == high else f"{three_digits(low)} to {three_digits(high)}"
        )
        numbers += [three_digits(row["value"]), within, signed(row["gap"])]
    return [*numbers, three_digits(row["pay"])] if "pay" in row else numbers


def signed(gap: float) -> str:
    """A rank gap with its sign."""
    return "–" if math.isnan(gap) else "0" if gap == 0 else minus(f"{gap:+.3g}")


def _gap_row(row: dict[Any, Any], got: str) -> dict[str, str]:
    names = {"by_got": f"rank_{got}", "by_value": "rank_value"}
    return {"worker": visible(str(row["worker"])), "gap": signed(row["gap"])} | {
        name: f"{row[column]:.3g}" for name, column in names.items()
    }


def versions(summary: dict[str, Any], config: dict[str, Any]) -> list[tuple[str, str]]:
    """The versions the run recorded, and those that drew this page."""
    recorded = summary.get("versions") or config.get("versions")
    entries = [(f"{name}", f"{value}") for name, value in recorded.items()] if isinstance(recorded, dict) else []
    drawn = [f"{name} {_installed(name)}" for name in ("crowd-sim", "matplotlib", "pandas")]
    return [*entries, ("This page", ", ".join([*drawn, f"Python {platform.python_version()}"]))]


def _installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:  # a working directory shipped to a cluster is not installed
        return "(not installed)"


def figures(paths: list[Path], captions: dict[str, Caption]) -> list[dict[str, str]]:
    """Pictures with what stands under them, ready for the template."""
    return [
        {
            "data": base64.b64encode(path.read_bytes()).decode("ascii"),
            "alt": captions[path.stem].title,
            "title": captions[path.stem].title,
            "text": captions[path.stem].text,
            "width": captions[path.stem].width,
        }
        for path in paths
    ]
