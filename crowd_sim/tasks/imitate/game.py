"""What examples are worth by retraining: the game in which a coalition tunes a model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crowd_sim.config import RunConfig
from crowd_sim.crowd.texts import Example, TextCrowd
from crowd_sim.errors import InputError
from crowd_sim.models.lora import OutputJob, TuneJob, passes_here, shared_learner
from crowd_sim.models.tuning import Key
from crowd_sim.random import Purpose
from crowd_sim.tasks.adapters.settings import learner_spec, sampling_of, training_of
from crowd_sim.tasks.imitate.output_scoring import OutputScorer


@dataclass(frozen=True, eq=False)
class RetrainingGame:
    """v(S): the mean score of the outputs of a model tuned, from the run's start, on the examples of S; v(∅): of the base.

    All coalitions draw their outputs from the same random streams, which takes noise from their differences. Wherever it is
    called, the learner of that process is used or loaded.

    Attributes:
        config: of the learner, its candidates, their outputs and the random streams.
        crowd: of the players.
        scorer: what outputs are held against.
        run: the replicate.
    """

    config: RunConfig
    crowd: TextCrowd
    scorer: OutputScorer
    run: int

    @property
    def n_players(self) -> int:
        """Number of workers."""
        return self.crowd.n_workers

    def __call__(self, coalitions: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Utilities float64[m] of coalitions bool[m, n].

        Raises:
            InputError: tuning on a coalition's examples diverged.
        """
        learner = shared_learner(learner_spec(self.config))
        training, sampling = training_of(self.config), sampling_of(self.config)
        start = learner.initial(self.config.seed, self.run)
        key = Key(self.config.seed, self.run, 0, 0)
        examples = [self._examples(coalition) for coalition in coalitions]
        tuned = learner.tune([TuneJob(start, own, key, training) for own in examples])
        prompts, purpose = self.scorer.selection_prompts, Purpose.COALITION_OUTPUTS
        jobs = [OutputJob(t.adapter, prompts, key, purpose, sampling) for t in tuned]
        # each by itself: a coalition's utility must not depend on which others an evaluator was given with it
        judged = [outputs for job in jobs for outputs in learner.judge([job])]
        utilities = np.array([self.scorer.scores(outputs.vectors).mean() for outputs in judged])
        for coalition in coalitions[~np.isfinite(utilities)]:
            members = ", ".join(self.crowd.ids[worker] for worker in np.flatnonzero(coalition))
            allowed = (
                f"must be lower: tuning on the examples of {members} together diverged, so that they have no value"
            )
            raise InputError("task.learning_rate", training.learning_rate, allowed)
        return utilities

    def heartbeat(self) -> int:
        """Passes of this process's models so far."""
        return passes_here()

    def _examples(self, coalition: NDArray[np.bool_]) -> tuple[Example, ...]:
        return tuple(e for worker in np.flatnonzero(coalition) for e in self.crowd.examples[worker])
