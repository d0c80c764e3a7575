"""Text outcomes as tables. Only `models` holds times; equal runs have the other tables equal byte for byte."""

from __future__ import annotations

from collections.abc import Iterable, Set
from dataclasses import asdict
from math import isnan
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crowd_sim import tables
from crowd_sim.crowd.screens.metrics import is_of_screens
from crowd_sim.metrics import METRICS, is_of_detection, mean_and_error, mean_and_se, pearson, spearman
from crowd_sim.models.diversity import copied, copied_ngrams, distinct, repetition
from crowd_sim.outcome import Outcome
from crowd_sim.participants import roles
from crowd_sim.payment.fairness import is_of_pay
from crowd_sim.tables import runs_table, screen_columns
from crowd_sim.tasks.adapters.card import winner_words
from crowd_sim.tasks.imitate.honesty import EQUAL_TOKENS, labelled, ranked, reference_of
from crowd_sim.tasks.imitate.records import Report


def rounds_table(outcome: Outcome) -> pd.DataFrame:
    """One row per run and round: scores in selection, and the model after it on fresh outputs."""
    after = {(report.run, report.name): report for report in outcome.details.reports}
    rows = []
    for record in outcome.details.rounds:
        report = after[record.run, f"round_{record.round}"]
        distance, error = mean_and_se(np.array(report.distances))
        rows.append(
            {
                "run": record.run,
                "round": record.round,
                "distance": distance,
                "distance_se": error,
                "model_score": record.model_score,
                "model_score_se": record.model_score_se,
                "best_score": record.best_score,
                "merged_score": np.nan if record.merged_score is None else record.merged_score,
                "accepted": record.accepted,
                "winner": record.winner,
                "mistake": record.mistake,
                "workers": sum(group >= 0 for group in record.assignment),
                "tokens_trained": sum(record.candidate_tokens),
                "tokens_generated": record.tokens_generated,
            }
        )
    return pd.DataFrame(rows)


def candidates_table(outcome: Outcome) -> pd.DataFrame:
    """One row per run, round and candidate."""
    rows = [
        {
            "run": record.run,
            "round": record.round,
            "candidate": k,
            "score": record.candidate_scores[k],
            "score_se": record.candidate_scores_se[k],
            "rank": record.ranks[k],
            "merge_weight": record.merge_weights[k] if record.merge_weights else np.nan,
            "workers": record.assignment.count(k),
            "tokens_trained": record.candidate_tokens[k],
        }
        for record in outcome.details.rounds
        for k in range(len(record.ranks))
    ]
    return pd.DataFrame(rows)


def workers_table(outcome: Outcome) -> pd.DataFrame:
    """One row per run and worker: points and, where they were valued, what retraining says they are worth."""
    crowd, n_runs = outcome.details.crowd, len(outcome.history.points)
    found = roles([outcome.config])
    columns: dict[str, Any] = {
        "run": np.repeat(np.arange(n_runs), crowd.n_workers),
        "worker": np.tile(np.array(crowd.ids), n_runs),
        **({} if found is None else {"bad": found.bad.ravel()}),
        "examples": np.tile([len(examples) for examples in crowd.examples], n_runs),
        "points": outcome.history.points.ravel(),
    }
    columns |= {f"points_{name}": points.ravel() for name, points in outcome.history.observed.items()}
    if outcome.values is not None and outcome.stderr is not None:
        columns["shapley"] = outcome.values.ravel()
        columns["shapley_stderr"] = outcome.stderr.ravel()
        columns["first_order"] = outcome.details.first_order.ravel()
    if outcome.pay is not None:
        columns["pay"] = outcome.pay.ravel()
    return pd.DataFrame(columns | screen_columns(outcome))


def models_table(outcome: Outcome) -> pd.DataFrame:
    """One row per run and model: how far its fresh outputs are from the target, and what it took to make it.

    ``energy`` is their energy distance to the crowd's honest texts. ``distinct`` and ``copied`` are shares of the outputs:
    different ones, and those that are an example of the crowd's; ``copied_5grams`` is the share of their 5-grams that stand in
    an example, ``repetition`` that of an output's 3-grams that have come before in it. ``held_out_loss`` is in nats per token.
    ``concentrated``: see `crowd_sim.tasks.imitate.honesty.labelled`.
    """
    examples = {example.response for own in outcome.details.crowd.examples for example in own}
    rows = [_model_row(report, examples) for report in outcome.details.reports]
    return labelled(pd.DataFrame(rows), outcome.details.floor)


