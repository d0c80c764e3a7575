"""Reward mechanisms: what a round credits to the workers.

A reward mechanism takes points float64[B, n], what it remembered of the rounds before (None in the first) and the round's
`Played`, and returns the new points float64[B, n] and what it wants to remember. Points must stay non-negative: their squares
weight the centroids.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crowd_sim.tournament.selection import Selection


@dataclass(frozen=True)
class Played:
    """What there is to know of a round once it is played.

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


Reward = Callable[[NDArray[np.float64], Any, Played], tuple[NDArray[np.float64], Any]]


def rank(points: NDArray[np.float64], memory: None, played: Played) -> tuple[NDArray[np.float64], None]:
    """In a round that changed the model each member of the group at rank r (0 = first) earns K − r points.

    Source: Crowd-SFT (arXiv 2506.04063).
    """
    selection = played.selection
    n_groups = selection.ranks.shape[1]
    earned = np.where(selection.accepted[:, None], n_groups - selection.ranks, 0)
    return points + np.take_along_axis(earned, played.assignment, axis=1), memory


REWARDS: dict[str, Reward] = {"rank": rank}
