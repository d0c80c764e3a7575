"""What Ray's dashboard and Prometheus see of a run, and what `crowd-sim status` and the log say of it."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from ray.util.metrics import Counter as RayCounter
from ray.util.metrics import Gauge, Histogram

from crowd_sim.actors.failure import Failure

_SECONDS = [0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0]


@dataclass(frozen=True)
class Event:
    """Something a log should tell.

    Attributes:
        time: seconds since the epoch.
        name: what happened.
        details: who and how.
    """

    time: float
    name: str
    details: dict[str, Any] = field(default_factory=dict)


class RunMetrics:
    """The measures of one run or sweep, all tagged with its name; events pile up until someone takes them.

    Attributes:
        failures: of actors and batches so far, by kind.
        signs: of life of whoever uses the pools: grows as long as answers come, or are waited for within deadlines.
    """

    def __init__(self, run: str) -> None:
        self._tags = {"run": run}
        keys = ("run", "pool")
        self._rounds = RayCounter("crowd_sim_rounds", "Rounds played.", ("run",))
        self._workers = RayCounter("crowd_sim_workers", "Contributions of workers.", ("run",))
        self._points = RayCounter("crowd_sim_points", "Points of a sweep with a result.", ("run",))
        self._given_up = RayCounter("crowd_sim_failed_points", "Points of a sweep that failed.", ("run",))
        self._queue = Gauge("crowd_sim_queue", "Calls in flight.", keys)
        self._retries = RayCounter("crowd_sim_retries", "Calls repeated after a failure.", keys)
        self._recovery = Histogram("crowd_sim_recovery_seconds", "From a failure to the new actor.", _SECONDS, keys)
        self.failures: Counter[str] = Counter()
        self.signs = 0
        self._events: list[Event] = []

    def played(self, rounds: int, workers: int) -> None:
        """Some rounds are over, to which so many workers contributed."""
        self._rounds.inc(rounds, self._tags)
        self._workers.inc(workers, self._tags)

    def finished(self, points: int, failed: int) -> None:
        """So many points of a sweep have a result, and so many have failed."""
        for counter, number in ((self._points, points), (self._given_up, failed)):
            if number:  # Ray refuses to add nothing
                counter.inc(number, self._tags)

    def lives(self) -> None:
        """Whoever uses the pools does not hang: it watches over its own deadlines."""
        self.signs += 1

    def queued(self, pool: str, calls: int) -> None:
        """So many calls are in flight."""
        self._queue.set(calls, {**self._tags, "pool": pool})

    def failed(self, pool: str, member: int, failure: Failure, work: str) -> None:
        """An actor has failed at some work, which will be repeated."""
        self.lost(pool, failure)
        self.tell("actor failed", pool=pool, actor=member, failure=failure.value, work=work)

    def lost(self, pool: str, failure: Failure) -> None:
        """Something sent to this pool was lost in this way, and will be repeated."""
        self.failures[failure.name.lower()] += 1
        self._retries.inc(1, {**self._tags, "pool": pool})

    def recovered(self, pool: str, member: int, seconds: float) -> None:
        """A new actor stands in its place."""
        self._recovery.observe(seconds, {**self._tags, "pool": pool})
        self.tell("actor replaced", pool=pool, actor=member, seconds=round(seconds, 3))

    def tell(self, name: str, **details: Any) -> None:
        """Leave an event for the log."""
        self._events.append(Event(time.time(), name, details))

    def take_events(self) -> list[Event]:
        """The events since the last call."""
        events, self._events = self._events, []
        return events
