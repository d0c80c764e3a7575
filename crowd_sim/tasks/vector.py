"""The vector learner: a model is a point in R^d, tuning moves it towards a group's centroid.

Source: Crowd-SFT (arXiv 2506.04063), vector simulation: candidate = model + δ (centroid − model).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def tune(
    models: NDArray[np.float64], group_sums: NDArray[np.float64], step: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The candidates of a round.

    Args:
        models: float64[B, d].
        group_sums: float64[B, K, d + 1], per group the weighted sum of its members' vectors and the sum of their weights.
        step: float64[B], δ.

    Returns:
        float64[B, K, d]. A group of total weight 0 (empty, or of workers without points) leaves the model where it is.
    """
    total = group_sums[..., -1:]
    base = models[:, None, :]
    with np.errstate(invalid="ignore", divide="ignore"):
        moved = base + step[:, None, None] * (group_sums[..., :-1] / total - base)
    return np.where(total > 0, moved, base)
