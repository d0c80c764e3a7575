"""What comes out of a configuration's runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crowd_sim.config import RunConfig
from crowd_sim.crowd.screens import Screened
from crowd_sim.tournament.log import History


@dataclass(frozen=True)
class Outcome:
    """A configuration's runs, simulated and valued.

    Attributes:
        config: the configuration.
        history: of its B = config.runs runs.
        workers: int64[B, n], rows of the crowd; targets: int64[B], −1 where the target is no worker.
        values, stderr: float64[B, n], the accurate Shapley values and their standard errors; None with method `none`.
        kernel_shap: float64[B, n], the paper's estimate; None where its budget is 0 or the method `none`.
        methods: the estimator that made each run's `values`.
        n_evaluations: utility evaluations spent on `values` and on `kernel_shap`, all runs together.
        metrics: float64[B] by name (`METRICS`, `rounds_to_converge` of vectors alone; two for each mechanism that watched,
            and with payment its figures, see `crowd_sim.payment.fairness`); NaN where there is nothing to measure.
        ids: names of the workers, by row.
        details: what the task has to say beyond this.
        pay: float64[B, n]; None without payment.
        clusters: int64[B, n], accounts that were paid as one worker; None where none were merged.
        screened: what screens say, float64[B, n] and bool[B, n]; None without screens.
    """

    config: RunConfig
    history: History
    workers: NDArray[np.int64]
    targets: NDArray[np.int64]
    values: NDArray[np.float64] | None
    stderr: NDArray[np.float64] | None
    kernel_shap: NDArray[np.float64] | None
    methods: tuple[str, ...]
    n_evaluations: dict[str, int]
    metrics: dict[str, NDArray[np.float64]]
    ids: Sequence[str]
    details: Any = None
    pay: NDArray[np.float64] | None = None
    clusters: NDArray[np.int64] | None = None
    screened: Screened | None = None
