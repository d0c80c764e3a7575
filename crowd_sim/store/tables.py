"""Outcomes as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from crowd_sim.config import RunConfig
from crowd_sim.crowd.population import Population
from crowd_sim.engine import Outcome
from crowd_sim.metrics import METRICS, mean_and_error, summarise
from crowd_sim.participants import participants_of
from crowd_sim.tournament.log import History

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


def workers_table(outcome: Outcome, population: Population, runs: slice = slice(None)) -> pd.DataFrame:
    """One row per run and worker: who, points, accurate Shapley value with standard error, the paper's Kernel SHAP."""
    import pandas as pd

    workers = outcome.workers[runs]
    columns = {
        "run": np.repeat(np.arange(outcome.config.runs)[runs], workers.shape[1]),
        "worker": np.asarray(population.ids)[workers.ravel()],
        "row": workers.ravel(),
        "points": outcome.history.points[runs].ravel(),
    }
    for name, values in (
        ("shapley", outcome.values),
        ("shapley_stderr", outcome.stderr),
        ("kernel_shap", outcome.kernel_shap),
    ):
        if values is not None:
            columns[name] = values[runs].ravel()
    return pd.DataFrame(columns)


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


def outcome_of(
    tables: Mapping[str, Any],
    config: RunConfig,
    population: Population,
    methods: Sequence[str],
    n_evaluations: dict[str, int],
) -> Outcome:
    """The outcome whose `rounds`, `workers` and `runs` tables these are.

    Raises:
        KeyError, ValueError: a column is missing, or not of the configuration's size.
    """
    rounds, people, runs = tables["rounds"], tables["workers"], tables["runs"]
    workers, targets = participants_of([config], population)

    def by_round(name: str) -> NDArray[Any]:
        return np.ascontiguousarray(rounds[name].to_numpy().reshape(config.runs, config.tournament.rounds + 1).T)

    def by_worker(name: str) -> NDArray[np.float64] | None:
        return people[name].to_numpy().reshape(workers.shape) if name in people else None

    history = History(
        distances=by_round("distance"),
        model_scores=by_round("model_score"),
        best_scores=by_round("best_score")[1:],
        accepted=by_round("accepted")[1:],
        mistakes=by_round("mistake")[1:],
        winners=by_round("winner")[1:],
        points=people["points"].to_numpy().reshape(workers.shape),
    )
    return Outcome(
        config=config,
        history=history,
        workers=workers,
        targets=targets,
        values=by_worker("shapley"),
        stderr=by_worker("shapley_stderr"),
        kernel_shap=by_worker("kernel_shap"),
        methods=tuple(methods),
        n_evaluations=n_evaluations,
        metrics={name: runs[name].to_numpy() for name in METRICS},
    )


def point_metrics(outcome: Outcome) -> dict[str, float]:
    """What a sweep's table says of a point: mean and standard error of every metric over its runs.

    `converged` is the share of runs that came within the convergence distance; `rounds_to_converge` speaks of these only.
    """
    row: dict[str, float] = {}
    for name, sample in outcome.metrics.items():
        row[f"{name}_mean"], row[f"{name}_se"], _ = mean_and_error(sample)
    row["converged"] = float(np.mean(~np.isnan(outcome.metrics["rounds_to_converge"])))
    return row
