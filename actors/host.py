"""The host on Ray: opens the services of a simulation as actors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, closing
from typing import Any

from crowd_sim.actors.crowd import RayCrowd
from crowd_sim.actors.evaluator import RayEvaluators
from crowd_sim.actors.run_metrics import RunMetrics
from crowd_sim.actors.trainer import RayTrainers
from crowd_sim.config import ActorsConfig
from crowd_sim.crowd.cohort import Cohort
from crowd_sim.host import Crowd, Evaluators, Trainers
from crowd_sim.valuation import Game


class RayHost:
    """See `crowd_sim.host.Host`. Ray must be initialised."""

    def __init__(self, actors: ActorsConfig, measures: RunMetrics | None = None) -> None:
        self._actors = actors
        self._measures = measures or RunMetrics("")

    def crowd(self, cohort: Cohort) -> AbstractContextManager[Crowd]:
        """A crowd on `actors.crowd.number` shards, or fewer where there are fewer chunks."""
        return closing(RayCrowd(cohort, self._actors, self._measures))

    def trainers(self, hosted: Callable[[], Any]) -> AbstractContextManager[Trainers]:
        """Trainers on `actors.trainers.number` actors."""
        return closing(RayTrainers(hosted, self._actors, self._measures))

    def evaluators(self, games: Sequence[Game]) -> AbstractContextManager[Evaluators]:
        """Evaluators on `actors.evaluators.number` actors."""
        return closing(RayEvaluators(games, self._actors, self._measures))
