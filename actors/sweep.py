"""A sweep on Ray: batches of points as tasks, a bounded number in flight, results as they finish."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import ray
from ray.exceptions import RayTaskError

from actors.failure import PATIENCE, RESTARTS
from crowd_sim.config import CrowdConfig, SweepWorkers
from crowd_sim.crowd.population import Population
from crowd_sim.errors import ClusterError, InputError
from crowd_sim.loading import people_key
from crowd_sim.sweep import BatchResult, Point, run_batch

_POLL = 5.0
_AHEAD = 2
"""Batches per free CPU slot: one runs while the next one waits."""


def run_batches_on_ray(
    batches: Sequence[Sequence[Point]],
    people: Callable[[CrowdConfig], Population],
    workers: SweepWorkers,
    with_workers: bool,
) -> Iterator[BatchResult]:
    """Run batches on the cluster that Ray is connected to; results in the order in which they finish.

    Raises:
        RayTaskError: an error in the code that ran, with its traceback.
        ClusterError: no batch finished for `PATIENCE` seconds and none is running.
    """
    task = ray.remote(run_batch).options(num_cpus=workers.cpus, max_retries=RESTARTS)
    slots = max(1, int(ray.cluster_resources().get("CPU", 1) / workers.cpus))
    held: dict[Any, Any] = {}
    todo = iter(batches)
    running: list[Any] = []
    last_arrival = time.monotonic()
    while True:
        while len(running) < _AHEAD * slots and (batch := next(todo, None)) is not None:
            crowd = batch[0].config.crowd
            key = people_key(crowd)
            if key not in held:
                held = {key: ray.put(people(crowd))}  # batches of the same people follow each other: one copy is enough
            running.append(task.remote(batch, held[key], with_workers))
        if not running:
            return
        ready, running = ray.wait(running, num_returns=1, timeout=_POLL)
        if ready:
            last_arrival = time.monotonic()
        elif time.monotonic() - last_arrival > PATIENCE and not ray.cluster_resources().get("CPU"):
            raise ClusterError(f"no batch finished for {PATIENCE:.0f} s and the cluster has no CPU left")
        for ref in ready:
            try:
                yield ray.get(ref, timeout=PATIENCE)
            except RayTaskError as error:
                if isinstance(error.cause, InputError):
                    raise error.cause from None
                raise
