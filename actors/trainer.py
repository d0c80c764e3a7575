"""TrainerActor: hosts a learner's device work, whatever is learned."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import ray

from crowd_sim.actors.placement import bundle_options
from crowd_sim.actors.pool import Pool, Work
from crowd_sim.actors.run_metrics import RunMetrics
from crowd_sim.host import events_of

if TYPE_CHECKING:  # importing the configuration costs an actor a second of its start
    from crowd_sim.config import ActorsConfig


class TrainerActor:
    """Hosts what `make` makes, with the first call: loading a model takes long. A thread of its own answers `passes`."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._hosted: Any = None

    def call(self, method: str, *arguments: Any) -> tuple[Any, list[tuple[str, dict[str, Any]]]]:
        """What one of the hosted object's methods answers, and what a log should tell of it."""
        if self._hosted is None:
            self._hosted = self._make()
        return getattr(self._hosted, method)(*arguments), events_of(self._hosted)

    @ray.method(concurrency_group="heartbeat")
    def passes(self) -> int:
        """Passes of the hosted model so far; 0 of what has none."""
        return getattr(self._hosted, "passes", 0)


class RayTrainers:
    """See `crowd_sim.host.Trainers`: a run's trainers, or its generators. None keeps anything between calls, so what fails is
    replaced and repeated.

    A call may take hours: a trainer counts as hung when its model has made no pass for as long as the deadline.
    """

    def __init__(
        self, make: Callable[[], Any], actors: ActorsConfig, measures: RunMetrics, kind: str = "trainers"
    ) -> None:
        host = ray.remote(concurrency_groups={"heartbeat": 1})(TrainerActor)  # type: ignore[call-overload]

        def start(trainer: int) -> Any:
            return host.options(**bundle_options(actors, kind, trainer)).remote(make)

        self._measures, self._kind = measures, kind.removesuffix("s")
        number, limits = getattr(actors, kind).number, actors.failures
        self.pool = Pool(self._kind, start, number, limits, measures, heartbeat="passes")

    @property
    def number(self) -> int:
        """How many there are."""
        return len(self.pool)

    def gather(self, method: str, calls: Sequence[tuple[Any, ...]], names: Sequence[str]) -> list[Any]:
        """See `crowd_sim.host.Trainers`."""
        works = [
            Work(trainer, "call", (method, *arguments), name)
            for trainer, (arguments, name) in enumerate(zip(calls, names, strict=True))
        ]
        answers = []
        for trainer, (answer, events) in enumerate(self.pool.gather(works)):
            answers.append(answer)
            for event, details in events:
                self._measures.tell(event, pool=self._kind, actor=trainer, **details)
        return answers

    def close(self) -> None:
        """Give the trainers' resources back."""
        self.pool.close()
