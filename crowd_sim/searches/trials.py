"""Trials as what batches are cut of, and as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import stdtrit

from crowd_sim.config import RunConfig
from crowd_sim.searches.plan import Search
from crowd_sim.searches.trial import Trial
from crowd_sim.sweeps.plan import Point, as_cell
from crowd_sim.tables import metrics_in_order


@dataclass(frozen=True)
class Settings:
    """Configurations by number; see `crowd_sim.sweeps.plan.Points`."""

    first: RunConfig
    points: Mapping[int, Point]
    fields: Mapping[str, Any]

    @classmethod
    def of(cls, plan: Search, configs: Mapping[int, RunConfig]) -> Settings:
        """Of configurations that a search has made."""
        return cls(plan.own, {number: Point(number, {}, config) for number, config in configs.items()}, plan.space)


def trials_table(plan: Search, trials: Sequence[Trial]) -> pd.DataFrame:
    """A row per trial: its number, the fields, state, how many runs it has, the metric's mean over these, every metric."""
    metrics = metrics_in_order(name for trial in trials for name in trial.metrics)
    return pd.DataFrame(
        {
            "trial": [trial.number for trial in trials],
            **{field: _column([trial.values[field] for trial in trials]) for field in plan.space},
            "state": [trial.state for trial in trials],
            "runs": [len(trial.sample) for trial in trials],
            "value": [trial.value for trial in trials],
            **{name: [_or_nan(trial.metrics.get(name)) for trial in trials] for name in metrics},
            **({"error": [trial.error for trial in trials]} if any(trial.error for trial in trials) else {}),
        }
    )


def _column(values: Sequence[Any]) -> list[Any]:
    """The values in the one type that holds all of them."""
    cells = [as_cell(value) for value in values]
    kinds = {type(cell) for cell in cells if cell is not None}
    return cells if kinds <= {int, float} or len(kinds) == 1 else [str(cell) for cell in cells]


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else value


@dataclass(frozen=True, eq=False)
class HeldOut:
    """The best setting and the configuration's own on seeds that the search has not seen.

    Attributes:
        seeds: which.
        own, best: float64[seeds, runs], the metric.
        direction: of the metric.
    """

    seeds: tuple[int, ...]
    own: NDArray[np.float64]
    best: NDArray[np.float64]
    direction: str

    @property
    def gains(self) -> NDArray[np.float64]:
        """By how much the best is better in every run that both have a value of: the same workers, targets and draws."""
        sign = 1.0 if self.direction == "maximize" else -1.0
        found = sign * (self.best - self.own).ravel()
        return found[~np.isnan(found)]

    def summary(self) -> dict[str, Any]:
        """Means, and the mean gain with the 95 % interval of Student's t over all runs; None for what is not known."""
        gains = self.gains
        n = len(gains)
        mean = float(gains.mean()) if n else float("nan")
        half = float(stdtrit(n - 1, 0.975) * gains.std(ddof=1) / np.sqrt(n)) if n > 1 else float("nan")
        told = {"own": _mean(self.own), "best": _mean(self.best), "gain": mean, "low": mean - half, "high": mean + half}
        by_seed = [_known(_mean(best) - _mean(own)) for own, best in zip(self.own, self.best, strict=True)]
        known = {name: _known(value) for name, value in told.items()}
        return {"seeds": list(self.seeds), "runs": n, **known, "difference_by_seed": by_seed}

    def table(self) -> pd.DataFrame:
        """A row per setting, seed and run: the metric."""
        seeds, runs = self.own.shape
        return pd.DataFrame(
            {
                "setting": np.repeat(["own", "best"], seeds * runs),
                "seed": np.tile(np.repeat(self.seeds, runs), 2),
                "run": np.tile(np.arange(runs), 2 * seeds),
                "value": np.concatenate([self.own.ravel(), self.best.ravel()]),
            }
        )


def _mean(sample: NDArray[np.float64]) -> float:
    known = sample[~np.isnan(sample)]
    return float(known.mean()) if len(known) else float("nan")


def _known(value: float) -> float | None:
    return None if np.isnan(value) else value
