"""The page of an LLM run's folder: which model came how near, round by round, and what it wrote before and after."""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import pandas as pd

from crowd_sim.report.captions import captions_of_llm_run
from crowd_sim.report.figures import draw_llm_run
from crowd_sim.report.labels import model_words, three_digits
from crowd_sim.report.llm_numbers import (
    distance_words,
    energy_of,
    energy_words,
    is_concentrated,
    model_row,
    percent_words,
    reduction,
    round_row,
    worth_rows,
)
from crowd_sim.report.page import OF_IMITATING, figures, look_up, record, settings, verbatim, versions, worth_rows_of
from crowd_sim.report.payload import payload_of_run
from crowd_sim.report.tables import (
    CANDIDATES_COLUMNS,
    LLM_ROUNDS_COLUMNS,
    MODELS_COLUMNS,
    OUTPUTS_COLUMNS,
    VALUE_COLUMNS,
    WORKERS_COLUMNS,
    read_config,
    read_summary,
    read_table,
)
from crowd_sim.report.worth import excluding, worth
from crowd_sim.tasks.imitate.honesty import EQUAL_TOKENS
from crowd_sim.tasks.imitate.tables import in_order
from crowd_sim.valuation.result import NORMAL_95

_NAMED = 3
"""Models that are named as not told from the best."""
_PAIRS = 500
"""Outputs that the page shows of each of the two models."""
_LONGEST = 600
"""Characters of an output that it shows."""

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

_FACTS = {
    "phi": "Φ",
    "n_dimensions": "Dimensions of Φ",
    "device": "Device",
    "dtype": "Computed in",
    "n_parameters": "Parameters per adapter",
    "n_cut": "Examples cut",
    "n_cut_targets": "Target texts cut",
}


def llm_page(folder: Path) -> dict[str, Any]:
    """Draw the figures of an LLM run's folder; what the template needs to write the page around them.

    Raises:
        InputError: if a file is missing or not what it should be.
    """
    summary = read_summary(folder, "distance")
    text, config = read_config(folder)
    models = read_table(folder, "models.parquet", MODELS_COLUMNS)
    outputs = read_table(folder, "outputs.parquet", OUTPUTS_COLUMNS)
    rounds = read_table(folder, "rounds.parquet", LLM_ROUNDS_COLUMNS)
    candidates = read_table(folder, "candidates.parquet", CANDIDATES_COLUMNS)
    workers = read_table(folder, "workers.parquet", WORKERS_COLUMNS)
    names, n_runs = in_order(models["model"]), models["run"].nunique()
    n_outputs = len(outputs) // (n_runs * len(names))
    final = names[-1]
    others = [name for name in names if not name.startswith("round_")]
    nearer = {name: reduction(outputs, final, name) for name in others}
    distances = {name: distance_words(models[models["model"] == name]) for name in names}
    valued = set(workers.columns) >= VALUE_COLUMNS
    captions = captions_of_llm_run(n_runs, workers["worker"].nunique(), n_outputs, valued=valued)
    return {
        "title": "One LLM run" if n_runs == 1 else f"{n_runs} LLM runs of one configuration",
        "summary": [
            *_honestly(models, summary, final, config),
            *_in_a_nutshell(models, names, distances, nearer, n_runs),
            _lineage(rounds, candidates),
        ],
        "settings": [*verbatim(config), *settings(config, OF_IMITATING)],
        "n_runs": n_runs,
        "outcome": [],
        "sweep": None,
        "llm": {
            "models": [model_row(name, models, distances[name], nearer.get(name)) for name in names],
            "n_outputs": n_outputs,
            "rounds": [round_row(row, candidates) for row in rounds.to_dict("records")],
            "worth": worth_rows(summary),
            "learner": [(words, _fact(summary, name)) for name, words in _FACTS.items()],
            "after": model_words(final),
            **_samples(outputs, final),
        },
        "data": payload_of_run(rounds, worth(workers, excluding(config)), None),
        "worth": worth_rows_of(workers, config),
        "figures": figures(draw_llm_run(folder), captions),
        "record": record(summary, config, {}),
        "versions": versions(summary, config),
        "config": text,
    }


def _honestly(models: pd.DataFrame, summary: dict[str, Any], final: str, config: dict[str, Any]) -> list[str]:
    """How the final model's outputs are distributed; nothing in folders of earlier versions, which do not say it."""
    floor, ranking = summary.get("floor"), summary.get("ranking")
    if not isinstance(floor, dict) or not isinstance(ranking, list) or not ranking:
        return []
    by_name = dict(iter(models.groupby("model")))
    kept = floor.get("held_out") and look_up(config, "crowd.held_out") != 0
    kind = "held-out texts" if kept else "target's texts"
    sentences = [
        f"After the last round, the energy distance of fresh outputs and the {kind} is {energy_words(by_name[final])}; the "
        f"base model's is {energy_words(by_name['base'])}, and equal distributions have 0. {_best(ranking, by_name)} "
        f"The mean distance of the {kind} themselves to the target is "
        f"{three_digits(floor.get('distance'))}: to come nearer than that is no imitation."
    ]
    labelled = [model_words(name) for name in in_order(models["model"]) if is_concentrated(by_name[name])]
    if labelled:
        against = model_words(str(summary.get("compared_with")))
        sentences.append(
            f"Concentrated, nearer than {against} with less variety, more copying or a larger energy distance: "
            f"{'; '.join(labelled)}. Their distances below say nothing for them."
        )
    return sentences


