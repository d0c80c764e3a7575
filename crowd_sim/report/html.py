"""``report.html``: one self-contained page that says what was run, what came out, and how to read the figures."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from crowd_sim.characters import shell_word, visible
from crowd_sim.integrity import MANIFEST, digests_of
from crowd_sim.paths import exists
from crowd_sim.report.best_point import best_point
from crowd_sim.report.captions import captions_of_run, captions_of_sweep
from crowd_sim.report.choice_page import choice_page
from crowd_sim.report.figures import draw_run, draw_sweep
from crowd_sim.report.labels import (
    METRIC_HEADS,
    METRIC_WORDS,
    field_words,
    mean_and_error,
    metric_words,
    three_digits,
    value_words,
)
from crowd_sim.report.layout import comparable, levels
from crowd_sim.report.llm_page import llm_page
from crowd_sim.report.measures import in_words, measure_of, task_of
from crowd_sim.report.page import (
    OF_VECTORS,
    changed,
    facts_of_this_run,
    figures,
    record,
    settings,
    settings_beside,
    versions,
    worth_rows_of,
)
from crowd_sim.report.paired import RUN
from crowd_sim.report.payload import payload_of_run, payload_of_sweep, script_json
from crowd_sim.report.search_page import search_page
from crowd_sim.report.seeds import over_seeds
from crowd_sim.report.style import write_atomically
from crowd_sim.report.tables import (
    ROUNDS_COLUMNS,
    WORKERS_COLUMNS,
    Kind,
    convergence_distance,
    is_numeric,
    kind_of,
    ordered,
    read_config,
    read_points,
    read_summary,
    read_table,
    swept_fields,
)
from crowd_sim.report.worth import agreement_of_the_others, excluding, worth

_MOST_RUNS = 200_000
"""Of a sweep whose settings are compared run by run."""

_MOST_ROWS, _MOST_VALUES = 200, 40
"""Of what a page without scripts shows; with them, its table has all points."""

BIBTEX = """@article{crowdsft2025,
  title = {Crowd-SFT: Crowdsourcing for LLM Alignment},
  author = {Sotiropoulos and Thottungal Valapu and Lei and Coleman and Krishnamachari},
  journal = {arXiv preprint arXiv:2506.04063},
  year = {2025}
}"""


def write_report(folder: Path) -> Path:
    """Draw the figures of a run's or a sweep's folder and write its ``report.html`` around them.

    The page needs no other file and no network; the same folder gives the same page.

    Raises:
        InputError: if ``folder`` is neither a run's nor a sweep's, or one of its files is missing or broken.
    """
    kind = kind_of(folder)
    page = {"search": False, "live": None} | _PAGES[kind](folder) | frame(folder)
    scripts = {"sweep": ["sweep"], "search": []}.get(kind, ["run"])
    path = write_atomically(folder / "report.html", rendered("report.html", page, scripts).encode())
    shown = digests_of(folder, [path, *(folder / "figures").glob("*.png")])
    lines = "".join(f"{digest}  {name}\n" for name, digest in shown.items())
    write_atomically(folder / MANIFEST, lines.encode())
    return path


def rendered(template: str, page: dict[str, Any], scripts: Sequence[str] = (), connect: bool = False) -> str:
    """A page of this design.

    Args:
        template: its name.
        page: what the template asks for; `data` becomes JSON for the scripts.
        scripts: those of js/ that it needs besides the tools and the page's own.
        connect: whether it may ask its own server.
    """
    names = (
        "vendor/d3.min.js",
        "vendor/plot.min.js",
        "js/tools.js",
        *(f"js/{name}.js" for name in scripts),
        "js/page.js",
    )
    texts = [_shipped(name) for name in names]
    page = (
        {"choices": None}
        | page
        | {
            "css": _shipped("report.css"),
            "scripts": texts,
            "policy": _policy(texts) + ("; connect-src 'self'" if connect else ""),
            "data": script_json(page["data"]),
        }
    )
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("crowd_sim", "report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(page)


def frame(folder: Path) -> dict[str, Any]:
    """What stands around every page's tables."""
    _, config = read_config(folder)
    command = next((name for name in ("sweep", "search") if name in config), "run")
    name = folder.resolve().name  # not where it was: the page is the same wherever it was made
    return {
        "here": facts_of_this_run(folder),
        "name": visible(name),
        "again": f"crowd-sim {command} {shell_word(f'{name}/config.yaml')} --out again",
        "fingerprint": config.get("fingerprint"),
        "changed": changed(config),
        "bibtex": BIBTEX,
    }