def outputs_table(outcome: Outcome) -> pd.DataFrame:
    """One row per fresh output of every model."""
    return pd.DataFrame(
        [
            {
                "run": report.run,
                "model": report.name,
                "output": i,
                "prompt": report.prompts[i],
                "text": report.texts[i],
                "distance": report.distances[i],
                "score": report.scores[i],
            }
            for report in outcome.details.reports
            for i in range(len(report.texts))
        ]
    )


def card_figures(outcome: Outcome, run: int) -> list[str]:
    """Lines of a model card: distances and trained tokens of all models, and who won each round."""
    details, n_groups = outcome.details, outcome.config.tournament.n_groups
    reports = [report for report in details.reports if report.run == run]
    lines = [
        f"Distance of {len(reports[0].texts)} fresh outputs to the target under Φ = {details.info.phi}:",
        "",
        "| model | mean distance | trained tokens |",
        "| --- | --- | --- |",
    ]
    lines += [f"| {r.name} | {sum(r.distances) / len(r.distances):.4f} | {r.tokens_trained:,} |" for r in reports]
    lines += ["", "| round | winner | score before | best score |", "| --- | --- | --- | --- |"]
    lines += [
        f"| {r.round} | {winner_words(r.winner, n_groups)} | {r.model_score:.4f} | {r.best_score:.4f} |"
        for r in details.rounds
        if r.run == run
    ]
    return lines


def summary(outcome: Outcome, fingerprint: str) -> dict[str, Any]:
    """What summary.json holds.

    LearnerInfo of the learner, how many candidates diverged, mean distance and energy distance by model and what the crowd's
    own texts come to, which model is best and which are concentrated, and how much nearer the tournament came.
    """
    distances, models = _distances(outcome), models_table(outcome)
    final = distances[f"round_{outcome.config.tournament.rounds}"]
    others = [name for name in distances if not name.startswith("round_")]
    content: dict[str, Any] = {
        "fingerprint": fingerprint,
        "runs": outcome.config.runs,
        "learner": asdict(outcome.details.info),
        "diverged": sum(record.n_diverged for record in outcome.details.rounds),
        "distance": {name: _mean(values) for name, values in distances.items()},
        **_honest(outcome, models),
        "reduction_pct": {name: _mean(100 * (1 - final / distances[name])) for name in others},
    }
    if outcome.values is not None:
        content["valuation"] = {
            "method": outcome.methods[0],
            "n_evaluations": outcome.n_evaluations["accurate"],
            **{name: _mean(values) for name, values in _correlations(outcome).items()},
        }
    if outcome.screened is not None:
        content["screens"] = {name: _mean(values) for name, values in outcome.metrics.items() if is_of_screens(name)}
    detected = {name: _mean(values) for name, values in outcome.metrics.items() if is_of_detection(name)}
    if detected:
        content["detection"] = detected
    if outcome.pay is not None:
        content["payment"] = {name: _mean(values) for name, values in outcome.metrics.items() if is_of_pay(name)}
    return content


def _honest(outcome: Outcome, models: pd.DataFrame) -> dict[str, Any]:
    """Energy distances, and what they are to be held against; `ranking` from the best model on."""
    floor, by_name = outcome.details.floor, dict(iter(models.groupby("model")))
    if floor is None:
        return {}
    names = model_names(outcome)
    return {
        "floor": {
            name: None if isinstance(value, float) and isnan(value) else value
            for name, value in asdict(floor).items()
            if name != "kind"
        },
        "energy": {name: _energy(by_name[name]) for name in names},
        "held_out_loss": {name: _mean(by_name[name]["held_out_loss"].to_numpy(float)) for name in names},
        "compared_with": reference_of(names) or "the crowd's texts",
        "concentrated": {name: float(by_name[name]["concentrated"].mean()) for name in names},
        "ranking": ranked(models),
    }