def _best(ranking: list[str], by_name: Mapping[Any, pd.DataFrame]) -> str:
    """Which model is the best by energy distance, where its error tells it from all others."""
    (mean, error), *others = [energy_of(by_name[name]) for name in ranking]
    near = [
        model_words(name)
        for name, (own, its) in zip(ranking[1:], others, strict=True)
        if not abs(own - mean) > NORMAL_95 * (error**2 + its**2) ** 0.5
    ]
    first = model_words(ranking[0])
    if not near:
        return f"By it the best model is {first}."
    rest = f" and {len(near) - _NAMED} more" if len(near) > _NAMED else ""
    named = f"{', '.join(near[:_NAMED])}{rest}"
    return f"By it no model is surely the best: {first} comes first, and its error does not tell it from {named}."


def _in_a_nutshell(
    models: pd.DataFrame,
    names: list[str],
    distances: dict[str, str],
    nearer: dict[str, tuple[float, float]],
    n_runs: int,
) -> list[str]:
    sentences = [
        f"After the last round, fresh outputs are {distances[names[-1]]} from the target; the base model's, "
        f"{distances['base']}.",
    ]
    but = ", but by concentration" if is_concentrated(models[models["model"] == names[-1]]) else ""
    sizes = [size for name in nearer if (size := name.removeprefix("single_")).isdigit()]
    tuned_on = {f"single_{size}": f"{size} examples" for size in sizes[-1:]} | {EQUAL_TOKENS: "as many tokens"}
    sentences += [
        f"Against a single model tuned on {words}, the distance is reduced by {percent_words(nearer[name])}{but}."
        for name, words in tuned_on.items()
        if name in nearer
    ]
    return [*sentences, "Numbers are means ± one standard error over " + ("runs." if n_runs > 1 else "outputs.")]


def _lineage(rounds: pd.DataFrame, candidates: pd.DataFrame) -> str:
    """What the first run's rounds went on with."""
    own = rounds[rounds["run"] == rounds["run"].iloc[0]].sort_values("round")
    steps = [str(round_row(row, candidates)["winner"]) for row in own.to_dict("records")]
    return f"Lineage{' of the first run' if len(own) < len(rounds) else ''}: {' → '.join(['base', *steps])}."


def _fact(summary: dict[str, Any], name: str) -> str:
    learner = summary.get("learner")
    value = learner.get(name) if isinstance(learner, dict) else None
    return "–" if value is None else f"{value:,}" if isinstance(value, int) else str(value)


def _samples(outputs: pd.DataFrame, final: str) -> dict[str, Any]:
    """The first outputs of the first run, as they came, of the base model and of the final one."""
    own = outputs[outputs["run"] == outputs["run"].iloc[0]].sort_values("output").set_index("output")
    base, after = (own[own["model"] == name].head(_PAIRS) for name in ("base", final))
    return {
        "prompt": base["prompt"].iloc[0] if len(set(base["prompt"])) == 1 else None,
        "samples": [
            {"prompt": row["prompt"], **_compared(_output(row), _output(after.loc[number]))}
            for number, row in base.iterrows()
        ],
    }


def _output(row: pd.Series) -> dict[str, str]:
    text = str(row["text"]).strip()
    shown = _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)
    cut = shown if len(shown) <= _LONGEST else shown[: _LONGEST - 1] + "…"
    return {"text": cut, "distance": three_digits(row["distance"])}


def _compared(before: dict[str, str], after: dict[str, str]) -> dict[str, Any]:
    """Both texts in parts: what only the first has marked `del`, what only the second has `ins`."""
    first, second = (re.findall(r"\s+|[^\s]+", output["text"]) for output in (before, after))
    old: list[tuple[str, str]] = []
    new: list[tuple[str, str]] = []
    for tag, i, j, k, m in SequenceMatcher(None, first, second, autojunk=False).get_opcodes():
        kinds = ("", "") if tag == "equal" else ("del", "ins")
        old += [(kinds[0], "".join(first[i:j]))] if j > i else []
        new += [(kinds[1], "".join(second[k:m]))] if m > k else []
    return {"before": before | {"parts": old}, "after": after | {"parts": new}}
