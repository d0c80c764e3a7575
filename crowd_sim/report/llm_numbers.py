"""The numbers of an LLM run's page, as its tables show them."""

from __future__ import annotations

from typing import Any

import pandas as pd

from crowd_sim import metrics
from crowd_sim.report.labels import mean_and_error, model_words, three_digits

_CORRELATIONS = {
    "pearson_points": "Points against Shapley values (Pearson)",
    "spearman_points": "Points against Shapley values (Spearman)",
    "pearson_first_order": "First-order values against Shapley values (Pearson)",
    "spearman_first_order": "First-order values against Shapley values (Spearman)",
}


def reduction(outputs: pd.DataFrame, model: str, other: str) -> tuple[float, float]:
    """How much nearer `model` came than `other`, 1 − distance / other distance, and its standard error.

    Of several runs: the mean of the runs' own and the error over them. Of one run: from its pairs of outputs, which answer the
    same prompts, by linearising the ratio; the error of the draw of outputs, not of what another training would have given.

    Args:
        outputs: the columns ``run``, ``model``, ``output`` and ``distance`` of ``outputs.parquet``.
        model: a name in ``model``.
        other: another.
    """
    pairs = outputs.pivot_table(index=["run", "output"], columns="model", values="distance", dropna=False)
    means = pairs.groupby(level="run").mean()
    of_runs = (1 - means[model] / means[other]).to_numpy(float)
    if len(of_runs) > 1:
        mean, error, _ = metrics.mean_and_error(of_runs)
        return mean, error
    left = (pairs[model] - (1 - of_runs[0]) * pairs[other]).to_numpy(float) / means[other].to_numpy(float)[0]
    return float(of_runs[0]), metrics.mean_and_error(left)[1]


def distance_words(rows: pd.DataFrame) -> str:
    """A model's distance: over its runs, or of its one run over the outputs."""
    mean, error, n_runs = metrics.mean_and_error(rows["distance"].to_numpy(float))
    return mean_and_error(mean, error if n_runs > 1 else float(rows["distance_se"].iloc[0]))


MARK = "*"
"""Of a concentrated model, where room is scarce."""


def energy_words(rows: pd.DataFrame) -> str:
    """A model's energy distance: over its runs, or of its one run over the outputs; a dash in folders of earlier versions."""
    return "–" if "energy" not in rows else mean_and_error(*energy_of(rows))


def energy_of(rows: pd.DataFrame) -> tuple[float, float]:
    """A model's energy distance and its standard error: over its runs, or of its one run over the outputs."""
    mean, error, n_runs = metrics.mean_and_error(rows["energy"].to_numpy(float))
    return mean, error if n_runs > 1 else float(rows["energy_se"].iloc[0])


def is_concentrated(rows: pd.DataFrame) -> bool:
    """Whether a model is concentrated in half of its runs or more."""
    return "concentrated" in rows and bool(rows["concentrated"].mean() >= 0.5)


def percent_words(nearer: tuple[float, float]) -> str:
    """A reduction and its standard error, in percent."""
    mean, error = nearer
    return f"{mean_and_error(100 * mean, 100 * error)} %"


def model_row(name: str, models: pd.DataFrame, distance: str, nearer: tuple[float, float] | None) -> dict[str, Any]:
    """A model in the table of models; `nearer` is the final one's `reduction` against it, of baselines alone."""
    own = models[models["model"] == name]
    return {
        "name": model_words(name) + (", concentrated" if is_concentrated(own) else ""),
        "numbers": [
            energy_words(own),
            distance,
            "" if nearer is None else percent_words(nearer),
            *(
                f"{100 * own[share].mean():.0f} %" if share in own else "–"
                for share in ("distinct", "copied", "copied_5grams", "repetition")
            ),
            three_digits(own["held_out_loss"].mean() if "held_out_loss" in own else None),
            f"{own['tokens_trained'].mean():,.0f}",
            f"{own['tokens_generated'].mean():,.0f}",
            f"{own['seconds'].mean():.1f}",
        ],
    }


def round_row(row: dict[Any, Any], candidates: pd.DataFrame) -> dict[str, Any]:
    """A round in the table of rounds."""
    own = candidates[(candidates["run"] == row["run"]) & (candidates["round"] == row["round"])]
    winner = int(row["winner"])
    best = own.sort_values("score", ascending=False, kind="stable").iloc[0]  # NaN last
    return {
        "place": [str(row["run"]), str(row["round"])],
        "winner": "none" if winner < 0 else "merged" if winner == len(own) else f"candidate {winner}",
        "numbers": [
            f"{row['workers']:,}",
            mean_and_error(row["model_score"], row["model_score_se"]),
            mean_and_error(best["score"], best["score_se"]),
            three_digits(row["merged_score"]),
            mean_and_error(row["distance"], row["distance_se"]),
            f"{row['tokens_trained']:,}",
            f"{row['tokens_generated']:,}",
        ],
    }


def worth_rows(summary: dict[str, Any]) -> list[tuple[str, str]]:
    """What the summary says about values by retraining; empty where nothing was valued."""
    found = summary.get("valuation")
    if not isinstance(found, dict):
        return []
    rows = [("Estimator", str(found.get("method"))), ("Coalitions retrained", f"{found.get('n_evaluations', 0):,}")]
    for name, words in _CORRELATIONS.items():
        entry = found.get(name) or {}
        said = mean_and_error(entry.get("mean"), entry.get("se"))
        rows.append((words, "undefined" if said == "–" else said))
    return rows
