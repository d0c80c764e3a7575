"""Who turns pairs round, by readers that tune no language model: scores of workers, the higher the better.

- expert's reward: a Bradley-Terry reward on Φ, fitted to the trusted pairs, orders a worker's pairs as the worker does;
- values: Shapley values, exact, of the game "fit a reward to a coalition's pairs, how likely does it find the trusted ones".

A reward of all others' pairs is in the product, as the screen `peers`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crowd_sim.models.reward_model import fit_reward
from crowd_sim.valuation import shapley

Sides = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Φ of what is preferred and of what is not, float64[m, d] each."""


@dataclass(frozen=True, eq=False)
class RewardGame:
    """v(S): mean log-likelihood of the trusted pairs under a reward fitted to the pairs of S, in nats; v(∅): log ½.

    Attributes:
        workers: everyone's pairs.
        trusted: those that judge.
    """

    workers: Sequence[Sides]
    trusted: Sides

    @property
    def n_players(self) -> int:
        """Number of workers."""
        return len(self.workers)

    def __call__(self, coalitions: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Utilities float64[m] of coalitions bool[m, n]."""
        return np.array([self._utility(np.flatnonzero(own).tolist()) for own in coalitions])

    def _utility(self, members: Sequence[int]) -> float:
        if not members:
            return float(np.log(0.5))
        pairs = (np.concatenate([self.workers[i][side] for i in members]) for side in (0, 1))
        reward = fit_reward(*pairs)
        return float(-np.logaddexp(0.0, reward(self.trusted[1]) - reward(self.trusted[0])).mean())


def read(workers: Sequence[Sides], trusted: Sides) -> Mapping[str, NDArray[np.float64]]:
    """float64[n] by reader."""
    reward = fit_reward(*trusted)
    return {
        "expert's reward": np.array([reward.accuracy(*own) for own in workers]),
        "values of rewards": shapley(RewardGame(workers, trusted), method="exact").values,
    }
