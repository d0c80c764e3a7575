"""Games whose players are all alike, as a majority of heads: what a coalition is worth, its size says."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

_ROUNDING = 1e-12  # relative

Vector = NDArray[np.float64]


def alike_values(coalitions: NDArray[np.bool_], utilities: Vector) -> tuple[Vector, float] | None:
    """The values less their mean, zeros float64[n], and their standard error; ``None`` if size does not tell everything.

    The error is Laplace's, as that of `greatest_values`, but size by size, as a vote is told apart at few sizes alone: where c
    coalitions agree with the first of theirs, one in c + 2 may be worth something else, and a size weighs 1 / n in a value.

    Args:
        coalitions: bool[m, n].
        utilities: float64[m], theirs.
    """
    n = coalitions.shape[1]
    sizes, first, size, number = np.unique(
        coalitions.sum(axis=1), return_index=True, return_inverse=True, return_counts=True
    )
    rounding = _ROUNDING * float(np.abs(utilities).max())
    if (np.abs(utilities - utilities[first][size]) > rounding).any():
        return None
    seen = dict(zip(sizes.tolist(), number.tolist(), strict=True))
    unseen = math.fsum(1.0 / (seen.get(k, 0) + 1) for k in range(1, n) if seen.get(k, 0) < math.comb(n, k))
    return np.zeros(n), float(np.ptp(utilities)) * unseen / n
