"""What the screens of vectors look at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class VectorEvidence:
    """What is known of n workers' contributions after some rounds of one run.

    Attributes:
        mean: float64[n, d], a worker's mean contribution.
        spread: float64[n], mean squared distance of its contributions from their mean.
        nearness: float64[n], mean distance of its contribution and the model that the round started from.
    """

    mean: NDArray[np.float64]
    spread: NDArray[np.float64]
    nearness: NDArray[np.float64]
