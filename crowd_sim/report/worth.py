"""Who was worth what: points beside values, and how far the two rank a worker apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from crowd_sim.metrics import mean_and_error, pearson
from crowd_sim.report.tables import VALUE_COLUMNS

_NORMAL_95 = 1.959963984540054


def worth(workers: pd.DataFrame, excludes: bool = False) -> pd.DataFrame:
    """A row per run and worker: `run`, `worker`, `points`, `rank_points` and, where there are values, what they say.

    Those are `value`, `error` (its standard error), `rank_value` and `gap` = rank by value − rank by pay in the run, or by
    points where nobody is paid: above 0 whoever is placed higher by what it gets than by value. Ties share a mean rank.
    `points_…` of the mechanisms that only watched, `pay` with `rank_pay`, `bad` and `flagged` come with them where the workers
    have them.

    Args:
        workers: the table of workers.
        excludes: whether who is flagged was excluded, and got nothing: it is then in no rank, and no rank counts it.
    """
    own = (workers[~workers["flagged"].astype(bool)] if excludes and "flagged" in workers.columns else workers).groupby(
        "run", sort=False
    )
    found = pd.DataFrame(
        {
            "run": workers["run"],
            "worker": workers["worker"].astype(str),
            "points": workers["points"],
            "rank_points": own["points"].rank(ascending=False),
        }
    )
    if "pay" in workers.columns:
        found["rank_pay"] = own["pay"].rank(ascending=False)
    if set(workers.columns) >= VALUE_COLUMNS and workers["shapley"].notna().any():
        found["value"], found["error"] = workers["shapley"], workers["shapley_stderr"]
        found["rank_value"] = own["shapley"].rank(ascending=False)
        found["gap"] = found["rank_value"] - found[f"rank_{got_by(found)}"]
    observed = [name for name in workers.columns if str(name).startswith("points_")]
    for name in (*observed, "pay", "bad", "flagged"):
        if name in workers.columns:
            found[name] = workers[name]
    return found.reset_index(drop=True)


def got_by(found: pd.DataFrame) -> str:
    """What workers are over- or underpaid by: `pay` where they are paid, else `points`."""
    return "pay" if "rank_pay" in found.columns else "points"


def excluding(config: Mapping[str, Any]) -> bool:
    """Whether a configuration, as nested dictionaries, has screens that exclude whom they flag."""
    screens = config.get("screens")
    return isinstance(screens, Mapping) and screens.get("action") == "exclude"


def agreement_of_the_others(workers: pd.DataFrame) -> tuple[float, float, int]:
    """Pearson correlation of points with values among those whom no screen has excluded: mean over runs, error, how many runs.

    Among all, whoever is excluded counts with no points.

    Args:
        workers: the table of workers, with values and `flagged`.
    """
    own = workers[~workers["flagged"].astype(bool)].groupby("run", sort=False)
    each = [pearson(*(run[[name]].to_numpy(float).T for name in ("points", "shapley")))[0] for _, run in own]
    return mean_and_error(np.array(each or [np.nan]))


def marks(row: Mapping[Any, Any], excludes: bool) -> str:
    """Of a worker: bad, flagged or excluded; the share of its runs where it was not all of them."""
    words = {"bad": "bad", "flagged": "excluded" if excludes else "flagged"}
    by_share: dict[float, list[str]] = {}
    for name, word in words.items():
        if row.get(name):
            by_share.setdefault(float(row[name]), []).append(word)
    return ", ".join(
        ", ".join(said) if share == 1 else f"{' and '.join(said)} in {share:.0%} of its runs"
        for share, said in by_share.items()
    )


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
    """The workers with the largest gaps above 0, and those with the largest below, the largest first.

    Who is paid nothing is not overpaid: values below 0 are all paid alike. Who gets nothing and is worth nothing, or less, is
    neither: its rank among all who get nothing is that of a tie.
    """
    if "gap" not in table.columns:
        return table.head(0), table.head(0)
    ranked = table[(table[got_by(table)] != 0) | ~(table["value"] <= 0)].sort_values("gap", kind="stable")
    over = ranked[(ranked["gap"] > 0) & (ranked["pay"] > 0 if "pay" in ranked.columns else True)]
    return over.tail(most).iloc[::-1], ranked[ranked["gap"] < 0].head(most)


def interval(value: float, error: float) -> tuple[float, float]:
    """The 95 % interval of a value."""
    return value - _NORMAL_95 * error, value + _NORMAL_95 * error
