"""What there is to know of a round once it is played, and what a reward mechanism makes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crowd_sim.tournament.selection import Selection


@dataclass(frozen=True)
class Played:
    """A round of B runs.

    Attributes:
        round: its number, from 1.
        rounds: R, how many there will be.
        step: float64[B], δ.
        assignment: int64[B, n], the group of every worker.
        weights: float64[B, n], the weight of every worker in its group's centroid.
        selection: scores, ranks and winners.
    """

    round: int
    rounds: int
    step: NDArray[np.float64]
    assignment: NDArray[np.int64]
    weights: NDArray[np.float64]
    selection: Selection


Memory = Mapping[str, NDArray[Any]]
"""What a reward mechanism remembers from round to round; empty before the first."""

Reward = Callable[[NDArray[np.float64], Memory, Played], tuple[NDArray[np.float64], Memory]]
