"""Reward mechanisms: what a round's outcome credits to the workers.

A reward mechanism takes points float64[B, n], the assignment int64[B, n] of workers to groups and the round's `Selection`,
and returns the new points float64[B, n]. Points must stay non-negative: their squares weight the centroids.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from crowd_sim.tournament.selection import Selection

Reward = Callable[[NDArray[np.float64], NDArray[np.int64], Selection], NDArray[np.float64]]


def rank(points: NDArray[np.float64], assignment: NDArray[np.int64], selection: Selection) -> NDArray[np.float64]:
    """In a round that changed the model each member of the group at rank r (0 = first) earns K − r points.

    Source: Crowd-SFT (arXiv 2506.04063).
    """
    n_groups = selection.ranks.shape[1]
    earned = np.where(selection.accepted[:, None], n_groups - selection.ranks, 0)
    return points + np.take_along_axis(earned, assignment, axis=1)


REWARDS: dict[str, Reward] = {"rank": rank}
