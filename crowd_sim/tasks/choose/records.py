"""What a run of choices leaves behind beside what all runs do."""

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
class ChoiceDetails:
    """What there is to say of an outcome of `classify` or `prefer` beyond what all outcomes have.

    Attributes:
        crowd: the workers that took part, and the items.
        info: of the learner.
        probabilities: float64[B, rounds + 1, m, c], of the report's items, before the first round and after every one.
        models: the final adapter of each run.
        baselines: the same as `probabilities` of single models, float64[B, m, c] by name.
        tokens: int64[B, rounds], trained by all candidates of a round together.
        outputs: per run, where a baseline asks a reward model, the notes of `crowd_sim.tasks.choose.rewarding` by model.
    """

    crowd: ChoiceCrowd
    info: LearnerInfo
    probabilities: NDArray[np.float64]
    models: tuple[Adapter, ...]
    baselines: Mapping[str, NDArray[np.float64]]
    tokens: NDArray[np.int64]
    outputs: Sequence[Mapping[str, Note]] = ()

    @property
    def tuned_on(self) -> TextCrowd:
        """Everyone's examples."""
        return self.crowd.texts


def details_of(
    crowd: ChoiceCrowd, notes: Sequence[Note], models: Sequence[Adapter], info: LearnerInfo
) -> ChoiceDetails:
    """From the notes of all runs."""
    told = {(note["run"], note["round"]): note["probabilities"] for note in notes if note["kind"] == "choices"}
    runs, rounds = (max(key[i] for key in told) + 1 for i in range(2))
    found = np.array([[told[run, number] for number in range(rounds)] for run in range(runs)])
    single = {
        (note["name"], note["run"]): note["probabilities"]
        for note in notes
        if "probabilities" in note and "name" in note
    }
    names = dict.fromkeys(name for name, _ in single)
    baselines = {name: np.array([single[name, run] for run in range(runs)]) for name in names}
    trained = {note["round"]: note["tokens"] for note in notes if note["kind"] == "trained"}
    tokens = np.array([[sum(trained[number][run]) for number in sorted(trained)] for run in range(runs)])
    said = [note for note in notes if note["kind"] == "outputs"]
    outputs = [{note["name"]: note for note in said if note["run"] == run} for run in range(runs)] if said else []
    return ChoiceDetails(crowd, info, found, tuple(models), baselines, tokens, outputs)
