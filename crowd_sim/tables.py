"""Outcomes as tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from crowd_sim.metrics import METRICS, mean_and_error, summarise
from crowd_sim.outcome import Outcome
from crowd_sim.participants import roles

if TYPE_CHECKING:  # importing it costs half a second, and a run's tables are its last work
    import pandas as pd


def rounds_table(outcome: Outcome) -> pd.DataFrame:
    """One row per run and round; round 0 is the start, where `best_score` is NaN and `winner` −1."""
    import pandas as pd

    history = outcome.history
    n_rounds, n_runs = history.accepted.shape

    def from_start(rows: np.ndarray[Any, Any], first: float) -> np.ndarray[Any, Any]:
        return np.concatenate([np.full((1, n_runs), first, dtype=rows.dtype), rows]).T.ravel()

    return pd.DataFrame(
        {
            "run": np.repeat(np.arange(n_runs), n_rounds + 1),
            "round": np.tile(np.arange(n_rounds + 1), n_runs),
            "distance": history.distances.T.ravel(),
            "model_score": history.model_scores.T.ravel(),
            "best_score": from_start(history.best_scores, np.nan),
            "accepted": from_start(history.accepted, False),
            "winner": from_start(history.winners, -1),
            "mistake": from_start(history.mistakes, False),
        }
    )


def workers_table(outcome: Outcome, runs: slice = slice(None)) -> pd.DataFrame:
    """One row per run and worker: who, points, accurate Shapley value with standard error, the paper's Kernel SHAP.

    Where workers are bad, `bad` says who, and `identity_of` names the worker that is the first account of the operator.
    """
    import pandas as pd

    workers = outcome.workers[runs]
    columns = {
        "run": np.repeat(np.arange(outcome.config.runs)[runs], workers.shape[1]),
        "worker": np.asarray(outcome.ids)[workers.ravel()],
        "row": workers.ravel(),
        **_roles(outcome, runs),
        "points": outcome.history.points[runs].ravel(),
        **{f"points_{name}": points[runs].ravel() for name, points in outcome.history.observed.items()},
        **{
            f"points{name and '_'}{name}_stderr": errors[runs].ravel()
            for name, errors in outcome.history.errors.items()
        },
    }
    for name, values in (
        ("shapley", outcome.values),
        ("shapley_stderr", outcome.stderr),
        ("kernel_shap", outcome.kernel_shap),
        ("pay", outcome.pay),
        ("cluster", outcome.clusters),
    ):
        if values is not None:
            columns[name] = values[runs].ravel()
    return pd.DataFrame(columns | screen_columns(outcome, runs))


def screen_columns(outcome: Outcome, runs: slice = slice(None)) -> dict[str, NDArray[Any]]:
    """Of the table of workers: `screen_<name>`, higher is more suspicious, and `flagged`; empty without screens."""
    if outcome.screened is None:
        return {}
    scores = {f"screen_{name}": scores[runs].ravel() for name, scores in outcome.screened.scores.items()}
    return {**scores, "flagged": outcome.screened.flagged[runs].ravel()}


def _roles(outcome: Outcome, runs: slice) -> dict[str, NDArray[Any]]:
    found = roles([outcome.config])
    if found is None:
        return {}
    names = np.asarray(outcome.ids)[found.data(outcome.workers)[runs].ravel()]
    return {"bad": found.bad[runs].ravel(), "identity_of": names}


def runs_table(outcome: Outcome) -> pd.DataFrame:
    """One row per run: distance at the start and every metric."""
    import pandas as pd

    return pd.DataFrame(
        {
            "run": np.arange(outcome.config.runs),
            "initial_distance": outcome.history.distances[0],
            **outcome.metrics,
        }
    )


def summary(outcome: Outcome, fingerprint: str) -> dict[str, Any]:
    """What a run's summary.json holds: no time and no place, so that equal runs have equal summaries."""
    return {
        "fingerprint": fingerprint,
        "runs": outcome.config.runs,
        "methods": sorted(set(outcome.methods)),
        "n_evaluations": outcome.n_evaluations,
        "metrics": summarise({"initial_distance": outcome.history.distances[0], **outcome.metrics}),
    }


TABLES = {"rounds": rounds_table, "workers": workers_table, "runs": runs_table}
"""Of a vector run's folder, by name."""


def run_metrics(outcome: Outcome) -> dict[str, NDArray[np.float64]]:
    """What a sweep keeps of every run: float64[B] by name."""
    return {"initial_distance": outcome.history.distances[0], **outcome.metrics}


def point_metrics(runs: Mapping[str, NDArray[np.float64]]) -> dict[str, float]:
    """What a sweep's table says of a point: mean and standard error of every metric of `run_metrics` but the start's.

    `converged` is the share of runs that came within the convergence distance, and `rounds_to_converge` speaks of these only;
    of tasks without such a distance neither is there.
    """
    row: dict[str, float] = {}
    for name, sample in runs.items():
        if name != "initial_distance":
            row[f"{name}_mean"], row[f"{name}_se"], _ = mean_and_error(sample)
    if "rounds_to_converge" in runs:
        row["converged"] = float(np.mean(~np.isnan(runs["rounds_to_converge"])))
    return row


_FIRST = ("initial_distance", *(f"{name}{part}" for name in METRICS for part in ("", "_mean", "_se")), "converged")


def metrics_in_order(names: Iterable[str]) -> list[str]:
    """Distinct metrics in a sweep's order, which does not depend on which point had which: those of all points first."""
    there = set(names)
    return [*(name for name in _FIRST if name in there), *sorted(there.difference(_FIRST))]
