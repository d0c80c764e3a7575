"""The screen of those who judge, before the first round: a weak model of the expert's reads what they say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from crowd_sim.config import RunConfig
from crowd_sim.crowd.screens import LABEL_SCREENS, screened
from crowd_sim.elementary import exp
from crowd_sim.errors import InputError
from crowd_sim.models.lora import ChoiceJob, TuneJob
from crowd_sim.models.training import Key
from crowd_sim.tasks.adapters.screened_crowd import ScreenedCrowd
from crowd_sim.tasks.adapters.settings import training_of
from crowd_sim.tasks.adapters.trainers import TextTrainers
from crowd_sim.tasks.choose.crowd import ChoiceCrowd
from crowd_sim.tasks.choose.learner import choices_of


def screen(config: RunConfig, crowd: ChoiceCrowd, trainers: TextTrainers) -> ScreenedCrowd:
    """Tune a model on the expert's records, and read everyone's labels or pairs by forward passes.

    Raises:
        InputError: no example would stay.
    """
    screens, texts = config.screens, crowd.texts
    assert screens is not None  # noqa: S101 - asked for where there are some
    start = trainers.initial(config.seed, 0)
    training = replace(training_of(config), epochs=config.task.expert_epochs)
    (expert,) = trainers.tune([TuneJob(start, crowd.expert, Key(config.seed, 0, 0, 0), training)])
    read = [crowd.items_of(worker) for worker in range(texts.n_workers)]
    items = tuple(item for own in read for item in own)
    (reference,) = trainers.choose([ChoiceJob(start, items)]) if config.task.kind == "prefer" else (0.0,)
    (likelihoods,) = choices_of(trainers, [expert.adapter], items, reference)
    likely = exp(likelihoods)[np.arange(len(items)), [item.right for item in items]]
    found = screened(LABEL_SCREENS, np.split(likely, np.cumsum([len(own) for own in read])[:-1]), screens.use)
    if screens.action == "report":
        return ScreenedCrowd(texts, found)
    left = tuple(() if out else own for own, out in zip(texts.examples, found.flagged.tolist(), strict=True))
    if not any(left):
        raise InputError("screens.action", screens.action, "must be report: no example of the crowd would stay")
    return ScreenedCrowd(replace(texts, examples=left, screened=True), found)