def _energy(own: pd.DataFrame) -> dict[str, float | None]:
    """Mean over runs with its standard error and 95 % interval; of one run over its outputs and the texts."""
    found = _mean(own["energy"].to_numpy(float))
    mean, error = found["mean"], found["se"] if len(own) > 1 else float(own["energy_se"].iloc[0])
    if mean is None or error is None:
        return {"mean": mean, "se": None, "low": None, "high": None}
    half = INTERVAL * error
    return {"mean": mean, "se": error, "low": mean - half, "high": mean + half}


def run_metrics(outcome: Outcome) -> dict[str, NDArray[np.float64]]:
    """What a sweep keeps of every run beside what it keeps of all tasks' runs: float64[B] by name.

    Of every model ``distance_<model>``, ``energy_<model>`` and more of `models_table`; correlations of first-order values with
    the accurate ones, where there are some.
    """
    models = models_table(outcome)
    found = tables.run_metrics(outcome)
    for name in model_names(outcome):
        own = models[models["model"] == name].sort_values("run")
        found |= {f"{column}_{name}": own[column].to_numpy(float) for column in _OF_MODELS}
    if outcome.values is not None:
        correlations = _correlations(outcome)
        found |= {name: correlations[name] for name in ("pearson_first_order", "spearman_first_order")}
    return found


def _correlations(outcome: Outcome) -> dict[str, NDArray[np.float64]]:
    """float64[B] by name: points and first-order values against the Shapley values."""
    first, values, metrics = outcome.details.first_order, outcome.values, outcome.metrics
    assert values is not None  # noqa: S101 - asked for where they were valued
    watched = {
        name: metrics[name]
        for name in metrics
        if name not in METRICS and not is_of_pay(name) and not is_of_screens(name) and not is_of_detection(name)
    }
    return {
        "pearson_points": metrics["pearson_accurate"],
        "spearman_points": metrics["spearman_accurate"],
        "pearson_first_order": pearson(first, values),
        "spearman_first_order": spearman(first, values),
        **watched,
    }


def model_names(outcome: Outcome) -> list[str]:
    """An outcome's models, `in_order`."""
    return in_order(report.name for report in outcome.details.reports)


def in_order(names: Iterable[str]) -> list[str]:
    """Distinct models in the order in which they are shown: base, singles, equal tokens, rounds."""
    return sorted(dict.fromkeys(names), key=lambda name: (name.startswith("round_"), name == EQUAL_TOKENS))


def _distances(outcome: Outcome) -> dict[str, np.ndarray[Any, Any]]:
    """Mean distance of every run by model: float64[B]."""
    return {
        name: np.array([np.mean(report.distances) for report in outcome.details.reports if report.name == name])
        for name in model_names(outcome)
    }


def _model_row(report: Report, examples: Set[str]) -> dict[str, Any]:
    distance, distance_se = mean_and_se(np.array(report.distances))
    score, score_se = mean_and_se(np.array(report.scores))
    return {
        "run": report.run,
        "model": report.name,
        "distance": distance,
        "distance_se": distance_se,
        "score": score,
        "score_se": score_se,
        "energy": report.energy,
        "energy_se": report.energy_se,
        "distinct": distinct(report.texts),
        "copied": copied(report.texts, examples),
        "copied_5grams": copied_ngrams(report.texts, examples),
        "repetition": repetition(report.texts),
        "held_out_loss": report.loss,
        "tokens_trained": report.tokens_trained,
        "tokens_generated": report.tokens_generated,
        "seconds": report.seconds,
    }


def _mean(values: np.ndarray[Any, Any]) -> dict[str, float | None]:
    mean, error, known = mean_and_error(values)
    return {"mean": mean if known else None, "se": error if known > 1 else None}


_OF_MODELS = (
    *("distance", "energy", "distinct", "copied", "copied_5grams", "repetition", "held_out_loss", "concentrated"),
)
"""Columns of the table of models that a sweep keeps."""

INTERVAL = 1.959964
"""Standard errors to either side of a mean, for an interval of 95 %."""

TABLES = {
    "rounds": rounds_table,
    "candidates": candidates_table,
    "workers": workers_table,
    "models": models_table,
    "outputs": outputs_table,
    "runs": runs_table,
}
"""Of a text run's folder, by name."""
