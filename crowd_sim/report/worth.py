"""Who was worth what: points beside values, and how far the two rank a worker apart."""

from __future__ import annotations

import numpy as np
import pandas as pd

from crowd_sim.report.tables import VALUE_COLUMNS

_NORMAL_95 = 1.959963984540054


def worth(workers: pd.DataFrame) -> pd.DataFrame:
    """A row per run and worker: `run`, `worker`, `points`, `rank_points` and, where there are values, what they say.

    Those are `value`, `error` (its standard error), `rank_value` and `gap` = rank by value − rank by points, in the run: above
    0 whoever is placed higher by points than by value, and so paid more than others of that worth. Ties share a mean rank.
    `points_…` of the mechanisms that only watched, `pay`, `bad` and `flagged` come with them where the workers have them.
    """
    own = workers.groupby("run", sort=False)
    found = pd.DataFrame(
        {
            "run": workers["run"],
            "worker": workers["worker"].astype(str),
            "points": workers["points"],
            "rank_points": own["points"].rank(ascending=False),
        }
    )
    if set(workers.columns) >= VALUE_COLUMNS and workers["shapley"].notna().any():
        found["value"], found["error"] = workers["shapley"], workers["shapley_stderr"]
        found["rank_value"] = own["shapley"].rank(ascending=False)
        found["gap"] = found["rank_value"] - found["rank_points"]
    observed = [name for name in workers.columns if str(name).startswith("points_")]
    for name in (*observed, "pay", "bad", "flagged"):
        if name in workers.columns:
            found[name] = workers[name]
    return found.reset_index(drop=True)


def by_worker(found: pd.DataFrame) -> pd.DataFrame:
    """Means over a worker's runs, the first in points first; the error is that of the mean of the values."""
    counted = found.groupby("worker", sort=False).size().rename("runs")
    numbers = [name for name in found.columns if name not in ("run", "worker", "error")]
    table = found.groupby("worker", sort=False)[numbers].mean().join(counted)
    if "error" in found.columns:
        squares = found.assign(error=found["error"] ** 2).groupby("worker", sort=False)["error"].sum(min_count=1)
        table["error"] = np.sqrt(squares) / table["runs"]
    return table.reset_index().sort_values("points", ascending=False, kind="stable").reset_index(drop=True)


def over_and_underpaid(table: pd.DataFrame, most: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The workers with the largest gaps above 0, and those with the largest below, the largest first."""
    if "gap" not in table.columns:
        return table.head(0), table.head(0)
    ranked = table.sort_values("gap", kind="stable")
    return ranked[ranked["gap"] > 0].tail(most).iloc[::-1], ranked[ranked["gap"] < 0].head(most)


def interval(value: float, error: float) -> tuple[float, float]:
    """The 95 % interval of a value."""
    return value - _NORMAL_95 * error, value + _NORMAL_95 * error
