"""A reward model: what pairs say of responses, as a function of their Φ (Bradley, Terry 1952, doi:10.2307/2334029).

The reward of reinforcement learning from human feedback (Ouyang et al. 2022, arXiv 2203.02155), linear in Φ.
Of equal Φ its bits are the same on every kind of processor.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crowd_sim.elementary import exp
from crowd_sim.linear_algebra import cholesky, gram, solved, times, transposed_times

RIDGE = 30.0
"""Precision of the weights' prior, features standardised. Where labels are noise, as in crowds, a tenth of it is much worse."""
_MOST_STEPS, _NEARLY = 50, 1e-10


@dataclass(frozen=True)
class Reward:
    """Higher is better; only differences mean something.

    Attributes:
        weights: d, of the dimensions of Φ; such that responses it was fitted to have a spread of 1.
    """

    weights: tuple[float, ...]

    def __call__(self, vectors: NDArray[np.float64]) -> NDArray[np.float64]:
        """float64[m, d] → float64[m]."""
        return times(np.ascontiguousarray(vectors), np.array(self.weights))

    def accuracy(self, chosen: NDArray[np.float64], rejected: NDArray[np.float64]) -> float:
        """The share of pairs float64[m, d] whose chosen response has the higher reward; a tie counts half."""
        gaps = self(chosen) - self(rejected)
        return float(((gaps > 0) + 0.5 * (gaps == 0)).mean())


def fit_reward(chosen: NDArray[np.float64], rejected: NDArray[np.float64]) -> Reward:
    """The likeliest reward of pairs, by Newton's method: log σ(w · (chosen − rejected)), less `RIDGE` / 2 |w|².

    Args:
        chosen: float64[m, d], the Φ of each pair's preferred response.
        rejected: float64[m, d], of its other one.
    """
    gaps = np.ascontiguousarray(chosen - rejected)
    scale = np.sqrt((gaps**2).mean(axis=0))
    scale[scale == 0] = 1.0  # a dimension in which no pair differs: its weight is 0
    gaps = gaps / scale
    weights = np.zeros(gaps.shape[1])
    for _ in range(_MOST_STEPS):
        right = 1 / (1 + exp(-times(gaps, weights)))
        curvature = gram(gaps * np.sqrt(right * (1 - right))[:, None])
        upper, _ = cholesky(curvature + RIDGE * np.eye(len(weights)))
        step = solved(upper, transposed_times(gaps, 1 - right) - RIDGE * weights)
        weights = weights + step
        if np.abs(step).max() < _NEARLY:
            break
    fitted = Reward(tuple((weights / scale).tolist()))
    spread = float(fitted(np.concatenate([chosen, rejected])).std())
    return Reward(tuple((weights / scale / (spread or 1.0)).tolist()))
