"""What a run of choices leaves behind beside what all runs do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crowd_sim.models.adapters import Adapter
from crowd_sim.tasks.choose.crowd import ChoiceCrowd
from crowd_sim.tournament.learner import Note


@dataclass(frozen=True, eq=False)
class ChoiceDetails:
    """What there is to say of an outcome of `classify` or `prefer` beyond what all outcomes have.

    Attributes:
        crowd: the workers that took part, and the items.
        probabilities: float64[B, rounds + 1, m, c], of the report's items, before the first round and after every one.
        models: the final adapter of each run.
    """

    crowd: ChoiceCrowd
    probabilities: NDArray[np.float64]
    models: tuple[Adapter, ...]


def details_of(crowd: ChoiceCrowd, notes: Sequence[Note], models: Sequence[Adapter]) -> ChoiceDetails:
    """From the notes of all runs."""
    told = {(note["run"], note["round"]): note["probabilities"] for note in notes if note["kind"] == "choices"}
    runs, rounds = (max(key[i] for key in told) + 1 for i in range(2))
    found = np.array([[told[run, number] for number in range(rounds)] for run in range(runs)])
    return ChoiceDetails(crowd, found, tuple(models))