def _shipped(name: str) -> str:
    return (files("crowd_sim") / "report" / name).read_text(encoding="utf-8").strip()


def _policy(scripts: Sequence[str]) -> str:
    """What the browser is told to allow: these scripts and no others, and nothing from the network."""
    digests = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    return f"default-src 'none'; img-src data: blob:; style-src 'unsafe-inline'; script-src {allowed}"


def _run_page(folder: Path) -> dict[str, Any]:
    summary = read_summary(folder)
    text, config = read_config(folder)
    runs = read_table(folder, "runs.parquet", ("run",))
    workers = read_table(folder, "workers.parquet", WORKERS_COLUMNS)
    rounds = read_table(folder, "rounds.parquet", ROUNDS_COLUMNS)
    n_workers = int(workers.groupby("run").size().max())
    paid, within = worth_rows_of(workers, config), convergence_distance(config)
    metrics = summary["metrics"]
    rest = {key: value for key, value in summary.items() if key not in ("metrics", "versions", "fingerprint", "files")}
    return {
        "title": "One run" if len(runs) == 1 else f"{len(runs)} runs of one configuration",
        "summary": _in_a_nutshell(metrics, len(runs), within, _of_workers(paid), _among_the_others(workers, config)),
        "worth": paid,
        "data": payload_of_run(rounds, worth(workers, excluding(config)), within),
        "settings": settings(config, OF_VECTORS),
        "n_runs": len(runs),
        "outcome": [_outcome(name, metrics[name], len(runs)) for name in _in_order(metrics)],
        "sweep": None,
        "llm": None,
        "figures": figures(draw_run(folder), captions_of_run(len(runs), n_workers)),
        "record": record(summary, config, rest),
        "versions": versions(summary, config),
        "config": text,
    }


def _sweep_page(folder: Path) -> dict[str, Any]:
    runs = read_table(folder, "runs.parquet", RUN) if exists(folder / "runs.parquet") else None
    if runs is not None and len(runs) > _MOST_RUNS:
        runs = None
    return sweep_page(folder, read_points(folder), runs) | {
        "figures": figures(draw_sweep(folder), captions_of_sweep(measure_of(read_config(folder)[1])))
    }


def sweep_page(folder: Path, points: pd.DataFrame, runs: pd.DataFrame | None = None) -> dict[str, Any]:
    """What the template says of these points of a sweep, and of their runs, without figures."""
    text, config = read_config(folder)
    metrics = in_words([name for name in METRIC_HEADS if _is_told(points, name)], task_of(config))
    swept = [(field_words(field), _list(levels(points, field))) for field in swept_fields(points)]
    n_points = len(points)
    points, seeds = over_seeds(points, runs, metrics)
    fields = swept_fields(points)
    points = points.sort_values(fields, key=_rank, kind="stable") if fields else points
    each = config.get("runs")
    said = [f"Each point was run {each} times."] if isinstance(each, int) and each > 1 else []
    if seeds:
        said.append(
            f"Here the points of {seeds} seeds are one, and means over all their runs; points.parquet has them apart."
        )
    return {
        "title": f"A sweep of {n_points:,} points",
        "worth": None,
        "data": payload_of_sweep(points, metrics, runs, each if isinstance(each, int) else None),
        "summary": [*best_point(points, fields, metrics, measure_of(config), runs), *said],
        "settings": settings_beside(swept, config),
        "n_runs": None,
        "outcome": [],
        "sweep": {
            "fields": [(field_words(field), is_numeric(points[field])) for field in fields],
            "metrics": [METRIC_HEADS[metric] for metric in metrics],
            "rows": [_sweep_row(row, fields, metrics) for row in points.head(_MOST_ROWS).to_dict("records")],
            "heading": "All points"
            if len(points) <= _MOST_ROWS
            else f"The first {_MOST_ROWS:,} of {len(points):,} points",
        },
        "llm": None,
        "figures": [],
        "record": record({}, config, {}),
        "versions": versions({}, config),
        "config": text,
    }


def _is_told(points: pd.DataFrame, metric: str) -> bool:
    """Whether a metric has a column: a correlation that no point knows has none, as there was nothing to correlate."""
    column = f"{metric}_mean"
    measured = metric.startswith(("pearson_", "spearman_"))
    return column in points and not (measured and points[column].isna().all())


