"""TrainerActor: makes candidates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import ray
from numpy.typing import NDArray

from actors.failure import fetch, survivable
from crowd_sim.crowd.shard import cut
from crowd_sim.learners import vector

if TYPE_CHECKING:  # importing the configuration costs an actor a second of its start
    from crowd_sim.config import PoolConfig


class TrainerActor:
    """A host of the vector learner."""

    def tune(
        self, models: NDArray[np.float64], group_sums: NDArray[np.float64], step: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """See `crowd_sim.learners.vector.tune`."""
        return vector.tune(models, group_sums, step)


class RayTrainers:
    """The trainers service: candidates are dealt to `TrainerActor`s in consecutive parts."""

    def __init__(self, pool: PoolConfig) -> None:
        options = {"num_cpus": pool.cpus, "num_gpus": pool.gpus, **survivable()}
        self._trainers: list[Any] = [ray.remote(TrainerActor).options(**options).remote() for _ in range(pool.number)]

    def tune(
        self, models: NDArray[np.float64], group_sums: NDArray[np.float64], step: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """See `crowd_sim.services.Trainers`."""
        parts = cut(group_sums.shape[1], len(self._trainers))
        calls = [
            trainer.tune.remote(models, group_sums[:, first:stop], step)
            for trainer, (first, stop) in zip(self._trainers, parts, strict=False)
        ]
        return np.concatenate(fetch(calls, "the trainers"), axis=1)

    def close(self) -> None:
        """Give the trainers' resources back."""
        for trainer in self._trainers:
            ray.kill(trainer)
