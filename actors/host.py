"""The host on Ray: opens the services of a simulation as actors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
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

    def generators(self, hosted: Callable[[], Any]) -> AbstractContextManager[Trainers | None]:
        """Generators on `actors.generators.number` actors, where there are some."""
        if not self._actors.generators.number:
            return nullcontext(None)
        return closing(RayTrainers(hosted, self._actors, self._measures, "generators"))

    def evaluators(self, games: Sequence[Game]) -> AbstractContextManager[Evaluators]:
        """Evaluators on `actors.evaluators.number` actors."""
        return closing(RayEvaluators(games, self._actors, self._measures))


class SweepHost:
    """See `crowd_sim.host.Host`; keeps a batch's trainers for the next that wants the same: a model takes long to load."""

    def __init__(self, actors: ActorsConfig, measures: RunMetrics) -> None:
        self._host = RayHost(actors, measures)
        self._make = lambda hosted, kind: RayTrainers(hosted, actors, measures, kind)
        self._kinds = ["trainers", "generators"] if actors.generators.number else ["trainers"]
        self._kept: dict[str, tuple[object, RayTrainers]] = {}

    def crowd(self, cohort: Cohort) -> AbstractContextManager[Crowd]:
        """See `RayHost`."""
        return self._host.crowd(cohort)

    def trainers(self, hosted: Callable[[], Any]) -> AbstractContextManager[Trainers]:
        """Those of the batch before, where they host the same; new ones after an error, which may have cost some of them."""
        return self._lent("trainers", hosted)

    def generators(self, hosted: Callable[[], Any]) -> AbstractContextManager[Trainers | None]:
        """Likewise, where there are some."""
        return self._lent("generators", hosted) if "generators" in self._kinds else nullcontext(None)

    @contextmanager
    def _lent(self, kind: str, hosted: Callable[[], Any]) -> Iterator[Trainers]:
        wanted = (hosted.func, hosted.args) if isinstance(hosted, partial) else hosted
        if kind not in self._kept or self._kept[kind][0] != wanted:
            self._close(kind)
            self._kept[kind] = wanted, self._make(hosted, kind)
        try:
            yield self._kept[kind][1]
        except BaseException:
            self._close(kind)
            raise

    def evaluators(self, games: Sequence[Game]) -> AbstractContextManager[Evaluators]:
        """See `RayHost`."""
        return self._host.evaluators(games)

    def close(self) -> None:
        """Give all resources back."""
        for kind in self._kinds:
            self._close(kind)

    def _close(self, kind: str) -> None:
        if kind in self._kept:
            self._kept.pop(kind)[1].close()
