"""Games whose players are all alike, as a majority of heads: what a coalition is worth, its size says."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_ROUNDING = 1e-12  # relative

Vector = NDArray[np.float64]


def alike_values(coalitions: NDArray[np.bool_], utilities: Vector) -> tuple[Vector, float] | None:
    """The values less their mean, zeros float64[n], and their standard error; ``None`` if size does not tell everything.

    The error is that of `greatest_values`, the first coalition of each size being no check.

    Args:
        coalitions: bool[m, n].
        utilities: float64[m], theirs.
    """
    _, first, size = np.unique(coalitions.sum(axis=1), return_index=True, return_inverse=True)
    rounding = _ROUNDING * float(np.abs(utilities).max())
    if (np.abs(utilities - utilities[first][size]) > rounding).any():
        return None
    checks = len(utilities) - len(first)
    return np.zeros(coalitions.shape[1]), float(np.ptp(utilities)) / (checks + 2)
