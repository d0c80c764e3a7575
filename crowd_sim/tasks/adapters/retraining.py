"""What games by retraining share: a model of every coalition, tuned from the run's start on its members' examples."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from crowd_sim.config import RunConfig
from crowd_sim.crowd.texts import TextCrowd
from crowd_sim.errors import InputError
from crowd_sim.models.adapters import Adapter
from crowd_sim.models.jobs import TuneJob
from crowd_sim.models.lora import LoraLearner
from crowd_sim.models.training import Key
from crowd_sim.tasks.adapters.settings import training_of


def key_of(config: RunConfig, run: int) -> Key:
    """Of the order of examples and of whatever is drawn: the same for all coalitions, which takes noise from differences."""
    return Key(config.seed, run, 0, 0)


def tuned_on(
    learner: LoraLearner, config: RunConfig, crowd: TextCrowd, run: int, coalitions: NDArray[np.bool_]
) -> Sequence[Adapter]:
    """An adapter per coalition of bool[m, n]; of the empty one the start."""
    start, training = learner.initial(config.seed, run), training_of(config)
    examples = [tuple(e for worker in np.flatnonzero(own) for e in crowd.examples[worker]) for own in coalitions]
    jobs = [TuneJob(start, own, key_of(config, run), training) for own in examples]
    return [tuned.adapter for tuned in learner.tune(jobs)]


def refuse_diverged(
    config: RunConfig, crowd: TextCrowd, coalitions: NDArray[np.bool_], utilities: NDArray[np.float64]
) -> None:
    """Refuse utilities float64[m] that are not finite.

    Raises:
        InputError: names the first coalition.
    """
    for coalition in coalitions[~np.isfinite(utilities)]:
        members = ", ".join(crowd.ids[worker] for worker in np.flatnonzero(coalition))
        allowed = f"must be lower: tuning on the examples of {members} together diverged, so that they have no value"
        raise InputError("task.learning_rate", config.task.learning_rate, allowed)
