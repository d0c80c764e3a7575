"""Draws that all agree: what they leave to be known.

Where all that was evaluated is one number, the values are 0 (but for rounding), and nothing tells by how much a coalition that
was not seen would differ: there is no standard error, NaN. Where only v(∅) or v(N) differs from the rest, that is the size of a
difference, and of c other coalitions that agree one in c + 2 may be worth as much without having been seen (Laplace's rule of
succession): that is the standard error, at least. 0 is for values of which nothing was drawn: where draws leave nothing to
chance, as of an additive game, the standard error is rounding's size.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_ROUNDING = 8.0 * np.finfo(np.float64).eps

Vector = NDArray[np.float64]


@dataclass(eq=False)
class Seen:
    """The utilities of one game that an estimator was told, by their extremes; NaN does not count.

    Attributes:
        lowest, highest: of all coalitions.
        inner_lowest, inner_highest: of those between the empty and the grand one.
    """

    lowest: float = np.inf
    highest: float = -np.inf
    inner_lowest: float = np.inf
    inner_highest: float = -np.inf

    @classmethod
    def of(cls, utilities: Vector) -> Seen:
        """Of utilities float64[m] of any coalitions."""
        seen = cls()
        seen.note(utilities, lambda: np.zeros(len(utilities), dtype=np.int_), 0)
        return seen

    def note(self, utilities: Vector, sizes: Callable[[], NDArray[np.int_]], n: int) -> None:
        """Take in utilities float64[m] of coalitions of ``sizes`` int64[m], looked at only while they matter."""
        self.lowest = min(self.lowest, float(np.fmin.reduce(utilities, initial=np.inf)))
        self.highest = max(self.highest, float(np.fmax.reduce(utilities, initial=-np.inf)))
        if self.drawn_agree:
            within = sizes()
            inner = utilities[(within > 0) & (within < n)]
            self.inner_lowest = min(self.inner_lowest, float(np.fmin.reduce(inner, initial=np.inf)))
            self.inner_highest = max(self.inner_highest, float(np.fmax.reduce(inner, initial=-np.inf)))

    @property
    def rounding(self) -> float:
        """What is no difference."""
        return _ROUNDING * max(abs(self.lowest), abs(self.highest)) if self.highest >= self.lowest else 0.0

    @property
    def range(self) -> float:
        """By how much they differ; 0 where all are one number, or there are none."""
        apart = self.highest - self.lowest
        return apart if apart > self.rounding else 0.0

    @property
    def drawn_agree(self) -> bool:
        """Whether all of those between the empty and the grand coalition are one number."""
        return self.inner_highest - self.inner_lowest <= self.rounding


def seen_in(coalitions: NDArray[np.bool_], utilities: Vector) -> Seen:
    """What coalitions bool[m, n] with utilities float64[m] say."""
    seen = Seen()
    seen.note(utilities, lambda: coalitions.sum(axis=1), coalitions.shape[1])
    return seen


def unsure(stderr: Vector, seen: Seen, count: int) -> Vector:
    """Standard errors [...] of what was drawn with ``count`` evaluations, both ends among them, where these agree."""
    if seen.range == 0.0:
        return np.full_like(stderr, np.nan)
    if seen.drawn_agree:
        return np.maximum(stderr, seen.range / max(count, 2))  # one in c + 2
    return np.where(stderr == 0.0, seen.rounding, stderr)


def unsure_alone(stderr: Vector, draws: Vector) -> Vector:
    """Standard errors float64[n] of the means of ``draws`` float64[m, n], of a player each, where a player's all agree.

    Those of others tell by how much they may differ, if these do.
    """
    agree = np.ptp(draws, axis=0) <= _ROUNDING * np.abs(draws).max(initial=0.0)
    if agree.all():
        return stderr
    return np.where(agree, np.maximum(stderr, np.ptp(draws) / (len(draws) + 2)), stderr)
