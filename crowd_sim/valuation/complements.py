"""Coalitions each followed by its complement, as paired designs evaluate them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def with_complements(coalitions: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """bool[m, n] → bool[2m, n]: rows 2i and 2i + 1 are coalition i and all the others."""
    return np.stack([coalitions, ~coalitions], axis=1).reshape(-1, coalitions.shape[1])
