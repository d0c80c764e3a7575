"""TrainerActor: makes candidates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import ray
from numpy.typing import NDArray

from actors.measures import Measures
from actors.pool import Pool, Work
from actors.resources import place_of
from crowd_sim.crowd.folding import cut
from crowd_sim.learners import vector

if TYPE_CHECKING:  # importing the configuration costs an actor a second of its start
    from crowd_sim.config import ActorsConfig


class TrainerActor:
    """A host of the vector learner."""

    def tune(
        self, models: NDArray[np.float64], group_sums: NDArray[np.float64], step: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """See `crowd_sim.learners.vector.tune`."""
        return vector.tune(models, group_sums, step)


class RayTrainers:
    """The trainers service: candidates are dealt to `TrainerActor`s in consecutive parts."""

    def __init__(self, actors: ActorsConfig, measures: Measures) -> None:
        host = ray.remote(TrainerActor)

        def make(trainer: int) -> Any:
            return host.options(**place_of(actors, "trainers", trainer)).remote()

        self.pool = Pool("trainer", make, actors.trainers.number, actors.failures, measures)

    def tune(
        self, models: NDArray[np.float64], group_sums: NDArray[np.float64], step: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """See `crowd_sim.services.Trainers`."""
        works = [
            Work(trainer, "tune", (models, group_sums[:, first:stop], step), f"candidates {first} to {stop - 1}")
            for trainer, (first, stop) in enumerate(cut(group_sums.shape[1], len(self.pool)))
        ]
        return np.concatenate(self.pool.gather(works), axis=1)

    def close(self) -> None:
        """Give the trainers' resources back."""
        self.pool.close()
