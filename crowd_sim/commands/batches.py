"""Where batches of a sweep's points, or of a search's trials, are run: in this process, or on a cluster."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from itertools import groupby
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from crowd_sim.commands import IN_PROCESS
from crowd_sim.config import RunConfig
from crowd_sim.sweeps.batch import BatchResult, Workplace, run_batch
from crowd_sim.sweeps.plan import Points
from crowd_sim.tasks.base import Task
from crowd_sim.tasks.load import load_task, task_key


class RunBatches(Protocol):
    """Whoever runs batches."""

    def __call__(
        self, plan: Points, cut: Iterator[NDArray[np.int64]], /
    ) -> Iterator[tuple[list[BatchResult], Counter[str]]]:
        """Results as they come, and how many batches, or trainers, were lost so far, by kind."""


@contextmanager
def batch_runner(
    first: RunConfig, place: Workplace, ray_address: str | None, *, with_workers: bool
) -> Iterator[RunBatches]:
    """Whoever runs batches, for as long as the context lasts.

    Args:
        first: has the actors, and the kind of the task, that all points have.
        place: what they find there; its host is the one that is used in this process.
        ray_address: see `crowd_sim.actors.cluster.connected`; ``none`` runs in process, batch by batch.
        with_workers: whether the workers of every point's first run are wanted.

    Raises:
        ClusterError: no cluster, or one that is too small.
    """
    if ray_address == IN_PROCESS:
        yield lambda plan, cut: ((results, Counter()) for results in _one_by_one(plan, cut, place, with_workers))
        return
    from crowd_sim.actors.cluster import connected
    from crowd_sim.actors.host import SweepHost
    from crowd_sim.actors.placement import actors_of, required_by_run, required_by_sweep
    from crowd_sim.actors.run_metrics import RunMetrics
    from crowd_sim.actors.sweep import run_batches_on_ray

    measures = RunMetrics(place.folder.name if place.folder else "")
    if first.task.kind != "vector":  # points share trainers, which are the ones that may be anywhere
        actors = actors_of(first)
        with (
            connected(ray_address, required_by_run(actors, with_crowd=False)),
            closing(SweepHost(actors, measures)) as host,
        ):
            there = replace(place, host=host)
            yield lambda plan, cut: (
                (results, measures.failures) for results in _one_by_one(plan, cut, there, with_workers)
            )
    else:
        with connected(ray_address, required_by_sweep(first.actors)):
            yield lambda plan, cut: (
                (results, measures.failures)
                for results in run_batches_on_ray(plan, cut, load_task, with_workers, measures, place.tables)
            )


def _one_by_one(
    plan: Points, cut: Iterator[NDArray[np.int64]], place: Workplace, with_workers: bool
) -> Iterator[list[BatchResult]]:
    """Results of batches that are simulated in this process."""
    task: Task | None = None
    key: object = None
    for numbers in cut:
        results = []
        for own, same in _by_task(plan, numbers):
            if task is None or own != key:
                task, key = load_task(plan.points[int(same[0])].config), own
            results.append(run_batch(plan, same, task, with_workers, place))
        yield results


def _by_task(plan: Points, numbers: NDArray[np.int64]) -> Iterator[tuple[object, NDArray[np.int64]]]:
    """A batch, cut where the task changes: of texts a seed, too, may draw who owns what and who is bad."""

    def key_of(number: np.int64) -> object:
        return task_key(plan.points[int(number)].config)

    first = plan.points[int(numbers[0])].config
    if first.task.kind == "vector":  # whose batches are of one crowd; a configuration each would be dear
        yield task_key(first), numbers
        return
    for key, same in groupby(numbers, key_of):
        yield key, np.array(list(same))