def _list(values: Sequence[Any]) -> str:
    words = [value_words(value) for value in (values if len(values) <= _MOST_VALUES else values[: _MOST_VALUES - 1])]
    return ", ".join(
        words if len(values) <= _MOST_VALUES else [*words, f"… {value_words(values[-1])}, {len(values):,} values"]
    )


def _rank(column: pd.Series) -> pd.Series:
    """The place of each value in the order of the figures."""
    name = str(column.name)
    values = comparable(column.to_frame())[name]
    return values.map({value: rank for rank, value in enumerate(ordered(values))})


def _sweep_row(row: dict[Any, Any], fields: list[str], metrics: list[str]) -> dict[str, list[str]]:
    ends = [f"{metric}_{end}" for metric in metrics for end in ("mean", "se")]
    return {
        "fields": [value_words(row[field]) for field in fields],
        "numbers": [three_digits(row.get(name)) for name in ends],
    }


def _in_order(metrics: dict[str, Any]) -> list[str]:
    known = [name for name in METRIC_WORDS if name in metrics]
    return [*known, *[name for name in metrics if name not in METRIC_WORDS]]


def _outcome(name: str, entry: dict[str, Any], n_runs: int) -> tuple[str, str, str]:
    n = int(entry.get("n") or 0)
    shown = _shown(name, entry)
    if shown == "–":
        shown = "never" if name == "rounds_to_converge" else "undefined or not computed"
    return metric_words(name), shown, f"{n} of {n_runs}"


def _shown(name: str, entry: dict[str, Any]) -> str:
    mean, error = entry.get("mean"), entry.get("se")
    if name == "rounds_to_converge" and entry.get("n") == 1 and mean is not None:
        return f"{mean:.0f}"  # one run's round is a count
    return mean_and_error(mean, error)


def _of_workers(paid: dict[str, Any]) -> list[str]:
    """Who is most over- and who most underpaid, in a sentence."""
    named = {words: rows[0] for words, rows in (("over", paid["over"]), ("under", paid["under"])) if rows}
    said = [
        f"most {words}paid is {row['worker']} (rank {row['by_got']} by {paid['got']}, {row['by_value']} by value)"
        for words, row in named.items()
    ]
    return ["Of all workers, " + " and ".join(said) + "."] if said else []


def _among_the_others(workers: pd.DataFrame, config: dict[str, Any]) -> str:
    """The rest of the sentence about correlations where screens have excluded somebody, who has no points."""
    if not excluding(config) or not {"flagged", "shapley"} <= set(workers.columns) or not workers["flagged"].any():
        return ""
    mean, error, _ = agreement_of_the_others(workers)
    return f" of all workers, {mean_and_error(mean, error)} of those whom no screen excluded"


def _in_a_nutshell(
    metrics: dict[str, Any], n_runs: int, within: float, of_workers: Sequence[str], among: str
) -> list[str]:
    """The outcome in sentences; a metric that is missing or undefined has none."""
    said = {name: text for name in metrics if (text := _shown(name, metrics[name])) != "–"}
    sentences = []
    if "pearson_accurate" in said:
        sentences.append(f"Points correlate {said['pearson_accurate']} (Pearson) with accurate Shapley values{among}.")
    sentences += of_workers
    if {"initial_distance", "final_distance"} <= said.keys():
        sentences.append(
            f"The model started {said['initial_distance']} from the target and ended {said['final_distance']} from it."
        )
    if "rounds_to_converge" in metrics:
        came = int(metrics["rounds_to_converge"].get("n") or 0)
        if "rounds_to_converge" not in said:
            sentences.append(f"It never came within {within:g}.")
        elif n_runs == 1:
            sentences.append(f"It first came within {within:g} at round {said['rounds_to_converge']}.")
        else:
            sentences.append(
                f"{came} of {n_runs} runs came within {within:g}, the first time at round {said['rounds_to_converge']}."
            )
    if n_runs > 1:
        sentences.append("Numbers are means ± one standard error over runs.")
    return sentences


_PAGES: dict[Kind, Callable[[Path], dict[str, Any]]] = {
    "run": _run_page,
    "sweep": _sweep_page,
    "search": search_page,
    "llm": llm_page,
    "choice": choice_page,
}
