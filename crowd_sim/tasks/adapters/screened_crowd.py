"""A crowd of texts after its screens, and what a run's log keeps of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crowd_sim.crowd.screens import Screened
from crowd_sim.crowd.texts import TextCrowd
from crowd_sim.tournament.learner import Note


@dataclass(frozen=True, eq=False)
class ScreenedCrowd:
    """A crowd after its screens.

    Attributes:
        crowd: with the examples that stay.
        screened: float64[n] and bool[n].
    """

    crowd: TextCrowd
    screened: Screened

    def note(self) -> Note:
        """What a log keeps of it: a finished run says without a model who was flagged."""
        scores = {name: scores.tolist() for name, scores in self.screened.scores.items()}
        return {"kind": "screens", "scores": scores, "flagged": self.screened.flagged.tolist()}


def screened_of(note: Note, n_runs: int) -> Screened:
    """What a note says of every run, as they all meet the same crowd: float64[B, n], bool[B, n]."""

    def of_runs(values: Sequence[Any]) -> NDArray[Any]:
        return np.tile(np.asarray(values), (n_runs, 1))

    return Screened({name: of_runs(scores) for name, scores in note["scores"].items()}, of_runs(note["flagged"]))
