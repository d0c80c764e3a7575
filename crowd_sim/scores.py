"""Scores: how well a point in R^d meets the target. Higher is better.

A score takes points float64[..., d] and targets that broadcast against them, and returns float64[...].
It stands below both the tournament (which ranks candidates) and the valuation (whose games score coalitions).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Score = Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]


def l2(x: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """Minus the Euclidean distance, −‖x − target‖₂."""
    difference = x - target
    return -np.sqrt((difference * difference).sum(axis=-1))


def squared_l2(x: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """Minus the squared Euclidean distance, −‖x − target‖₂²."""
    difference = x - target
    return -(difference * difference).sum(axis=-1)


def l1(x: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """Minus the Manhattan distance, −‖x − target‖₁."""
    return -np.abs(x - target).sum(axis=-1)


def dot(x: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """The inner product x · target."""
    return (x * target).sum(axis=-1)


SCORES: dict[str, Score] = {"l2": l2, "l1": l1, "dot": dot, "squared_l2": squared_l2}
