"""The host on Ray: opens the services of a simulation as actors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from functools import partial
from typing import Any

from crowd_sim.actors.crowd import RayCrowd
from crowd_sim.actors.evaluator import RayEvaluators
from crowd_sim.actors.run_metrics import RunMetrics
from crowd_sim.actors.trainer import RayTrainers
from crowd_sim.config import ActorsConfig
from crowd_sim.crowd.cohort import Cohort
from crowd_sim.crowd.protocol import Crowd
from crowd_sim.host import Evaluators, Trainers
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


class SweepHost:
    """See `crowd_sim.host.Host`; keeps a batch's trainers for the next that wants the same: a model takes long to load."""

    def __init__(self, actors: ActorsConfig, measures: RunMetrics) -> None:
        self._host = RayHost(actors, measures)
        self._make = lambda hosted: RayTrainers(hosted, actors, measures)
        self._kept: tuple[object, RayTrainers] | None = None

    def crowd(self, cohort: Cohort) -> AbstractContextManager[Crowd]:
        """See `RayHost`."""
        return self._host.crowd(cohort)

    @contextmanager
    def trainers(self, hosted: Callable[[], Any]) -> Iterator[Trainers]:
        """Those of the batch before, where they host the same; new ones after an error, which may have cost some of them."""
        wanted = (hosted.func, hosted.args) if isinstance(hosted, partial) else hosted
        if self._kept is None or self._kept[0] != wanted:
            self.close()
            self._kept = wanted, self._make(hosted)
        try:
            yield self._kept[1]
        except BaseException:
            self.close()
            raise

    def evaluators(self, games: Sequence[Game]) -> AbstractContextManager[Evaluators]:
        """See `RayHost`."""
        return self._host.evaluators(games)

    def close(self) -> None:
        """Give the trainers' resources back."""
        if self._kept is not None:
            self._kept[1].close()
            self._kept = None
