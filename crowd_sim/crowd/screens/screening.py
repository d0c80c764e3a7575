"""The screens of vectors on all runs of a batch, and what follows for the workers' weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crowd_sim.crowd.screens import VECTOR_SCREENS, Screened, screened
from crowd_sim.crowd.screens.duplicate_vectors import copies
from crowd_sim.crowd.screens.vectors import VectorEvidence

Evidence = Mapping[str, NDArray[np.float64]]
"""Of B runs, as `crowd_sim.tournament.evidence` keeps it."""


def screened_runs(evidence: Evidence, use: tuple[str, ...]) -> Screened:
    """What the screens say of B runs: scores float64[B, n], flagged bool[B, n]."""
    found = [screened(VECTOR_SCREENS, of_run, use) for of_run in _runs(evidence)]
    scores = {name: np.stack([one.scores[name] for one in found]) for name in found[0].scores}
    return Screened(scores, np.stack([one.flagged for one in found]))


@dataclass(frozen=True)
class Screening:
    """What screens do to weights. Between rounds nothing is kept but the evidence: a run that was stopped goes on alike.

    Attributes:
        merge: duplicates share one worker's weight; else who is flagged weighs nothing.
        use: names of the screens; empty: all.
        from_round: the first round in which it shows.
    """

    merge: bool
    use: tuple[str, ...]
    from_round: int

    def weights(self, weights: NDArray[np.float64], evidence: Evidence, number: int) -> NDArray[np.float64]:
        """The weights float64[B, n] of a round of this number, by the evidence of those before."""
        if number < self.from_round:
            return weights
        if self.merge:
            return weights / np.stack([copies(of_run) for of_run in _runs(evidence)])
        return np.where(screened_runs(evidence, self.use).flagged, 0.0, weights)


def _runs(evidence: Evidence) -> list[VectorEvidence]:
    parts = zip(evidence["mean"], evidence["spread"], evidence["nearness"], strict=True)
    return [VectorEvidence(*part) for part in parts]
