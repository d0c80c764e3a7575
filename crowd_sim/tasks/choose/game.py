"""What labels or preferences are worth by retraining: the game in which a coalition tunes a model that chooses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crowd_sim.config import RunConfig
from crowd_sim.models.jobs import ChoiceJob
from crowd_sim.models.lora import passes_here, shared_learner
from crowd_sim.tasks.adapters.retraining import refuse_diverged, tuned_on
from crowd_sim.tasks.adapters.settings import learner_spec
from crowd_sim.tasks.choose.crowd import ChoiceCrowd
from crowd_sim.tasks.choose.learner import among_each_other, right_of


@dataclass(frozen=True, eq=False)
class RetrainedGame:
    """A coalition is worth what a model tuned on its examples does with the selection's items; v(∅): the model before.

    Wherever it is called, the learner of that process is used or loaded.

    Attributes:
        config: of the learner, its candidates and the random streams.
        crowd: of the players, and the items.
        run: the replicate.
    """

    config: RunConfig
    crowd: ChoiceCrowd
    run: int

    @property
    def n_players(self) -> int:
        """Number of workers."""
        return self.crowd.texts.n_workers

    def heartbeat(self) -> int:
        """Passes of this process's models so far."""
        return passes_here()


class ChoiceGame(RetrainedGame):
    """v(S): mean log-likelihood of the selection's right choices after tuning on the examples of S; v(∅): before.

    Of pairs it is held against the run's start, as scores are: v(∅) is log ½.
    """

    def __call__(self, coalitions: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Utilities float64[m] of coalitions bool[m, n].

        Raises:
            InputError: tuning on a coalition's examples diverged.
        """
        learner, items = shared_learner(learner_spec(self.config)), self.crowd.selection
        adapters = tuned_on(learner, self.config, self.crowd.texts, self.run, coalitions)
        found = learner.choose([ChoiceJob(adapter, items) for adapter in adapters])
        if self.config.task.kind == "prefer":
            (start,) = learner.choose([ChoiceJob(learner.initial(self.config.seed, self.run), items)])
            found = [self.config.task.beta * (own - start) for own in found]
        utilities = np.array([float(right_of(among_each_other(own), items).mean()) for own in found])
        refuse_diverged(self.config, self.crowd.texts, coalitions, utilities)
        return utilities
