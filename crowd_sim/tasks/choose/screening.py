"""The screens of those who judge, before the first round: models of the expert, or of all others, read what they say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from crowd_sim.config import RunConfig
from crowd_sim.crowd.screens import PAIR_SCREENS, Screened, screened
from crowd_sim.crowd.screens.disagreement import LabelEvidence
from crowd_sim.elementary import exp
from crowd_sim.errors import InputError
from crowd_sim.models.jobs import ChoiceJob, TuneJob
from crowd_sim.models.reward_model import fit_reward
from crowd_sim.models.training import Key
from crowd_sim.tasks.adapters.screened_crowd import ScreenedCrowd
from crowd_sim.tasks.adapters.settings import training_of
from crowd_sim.tasks.adapters.trainers import TextTrainers
from crowd_sim.tasks.choose.crowd import ChoiceCrowd
from crowd_sim.tasks.choose.learner import choices_of
from crowd_sim.tasks.choose.rewarding import vectors_of


def screen(config: RunConfig, crowd: ChoiceCrowd, trainers: TextTrainers) -> ScreenedCrowd:
    """Read everyone's labels or pairs, and leave out who is flagged, where that is wanted.

    Raises:
        InputError: no example would stay.
    """
    screens, texts = config.screens, crowd.texts
    assert screens is not None  # noqa: S101 - asked for where there are some
    names = screens.use or ("expert",)
    said = [screened(PAIR_SCREENS, _READERS[name](config, crowd, trainers), (name,)) for name in names]
    scores = {name: own.scores[name] for name, own in zip(names, said, strict=True)}
    found = Screened(scores, np.any([own.flagged for own in said], axis=0))
    if screens.action == "report":
        return ScreenedCrowd(texts, found)
    left = tuple(() if out else own for own, out in zip(texts.examples, found.flagged.tolist(), strict=True))
    if not any(left):
        raise InputError("screens.action", screens.action, "must be report: no example of the crowd would stay")
    return ScreenedCrowd(replace(texts, examples=left, screened=True), found)


def _by_expert(config: RunConfig, crowd: ChoiceCrowd, trainers: TextTrainers) -> LabelEvidence:
    """How likely a model tuned on the expert's records finds everyone's choices, by forward passes."""
    start = trainers.initial(config.seed, 0)
    training = replace(training_of(config), epochs=config.task.expert_epochs)
    (expert,) = trainers.tune([TuneJob(start, crowd.expert, Key(config.seed, 0, 0, 0), training)])
    read = [crowd.items_of(worker) for worker in range(crowd.texts.n_workers)]
    items = tuple(item for own in read for item in own)
    (reference,) = trainers.choose([ChoiceJob(start, items)]) if config.task.kind == "prefer" else (0.0,)
    (likelihoods,) = choices_of(trainers, [expert.adapter], items, reference)
    likely = exp(likelihoods)[np.arange(len(items)), [item.right for item in items]]
    return np.split(likely, np.cumsum([len(own) for own in read])[:-1])


def _by_peers(config: RunConfig, crowd: ChoiceCrowd, trainers: TextTrainers) -> LabelEvidence:
    """Whether a reward fitted to all others' pairs orders one's own as one does: 1, 0, or ½ of a tie."""
    del config
    examples = crowd.texts.examples
    cuts = np.cumsum([len(own) for own in examples])[:-1]
    chosen, rejected = vectors_of(trainers, [example for own in examples for example in own])
    return peer_agreement(np.split(chosen, cuts), np.split(rejected, cuts))


def peer_agreement(chosen: list[NDArray[np.float64]], rejected: list[NDArray[np.float64]]) -> LabelEvidence:
    """Of Φ of everyone's pairs, float64[m_i, d] each: float64[m_i], 1 where a reward of all others' agrees, ½ of a tie."""

    def others(sides: list[NDArray[np.float64]], one: int) -> NDArray[np.float64]:
        return np.concatenate([own for i, own in enumerate(sides) if i != one])

    found = []
    for one, (better, worse) in enumerate(zip(chosen, rejected, strict=True)):
        reward = fit_reward(others(chosen, one), others(rejected, one))
        found.append(np.sign(reward(better) - reward(worse)) / 2 + 0.5)
    return found


_READERS: Mapping[str, Callable[[RunConfig, ChoiceCrowd, TextTrainers], LabelEvidence]] = {
    "expert": _by_expert,
    "peers": _by_peers,
}
