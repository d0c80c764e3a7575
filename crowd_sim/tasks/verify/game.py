"""What answers are worth by retraining: the game in which a coalition tunes a model whose outputs are verified."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from crowd_sim.models.lora import shared_learner
from crowd_sim.random import Purpose
from crowd_sim.tasks.adapters.retraining import key_of, refuse_diverged, tuned_on
from crowd_sim.tasks.adapters.settings import learner_spec
from crowd_sim.tasks.choose.game import RetrainedGame
from crowd_sim.tasks.verify.judging import output_job, rewards_of


class VerifyGame(RetrainedGame):
    """v(S): mean reward of the likeliest outputs to the selection's prompts after tuning on the examples of S; v(∅): before."""

    def __call__(self, coalitions: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Utilities float64[m] of coalitions bool[m, n].

        Raises:
            InputError: tuning on a coalition's examples diverged.
        """
        learner, items = shared_learner(learner_spec(self.config)), self.crowd.selection
        key, purpose = key_of(self.config, self.run), Purpose.COALITION_OUTPUTS
        utilities = np.empty(len(coalitions))
        for i, adapter in enumerate(tuned_on(learner, self.config, self.crowd.texts, self.run, coalitions)):
            if all(np.isfinite(weights).all() for weights in adapter.values()):
                # by itself: a coalition's utility must not depend on which others an evaluator was given with it
                (outputs,) = learner.judge([output_job(self.config, adapter, items, key, purpose)])
                utilities[i] = rewards_of(self.config, items, outputs.texts).mean()
            else:
                utilities[i] = np.nan
        refuse_diverged(self.config, self.crowd.texts, coalitions, utilities)
        return utilities
