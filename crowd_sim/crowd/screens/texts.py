"""What the screens of texts look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from crowd_sim.crowd.screens.shingles import near_duplicates
from crowd_sim.crowd.texts import Example


@dataclass(frozen=True, eq=False)
class TextEvidence:
    """The examples of n workers, and where Φ puts them.

    Attributes:
        examples: of each worker.
        offsets: float64[m, d] of each worker, Φ(response) − target of its m examples.
    """

    examples: Sequence[Sequence[Example]]
    offsets: Sequence[NDArray[np.float64]]

    @cached_property
    def workers(self) -> NDArray[np.int64]:
        """int64[N]: the worker of every example, in order."""
        return np.repeat(np.arange(len(self.examples)), [len(own) for own in self.examples])

    @cached_property
    def pairs(self) -> NDArray[np.int64]:
        """int64[p, 2]: places of examples whose responses are near-duplicates, first < second."""
        return near_duplicates([example.response for own in self.examples for example in own])

    def share(self, examples: NDArray[np.bool_] | NDArray[np.float64]) -> NDArray[np.float64]:
        """Mean over each worker's examples of a number per example, [N] → float64[n]; 0 for a worker without examples."""
        sums = np.bincount(self.workers, weights=examples.astype(np.float64), minlength=len(self.examples))
        return sums / np.maximum(np.bincount(self.workers, minlength=len(self.examples)), 1)
