"""What workers contributed over the rounds, kept where something asks for it: screens, payment, values of contributions.

The manager gathers every round's contributions and keeps three running statistics of each worker, so that no shard holds
anything that is lost with it:

- ``mean`` float64[B, n, d], the mean contribution (Welford's update, Technometrics 1962);
- ``spread`` float64[B, n], the mean squared distance ‖cᵣ − mean‖² of a worker's contributions from their mean;
- ``nearness`` float64[B, n], the mean distance ‖cᵣ − modelᵣ‖ of contributions from the models that the rounds started from.
"""

from __future__ import annotations

from typing import cast

import numba
import numpy as np
from numpy.typing import NDArray

from crowd_sim.tournament.learner import Learner, PointLearner
from crowd_sim.tournament.request import RoundRequest
from crowd_sim.tournament.rules import Rules
from crowd_sim.tournament.state import Memory


def gathered(rules: Rules, learner: Learner, asked: RoundRequest, evidence: Memory) -> Memory:
    """The evidence after a round, where the rules ask for it: of learners of points alone, see `RunConfig.needs_evidence`."""
    if not rules.evidence:
        return evidence
    return with_round(evidence, cast("PointLearner", learner).contributions(asked), asked.models, asked.round)


def with_round(
    evidence: Memory, given: NDArray[np.float64], models: NDArray[np.float64], number: int
) -> dict[str, NDArray[np.float64]]:
    """The evidence with one more round.

    Args:
        evidence: of the rounds before; empty before the first.
        given: float64[B, n, d], what everyone contributed.
        models: float64[B, d], that the round started from.
        number: of the round, from 1.
    """
    n_runs, n_workers, _ = given.shape
    mean = evidence["mean"].copy() if evidence else np.zeros(given.shape)
    spread = evidence["spread"].copy() if evidence else np.zeros((n_runs, n_workers))
    nearness = evidence["nearness"].copy() if evidence else np.zeros((n_runs, n_workers))
    _update(given, models, float(number), mean, spread, nearness)
    return {"mean": mean, "spread": spread, "nearness": nearness}


@numba.njit(cache=True)
def _update(
    given: NDArray[np.float64],
    models: NDArray[np.float64],
    number: float,
    mean: NDArray[np.float64],
    spread: NDArray[np.float64],
    nearness: NDArray[np.float64],
) -> None:
    for b in range(given.shape[0]):
        for i in range(given.shape[1]):
            away = squared = 0.0
            for j in range(given.shape[2]):
                away += (given[b, i, j] - models[b, j]) ** 2
                before = given[b, i, j] - mean[b, i, j]
                mean[b, i, j] += before / number
                squared += before * (given[b, i, j] - mean[b, i, j])
            spread[b, i] += (squared - spread[b, i]) / number
            nearness[b, i] += (np.sqrt(away) - nearness[b, i]) / number
