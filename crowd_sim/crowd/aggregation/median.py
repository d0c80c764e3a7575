"""The weighted median of every coordinate: half of the weight is at or below it, half at or above it.

Where two numbers are that, as with an even number of equal weights, it is their mean. Source: Yin, Chen, Ramchandran, Bartlett,
"Byzantine-robust distributed learning: towards optimal statistical rates", ICML 2018 (arXiv 1803.01498).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from crowd_sim.crowd.aggregation.base import settled
from crowd_sim.crowd.aggregation.order_statistics import order_statistics, totals
from crowd_sim.crowd.protocol import Crowd
from crowd_sim.tournament.request import RoundRequest


def median(crowd: Crowd, asked: RoundRequest) -> NDArray[np.float64]:
    """A group whose weights are 0 keeps the model."""
    weight = totals(crowd, asked)[:, :, 0]
    half = np.repeat(weight[:, :, None] / 2, 2, axis=2)
    found = order_statistics(crowd, asked, half, (False, True), weighted=True)
    low, high = found[..., 0], found[..., 1]
    middle = np.where(low == high, low, (low + high) / 2)
    return settled(middle, weight > 0)
