"""What a run of `verify` leaves behind beside what all runs do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crowd_sim.crowd.texts import TextCrowd
from crowd_sim.models.adapters import Adapter
from crowd_sim.models.jobs import LearnerInfo
from crowd_sim.tasks.choose.crowd import ChoiceCrowd
from crowd_sim.tournament.learner import Note


@dataclass(frozen=True, eq=False)
class VerifyDetails:
    """What there is to say of an outcome of `verify` beyond what all outcomes have.

    Attributes:
        crowd: the workers that took part, and the items.
        info: of the learner.
        texts: per run and model, by name, an output to each of the report's items; `before` and `after` are the model's.
        rewards: the same, float64[m].
        floor: the highest mean reward of one output to all of the report's items.
        models: the final adapter of each run.
        tokens: int64[B, rounds], trained by all candidates of a round together.
    """

    crowd: ChoiceCrowd
    info: LearnerInfo
    texts: Sequence[Mapping[str, Sequence[str]]]
    rewards: Sequence[Mapping[str, NDArray[np.float64]]]
    floor: float
    models: tuple[Adapter, ...]
    tokens: NDArray[np.int64]

    @property
    def tuned_on(self) -> TextCrowd:
        """Everyone's examples."""
        return self.crowd.texts


def verified_of(
    crowd: ChoiceCrowd, notes: Sequence[Note], models: Sequence[Adapter], info: LearnerInfo
) -> VerifyDetails:
    """From the notes of all runs."""
    told = {(note["run"], note["round"]): note for note in notes if note["kind"] == "outputs"}
    runs, rounds = (max(key[i] for key in told) + 1 for i in range(2))
    found: list[dict[str, Note]] = []
    for run in range(runs):
        single = {note["name"]: note for note in notes if note["kind"] == "baseline" and note["run"] == run}
        found.append({"before": told[run, 0], "after": told[run, rounds - 1], **single})
    trained = {note["round"]: note["tokens"] for note in notes if note["kind"] == "trained"}
    tokens = np.array([[sum(trained[number][run]) for number in sorted(trained)] for run in range(runs)])
    return VerifyDetails(
        crowd,
        info,
        [{name: tuple(note["texts"]) for name, note in own.items()} for own in found],
        [{name: np.array(note["rewards"], dtype=np.float64) for name, note in own.items()} for own in found],
        next(note["reward"] for note in notes if note["kind"] == "floor"),
        tuple(models),
        tokens,
    )
