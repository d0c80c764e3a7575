"""When a score is flagged: a rule relative to the crowd, the same for all screens, with nothing fitted to labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

E = TypeVar("E")
Rule = Callable[[NDArray[np.float64]], NDArray[np.bool_]]
"""Scores float64[n] → who is flagged, bool[n]."""


@dataclass(frozen=True)
class Screen(Generic[E]):
    """A screen.

    Attributes:
        scores: of evidence, float64[n], a worker's suspicion: higher is more suspicious.
        rule: who is flagged.
    """

    scores: Callable[[E], NDArray[np.float64]]
    rule: Rule


def above(floor: float) -> Rule:
    """Of scores of at most 1 those above `floor` and nearer to 1 than to the median: what all do is flagged in nobody."""

    def rule(scores: NDArray[np.float64]) -> NDArray[np.bool_]:
        return scores > max(floor, (1 + _median(scores)) / 2)

    return rule


def outlying(floor: float) -> Rule:
    """Scores above `floor` and more than three standard deviations above the median, as those below the median have it.

    The root mean squared deviation of those below is the standard deviation where nobody is bad and scores are symmetric. The
    bad, who are above, widen it less than the median absolute deviation of Hampel (JASA 1974).
    """

    def rule(scores: NDArray[np.float64]) -> NDArray[np.bool_]:
        median = _median(scores)
        return scores > max(floor, median + 3 * deviation_below(scores))

    return rule


def deviation_below(numbers: NDArray[np.float64]) -> float:
    """Root mean squared deviation from the median of those at most as large; 0 of none."""
    below = numbers[numbers <= _median(numbers)]
    return float(np.sqrt(np.mean((below - _median(numbers)) ** 2))) if len(below) else 0.0


def _median(numbers: NDArray[np.float64]) -> float:
    return float(np.median(numbers)) if len(numbers) else 0.0


def nearer_than(distances: NDArray[np.float64]) -> NDArray[np.float64]:
    """How much smaller each number ≥ 0 is than the median of those above 0, as a share of it: float64[n] → float64[n] ≤ 1.

    What is 0 but for rounding, 1e-9 of the largest, counts as 0; where all are, nobody stands out and all scores are 0.
    """
    there = distances[distances > 1e-9 * distances.max(initial=0.0)]
    return 1 - distances / np.median(there) if len(there) else np.zeros(len(distances))
