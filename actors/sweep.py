"""A sweep on Ray: batches of points as tasks, a bounded number in flight, results as they finish.

What becomes of a lost batch is decided by the one policy of `crowd_sim.actors.failure`. A batch whose process dies (it crashed,
or was killed for its memory) runs again; if that process dies, too, the batch is halved, down to the point that does it, which
is named and left out. A batch that misses its deadline is killed and halved at once. A batch whose node is lost runs again
elsewhere.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import ray
from numpy.typing import NDArray
from ray.exceptions import RayError

from crowd_sim.actors.failure import PATIENCE, Decision, Past, budget_spent, decide
from crowd_sim.actors.failure import Failure as Kind
from crowd_sim.actors.placement import SECONDS_BETWEEN_LINES, fitting, lack_of_room, options_of
from crowd_sim.actors.ray_errors import failure_of, plain
from crowd_sim.actors.run_metrics import RunMetrics
from crowd_sim.config import FailureConfig, RunConfig, SweepWorkers
from crowd_sim.errors import ClusterError
from crowd_sim.sweeps.batch import BatchResult, Failure, Workplace, run_batch
from crowd_sim.sweeps.plan import Points
from crowd_sim.tasks.base import Task
from crowd_sim.tasks.load import task_key

_POLL = 5.0
_AHEAD = 2
"""Batches per place that the cluster has for one: one runs while the next one waits."""


@dataclass(frozen=True)
class _Work:
    """A batch: its points int64[m], how it has failed so far, and since when it runs, if it does."""

    numbers: NDArray[np.int64]
    past: Past = field(default_factory=Past)
    since: float | None = None


def run_batches_on_ray(
    plan: Points,
    batches: Iterator[NDArray[np.int64]],
    tasks: Callable[[RunConfig], Task],
    with_workers: bool,
    measures: RunMetrics,
    tables: Sequence[str] = (),
) -> Iterator[list[BatchResult]]:
    """Run batches on the cluster that Ray is connected to; results as they finish, those of the same moment together.

    Raises:
        InputError: if that is what the code that ran raised outside of any point.
        RayTaskError: an error in it, with its traceback.
        ClusterError: no batch finished for `PATIENCE` seconds and no node could run one, or none has begun within
            `actors.failures.start` and `actors.wait` while none ran, or a batch lost more nodes than `actors.failures.nodes`.
    """
    pool, limits = plan.first.actors.sweep, plan.first.actors.failures
    room = _Room(pool, limits.start + plan.first.actors.wait)
    task = ray.remote(_run).options(**options_of(pool), max_retries=0, num_returns="streaming")
    held_plan, held_task, place = ray.put(plan), _Held(tasks), Workplace(tables=tables)
    again: deque[_Work] = deque()
    running: dict[Any, _Work] = {}
    looked, places, last_arrival = float("-inf"), 1, time.monotonic()
    while True:
        if time.monotonic() - looked > _POLL:
            looked, places = time.monotonic(), fitting(pool)
        while len(running) < _AHEAD * max(1, places) and (work := _next(again, batches)) is not None:
            first = plan.points[int(work.numbers[0])].config
            running[task.remote(held_plan, work.numbers, held_task.of(first), with_workers, place)] = work
        measures.queued("sweep", len(running))
        if not running:
            return
        ready, _ = ray.wait(list(running), num_returns=1, timeout=_patience(running, limits))
        if ready:
            last_arrival = time.monotonic()
            ready, _ = ray.wait(list(running), num_returns=len(running), timeout=0)
        elif time.monotonic() - last_arrival > PATIENCE and not fitting(pool):
            raise ClusterError(f"no batch finished for {PATIENCE:.0f} s, and the cluster has no node left for one")
        room.look(bool(ready) or any(work.since is not None for work in running.values()))
        overdue = [stream for stream in _overdue(running, limits) if stream not in ready]
        outcomes = [(stream, _answer(stream, running[stream], limits, measures)) for stream in ready]
        outcomes += [(stream, _stop(stream, running[stream], limits, measures)) for stream in overdue]
        results = []
        for stream, outcome in outcomes:
            work = running.pop(stream)
            if outcome is None:
                running[stream] = replace(work, since=time.monotonic())
            elif isinstance(outcome, BatchResult):
                results.append(outcome)
            else:
                again.extend(outcome)
        if results:
            measures.finished(sum(len(r.points) for r in results), sum(len(r.failures) for r in results))
            yield results


def _run(*batch: Any) -> Iterator[BatchResult | None]:
    """In a process of the cluster: that the batch has begun, then its result."""
    yield None
    yield run_batch(*batch)


def _patience(running: dict[Any, _Work], limits: FailureConfig) -> float:
    """Seconds until somebody's deadline, or until it is time to look up."""
    begun = [work.since for work in running.values() if work.since is not None]
    return min(_POLL, max(0.0, min(begun) + limits.deadline - time.monotonic())) if begun else _POLL


