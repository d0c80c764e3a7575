"""What pairs that were not answered leave unknown of a size's mean.

Where failures depend on nothing, the pairs that are answered are a random sample of all, drawn without repetition (Cochran,
"Sampling techniques", 3rd edition, 1977, chapter 2), and what is not known is the pairs that were never answered, however
often others were.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]


def of_draws(answered: NDArray[np.bool_], number: float) -> float:
    """The variance of the mean of the ``answered`` among draws bool[m] of a size's pairs, in that of as many from a whole.

    Of M pairs a share q is never answered: to the 1 / (m (1 − q)) of the draws comes the q / (M (1 − q)) of the pairs that
    they are from, together 1 + q m / M of the first.

    Args:
        answered: of the draws.
        number: M.
    """
    failed = 1.0 - float(answered.mean()) if len(answered) else 0.0
    return 1.0 + failed * len(answered) / number


def of_silent_sizes(shares: Sequence[float], heard: Sequence[bool]) -> float:
    """How much larger a variance is for sizes of which no draw was answered: they are as the others, and not known."""
    known = sum(share for share, some in zip(shares, heard, strict=True) if some)
    return (sum(shares) / known) ** 2 if known else 1.0


def misses(answers: NDArray[np.int64]) -> Vector:
    """By how much the weight of each pair of a size is off, float64[M]: its share of the answers int64[M] less 1 / M."""
    return answers / max(int(answers.sum()), 1) - 1.0 / len(answers)


class Gap:
    """What a size that was asked in full does not know: the variance of Σ (weight's miss) × residual over all its pairs.

    The residuals of those that were not answered are as large as the others of their size, and each counts for the players
    whom it tells of.
    """

    def __init__(self, n: int) -> None:
        self._reach = np.zeros(n)
        self._squares = 0.0
        self._count = 0

    def add(self, moved: Vector, off: Vector, residuals: Vector) -> None:
        """Take in what residuals of pairs add to the values float64[m, n], misses float64[m], and residuals float64[any]."""
        self._reach += (moved**2 * (off**2)[:, None]).sum(axis=0)
        self._squares += float((residuals**2).sum())
        self._count += len(residuals)

    @property
    def mean_square(self) -> float:
        """Of the residuals; 0 where there are none."""
        return self._squares / max(self._count, 1)

    def variance(self, largest: float) -> tuple[Vector, float]:
        """Of each value, float64[n], and from how many residuals; of none these are as ``largest``, and as one."""
        return self._reach * (self.mean_square if self._count else largest), max(self._count, 1)


def of_all(gaps: Sequence[Gap], free: float) -> tuple[Vector, Vector]:
    """The variance of the values for all ``gaps``, and the sum of the squares of its parts by their degrees of freedom.

    Args:
        gaps: of the sizes.
        free: how many degrees of freedom the regression has left for an answer.
    """
    largest = max(gap.mean_square for gap in gaps)
    parts = [gap.variance(largest) for gap in gaps]
    least = [max(count * free, 1.0) for _, count in parts]
    together = sum((variance**2 / freedom for (variance, _), freedom in zip(parts, least, strict=True)), np.zeros(1))
    return sum((variance for variance, _ in parts), np.zeros(1)), together
