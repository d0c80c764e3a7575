"""The random streams of one round of a batch of runs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crowd_sim.random import Purpose, uniforms


@dataclass(frozen=True)
class RoundStreams:
    """Opens the streams (seed, run, round, purpose) of B runs at one round.

    Attributes:
        seeds: uint64[B].
        runs: uint64[B], the number of each run among its replicates.
        round: 1 for the first round; 0 is the start.
    """

    seeds: NDArray[np.uint64]
    runs: NDArray[np.uint64]
    round: int

    def of(self, runs: slice) -> RoundStreams:
        """The streams of some of the runs."""
        return RoundStreams(self.seeds[runs], self.runs[runs], self.round)

    def uniforms(self, purpose: Purpose, n: int) -> NDArray[np.float64]:
        """`n` numbers in [0, 1) per run: float64[B, n]."""
        return uniforms(self.seeds, self.runs, self.round, purpose, n)
