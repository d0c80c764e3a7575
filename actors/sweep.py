"""A sweep on Ray: batches of points as tasks, a bounded number in flight, results as they finish.

Whose fault a lost batch is decides what becomes of it. A batch whose process dies (it crashed, or was killed for its memory)
runs again; if that process dies, too, the batch is halved, down to the point that does it, which is named and left out. A batch
whose node is lost runs again elsewhere.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import ray
from numpy.typing import NDArray
from ray.exceptions import (
    GetTimeoutError,
    NodeDiedError,
    ObjectLostError,
    OutOfMemoryError,
    RayError,
    RayTaskError,
    WorkerCrashedError,
)

from actors.failure import PATIENCE
from actors.resources import fitting, options_of
from crowd_sim.config import CrowdConfig
from crowd_sim.crowd.population import Population
from crowd_sim.errors import ClusterError, InputError
from crowd_sim.loading import people_key
from crowd_sim.sweep import Sweep
from crowd_sim.sweep_batch import BatchResult, Failure, run_batch

_POLL = 5.0
_AHEAD = 2
"""Batches per place that the cluster has for one: one runs while the next one waits."""

_DEATHS = 2
"""Processes that a batch may kill."""

_LOSSES = 10
"""Nodes that a batch may lose: more than a cluster of spot nodes takes from one batch."""


@dataclass(frozen=True)
class _Work:
    """A batch: its points int64[m], and what it has been through."""

    numbers: NDArray[np.int64]
    deaths: int = 0
    losses: int = 0


def run_batches_on_ray(
    plan: Sweep,
    batches: Iterator[NDArray[np.int64]],
    people: Callable[[CrowdConfig], Population],
    with_workers: bool,
) -> Iterator[list[BatchResult]]:
    """Run batches on the cluster that Ray is connected to; results as they finish, those of the same moment together.

    Raises:
        InputError: if that is what the code that ran raised outside of any point.
        RayTaskError: an error in it, with its traceback.
        ClusterError: no batch finished for `PATIENCE` seconds and no node could run one, or a batch lost its node too often.
    """
    pool = plan.first.actors.sweep
    task = ray.remote(run_batch).options(**options_of(pool), max_retries=0)
    held_plan, held_people = ray.put(plan), _Held(people)
    again: deque[_Work] = deque()
    running: dict[Any, _Work] = {}
    looked, places, last_arrival = float("-inf"), 1, time.monotonic()
    while True:
        if time.monotonic() - looked > _POLL:
            looked, places = time.monotonic(), fitting(pool)
        while len(running) < _AHEAD * max(1, places) and (work := _next(again, batches)) is not None:
            crowd = plan.points[int(work.numbers[0])].config.crowd
            running[task.remote(held_plan, work.numbers, held_people.of(crowd), with_workers)] = work
        if not running:
            return
        ready, _ = ray.wait(list(running), num_returns=1, timeout=_POLL)
        if ready:
            last_arrival = time.monotonic()
            ready, _ = ray.wait(list(running), num_returns=len(running), timeout=0)
        elif time.monotonic() - last_arrival > PATIENCE and not fitting(pool):
            raise ClusterError(f"no batch finished for {PATIENCE:.0f} s, and the cluster has no node left for one")
        results = []
        for ref in ready:
            work = running.pop(ref)
            outcome = _outcome(ref, work)
            if isinstance(outcome, BatchResult):
                results.append(outcome)
            else:
                again.extend(outcome)
        if results:
            yield results


class _Held:
    """People in the object store: batches of the same people follow each other, so one copy is enough."""

    def __init__(self, people: Callable[[CrowdConfig], Population]) -> None:
        self._people = people
        self._key: object = None
        self._ref: Any = None

    def of(self, crowd: CrowdConfig) -> Any:
        """A reference to the people of a crowd."""
        if people_key(crowd) != self._key:
            self._key, self._ref = people_key(crowd), ray.put(self._people(crowd))
        return self._ref


def _next(again: deque[_Work], batches: Iterator[NDArray[np.int64]]) -> _Work | None:
    if again:
        return again.popleft()
    numbers = next(batches, None)
    return None if numbers is None else _Work(numbers)


def _outcome(ref: Any, work: _Work) -> BatchResult | list[_Work]:
    """A batch's result, or what is to be done in its stead."""
    try:
        return ray.get(ref, timeout=PATIENCE)
    except RayTaskError as error:
        if isinstance(error.cause, InputError):
            raise error.cause from None
        raise
    except (WorkerCrashedError, OutOfMemoryError) as error:
        return _after_death(replace(work, deaths=work.deaths + 1), error)
    except (NodeDiedError, ObjectLostError, GetTimeoutError) as error:
        if work.losses == _LOSSES:
            raise ClusterError(f"a batch lost its node {_LOSSES + 1} times: {str(error).splitlines()[0]}") from None
        return [replace(work, losses=work.losses + 1)]


def _after_death(work: _Work, error: RayError) -> BatchResult | list[_Work]:
    if work.deaths < _DEATHS:
        return [work]
    if len(work.numbers) == 1:
        reason = "ran out of memory" if isinstance(error, OutOfMemoryError) else "died"
        failure = Failure(int(work.numbers[0]), f"the process that ran it {reason}, {_DEATHS} times", "")
        return BatchResult(np.empty(0, dtype=np.int64), {}, (failure,), ())
    # a half has its batch's deaths to answer for, but one; a single point is named for its own alone
    halves = np.array_split(work.numbers, 2)
    return [_Work(half, deaths=_DEATHS - 1 if len(half) > 1 else 0, losses=work.losses) for half in halves]