def _overdue(running: dict[Any, _Work], limits: FailureConfig) -> list[Any]:
    now = time.monotonic()
    return [stream for stream, work in running.items() if work.since is not None and now - work.since > limits.deadline]


class _Room:
    """Whether the cluster has room for a batch: says that it has none, and gives up in the end."""

    def __init__(self, pool: SweepWorkers, patience: float) -> None:
        self._pool, self._patience = pool, patience
        self._since = self._said = time.monotonic()

    def look(self, has_room: bool) -> None:
        """Told, whenever somebody looks, whether a batch runs, or has run just now.

        Raises:
            ClusterError: there has been none for too long.
        """
        now = time.monotonic()
        if has_room:
            self._since = self._said = now
            return
        left = self._since + self._patience - now
        if left <= 0:
            raise ClusterError(
                f"no batch could begin within {self._patience:g} s (actors.failures.start and actors.wait): "
                f"{lack_of_room(self._pool)}; wait for the others, lower actors.sweep.*, or add nodes"
            )
        if now - self._said >= SECONDS_BETWEEN_LINES:
            self._said = now
            print(
                f"waiting for the cluster, {left:.0f} s left: {lack_of_room(self._pool)}", file=sys.stderr, flush=True
            )


class _Held:
    """A task in the object store: batches of the same crowd follow each other, so one copy is enough."""

    def __init__(self, tasks: Callable[[RunConfig], Task]) -> None:
        self._tasks = tasks
        self._key: object = None
        self._ref: Any = None

    def of(self, config: RunConfig) -> Any:
        """A reference to a configuration's task."""
        if task_key(config) != self._key:
            self._key, self._ref = task_key(config), ray.put(self._tasks(config))
        return self._ref


def _next(again: deque[_Work], batches: Iterator[NDArray[np.int64]]) -> _Work | None:
    if again:
        return again.popleft()
    numbers = next(batches, None)
    return None if numbers is None else _Work(numbers)


def _answer(stream: Any, work: _Work, limits: FailureConfig, measures: RunMetrics) -> BatchResult | list[_Work] | None:
    """A batch's result, or what is to be done in its stead; None: it has begun."""
    try:
        return ray.get(next(stream), timeout=PATIENCE)
    except RayError as error:
        return _after(failure_of(error), error, work, limits, measures)


def _stop(stream: Any, work: _Work, limits: FailureConfig, measures: RunMetrics) -> BatchResult | list[_Work]:
    """End a batch that hangs, with its process."""
    ray.cancel(stream, force=True)
    return _after(Kind.HANG, TimeoutError(), work, limits, measures)


def _after(
    kind: Kind, error: Exception, work: _Work, limits: FailureConfig, measures: RunMetrics
) -> BatchResult | list[_Work]:
    """What becomes of a batch that has just failed in this way."""
    past = work.past.after(kind)
    decision = decide(kind, work.past, limits, divisible=len(work.numbers) > 1)
    if decision is Decision.RAISE:
        raise plain(error) from None
    if decision is Decision.GIVE_UP and kind is Kind.NODE:
        raise budget_spent("a batch", kind, limits, str(error)) from None
    if decision in (Decision.QUARANTINE, Decision.GIVE_UP):  # of a point's own failures: it alone is given up
        times = f"{past.blamed} time{'s' * (past.blamed > 1)}"
        failure = Failure(int(work.numbers[0]), f"the process that ran it {kind.said(limits)}, {times}", "")
        return BatchResult(np.empty(0, dtype=np.int64), {}, (failure,), (), {})
    measures.lost("sweep", kind)
    if decision is Decision.RETRY:
        return [replace(work, past=past, since=None)]
    return [_Work(half, past.of_half(len(half) > 1)) for half in np.array_split(work.numbers, 2)]
