"""What examples are worth by retraining: the game in which a coalition tunes a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crowd_sim.config import RunConfig
from crowd_sim.crowd.texts import TextCrowd
from crowd_sim.models.adapters import Adapter
from crowd_sim.models.jobs import OutputJob
from crowd_sim.models.lora import LoraLearner, passes_here, shared_learner
from crowd_sim.random import Purpose
from crowd_sim.tasks.adapters.retraining import key_of, refuse_diverged, tuned_on
from crowd_sim.tasks.adapters.settings import learner_spec, sampling_of
from crowd_sim.tasks.imitate.likelihood import likelihoods
from crowd_sim.tasks.imitate.output_scoring import OutputScorer


@dataclass(frozen=True, eq=False)
class RetrainingGame:
    """v(S): the mean score of the outputs of a model tuned, from the run's start, on the examples of S; v(∅): of the base.

    With `task.judged_by=likelihood` how likely that model finds the target's texts instead. Outputs of all coalitions are drawn
    from the same random streams, which takes noise from their differences. Wherever it is called, the learner of that process
    is used or loaded.

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
        adapters = tuned_on(learner, self.config, self.crowd, self.run, coalitions)
        if self.config.task.judged_by == "likelihood":
            utilities = np.array([found.mean() for found in likelihoods(learner, adapters, self.crowd)])
        else:
            utilities = self._drawn(learner, adapters)
        refuse_diverged(self.config, self.crowd, coalitions, utilities)
        return utilities

    def _drawn(self, learner: LoraLearner, adapters: Sequence[Adapter]) -> NDArray[np.float64]:
        """The mean scores of the adapters' outputs: float64[m]."""
        sampling, key = sampling_of(self.config), key_of(self.config, self.run)
        prompts, purpose = self.scorer.selection_prompts, Purpose.COALITION_OUTPUTS
        jobs = [OutputJob(adapter, prompts, key, purpose, sampling) for adapter in adapters]
        # each by itself: a coalition's utility must not depend on which others an evaluator was given with it
        judged = [outputs for job in jobs for outputs in learner.judge([job])]
        return np.array([self.scorer.scores(outputs.vectors).mean() for outputs in judged])

    def heartbeat(self) -> int:
        """Passes of this process's models so far."""
        return passes_here()
