"""The weighted mean, as in the paper (Crowd-SFT, arXiv 2506.04063). One pass."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from crowd_sim.crowd.protocol import Crowd
from crowd_sim.tournament.request import RoundRequest


def mean(crowd: Crowd, asked: RoundRequest) -> NDArray[np.float64]:
    """Weighted sums and the sums of weights."""
    return crowd.group_sums(asked)
