"""The weights of semivalues: how much a player's marginal contribution to k others counts."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crowd_sim.elementary import exp, log, log_factorials
from crowd_sim.errors import InputError
from crowd_sim.valuation.validation import above_zero, finite


def checked_weights(weights: ArrayLike, n: int) -> NDArray[np.float64]:
    """``weights`` float64[n], of k = 0, … n − 1 others.

    Raises:
        InputError: another shape, one below 0, or a sum other than 1.
    """
    weight = finite("weights", weights, (n,))
    if (weight < 0.0).any() or abs(weight.sum() - 1.0) > 1e-9:
        raise InputError("weights", weight.tolist(), "must be at least 0 and sum to 1")
    return weight


def banzhaf_weights(n: int) -> NDArray[np.float64]:
    """C(n − 1, k) / 2^(n − 1): float64[n]."""
    weights = exp(_log_choose(n) - (n - 1) * math.log(2.0))
    return weights / weights.sum()


def beta_weights(n: int, alpha: float, beta: float) -> NDArray[np.float64]:
    """Those of Beta(α, β)-Shapley values, float64[n].

    Raises:
        InputError: α or β not above 0.
    """
    alpha, beta = above_zero("alpha", alpha), above_zero("beta", beta)
    # rising factorials: Γ(x + k) / Γ(x) is a product, and needs no function
    rising = [np.append(0.0, np.cumsum(log(start + np.arange(n - 1.0)))) for start in (beta, alpha)]
    logarithms = _log_choose(n) + rising[0] + rising[1][::-1]
    weights = exp(logarithms - logarithms.max())
    return weights / weights.sum()


def _log_choose(n: int) -> NDArray[np.float64]:
    logs = log_factorials(n - 1)
    return logs[-1] - logs - logs[::-1]
