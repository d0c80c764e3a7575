"""The host on Ray: opens the services of a simulation as actors."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, closing

import numpy as np
from numpy.typing import NDArray

from actors.crowd import RayCrowd
from actors.shapley import RayEvaluators
from actors.trainer import RayTrainers
from crowd_sim.config import ActorsConfig
from crowd_sim.services import Crowd, Evaluators, Trainers
from crowd_sim.valuation import Game


class RayHost:
    """See `crowd_sim.services.Host`. Ray must be initialised."""

    def __init__(self, actors: ActorsConfig) -> None:
        self._actors = actors

    def crowd(
        self, vectors: NDArray[np.float64], rows: NDArray[np.int64], chunk_size: int
    ) -> AbstractContextManager[Crowd]:
        """A crowd on `actors.crowd.number` shards, or fewer where there are fewer chunks."""
        return closing(RayCrowd(vectors, rows, chunk_size, self._actors.crowd))

    def trainers(self) -> AbstractContextManager[Trainers]:
        """Trainers on `actors.trainers.number` actors."""
        return closing(RayTrainers(self._actors.trainers))

    def evaluators(self, games: Sequence[Game]) -> AbstractContextManager[Evaluators]:
        """Evaluators on `actors.evaluators.number` actors."""
        return closing(RayEvaluators(games, self._actors.evaluators))
