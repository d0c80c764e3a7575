"""Trials: settings that a search has tried, and what came of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from crowd_sim.metrics import mean_and_error

TrialState = Literal["complete", "pruned", "failed"]


@dataclass(frozen=True, eq=False)
class Trial:
    """A setting that was tried.

    Attributes:
        number: which one, from 0.
        values: of the space's fields.
        state: complete, pruned (ended before all its runs were played) or failed (its code raised, or its values are not
            allowed together, or no run has the metric).
        sample: float64[runs], the metric of every run that was played; NaN where a run has none.
        metrics: of all its runs, by the columns of points.parquet; None where there is none.
        error: why it failed.
        traceback: where that was raised.
    """

    number: int
    values: Mapping[str, Any]
    state: TrialState
    sample: NDArray[np.float64]
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    error: str = ""
    traceback: str = ""

    @property
    def value(self) -> float:
        """The mean of the metric over its runs; NaN where it failed."""
        return mean_and_error(self.sample)[0]


def best_of(trials: Sequence[Trial], direction: str) -> Trial | None:
    """Of those that were completed, the best; of equal ones the first."""
    sign = 1.0 if direction == "minimize" else -1.0
    return min((t for t in trials if t.state == "complete"), key=lambda t: (sign * t.value, t.number), default=None)
