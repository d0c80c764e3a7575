"""Reward mechanisms: what a round credits to the workers.

A reward mechanism takes points float64[B, n], what it remembered of the rounds before (arrays by name, none in the first) and
the round's `Round`, and returns the new points float64[B, n] and what it wants to remember. Points must stay non-negative:
their squares weight the centroids.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

from crowd_sim.tournament.calibrated import calibrated
from crowd_sim.tournament.exponentiated import exponentiated
from crowd_sim.tournament.state import Memory, Reward, Round

__all__ = ["REWARDS", "Memory", "Reward", "Round", "calibrated", "exponentiated", "marginal", "rank"]


def rank(points: NDArray[np.float64], memory: Memory, played: Round) -> tuple[NDArray[np.float64], Memory]:
    """In a round that changed the model each member of the group at rank r (0 = first) earns K − r points.

    Source: Crowd-SFT (arXiv 2506.04063).
    """
    selection = played.selection
    n_groups = selection.ranks.shape[1]
    earned = np.where(selection.accepted[:, None], n_groups - selection.ranks, 0)
    total = np.empty(points.shape)
    _add(points, earned, played.assignment, total)
    return total, memory


@numba.njit(cache=True)
def _add(
    points: NDArray[np.float64], earned: NDArray[np.int64], assignment: NDArray[np.int64], out: NDArray[np.float64]
) -> None:
    # NumPy would take several passes, and memory for each
    for b in range(points.shape[0]):
        for i in range(points.shape[1]):
            out[b, i] = points[b, i] + earned[b, assignment[b, i]]


def marginal(points: NDArray[np.float64], memory: Memory, played: Round) -> tuple[NDArray[np.float64], Memory]:
    """Each member earns its candidate's score less the model's: points += candidate score − model score.

    The earlier mechanism of the authors of Crowd-SFT. It has no condition, so every round pays or charges, whether or not
    its winner became the model; a mistake of the selection changes nothing, for scores and not ranks are paid.

    Gains may be negative, points may not, as their squares are weights. So the totals are kept apart (in memory,
    `total` float64[B, n], from 0) and points are 1 + total, everyone's raised by the same amount where someone's total is below
    0, so that the lowest has 1. Neither is a loss forgiven, as a floor for each would, nor do two workers' points differ by
    anything but what they earned; their correlation with anything is that of the totals.
    """
    del points  # the memory says more
    selection = played.selection
    gains = selection.candidate_scores - selection.model_scores[:, None]
    total = np.take_along_axis(gains, played.assignment, axis=1)
    if memory:
        total += memory["total"]
    return 1 + (total - np.minimum(total.min(axis=1, keepdims=True), 0)), {"total": total}


REWARDS: dict[str, Reward] = {
    "rank": rank,
    "marginal": marginal,
    "calibrated": calibrated,
    "exponentiated": exponentiated,
}
