"""TrainerActor: makes candidates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import ray
from numpy.typing import NDArray

from crowd_sim.actors.placement import bundle_options
from crowd_sim.actors.pool import Pool, Work
from crowd_sim.actors.run_metrics import RunMetrics
from crowd_sim.crowd.reduction import split_evenly
from crowd_sim.tasks import vector

if TYPE_CHECKING:  # importing the configuration costs an actor a second of its start
    from crowd_sim.config import ActorsConfig


class TrainerActor:
    """A host of the vector learner."""

    def tune(
        self, models: NDArray[np.float64], group_sums: NDArray[np.float64], step: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """See `crowd_sim.tasks.vector.tune`."""
        return vector.tune(models, group_sums, step)


class RayTrainers:
    """The trainers service: candidates are dealt to `TrainerActor`s in consecutive parts."""

    def __init__(self, actors: ActorsConfig, measures: RunMetrics) -> None:
        host = ray.remote(TrainerActor)

        def make(trainer: int) -> Any:
            return host.options(**bundle_options(actors, "trainers", trainer)).remote()

        self.pool = Pool("trainer", make, actors.trainers.number, actors.failures, measures)

    def tune(
        self, models: NDArray[np.float64], group_sums: NDArray[np.float64], step: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """See `crowd_sim.host.Trainers`."""
        works = [
            Work(trainer, "tune", (models, group_sums[:, first:stop], step), f"candidates {first} to {stop - 1}")
            for trainer, (first, stop) in enumerate(split_evenly(group_sums.shape[1], len(self.pool)))
        ]
        return np.concatenate(self.pool.gather(works), axis=1)

    def close(self) -> None:
        """Give the trainers' resources back."""
        self.pool.close()
