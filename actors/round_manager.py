"""RoundManager: drives a run's rounds and valuation against the actors' services."""

from __future__ import annotations

import time
from typing import Any

import ray
from ray.exceptions import RayTaskError

from actors.failure import survivable
from actors.host import RayHost
from crowd_sim.config import RunConfig
from crowd_sim.crowd.population import Population
from crowd_sim.errors import InputError
from crowd_sim.progress import Progress, quiet
from crowd_sim.simulation import Outcome, simulate

_POLL = 0.25


class RoundManager:
    """Hosts one simulation; answers how far it is while it runs."""

    def __init__(self) -> None:
        self._stage = ("start", 0, 1)

    def run(self, config: RunConfig, population: Population) -> Outcome:
        """Simulate and value a configuration's runs."""
        (outcome,) = simulate([config], population, RayHost(config.actors), self._report)
        return outcome

    def progress(self) -> tuple[str, int, int]:
        """What is being done, how much of it is done, and how much there is."""
        return self._stage

    def _report(self, stage: str, done: int, total: int) -> None:
        self._stage = (stage, done, total)


def run_on_ray(config: RunConfig, population: Population, progress: Progress = quiet) -> Outcome:
    """Simulate a configuration's runs on the cluster that Ray is connected to.

    The manager is an actor without a CPU of its own (it waits for others); if it dies it starts anew, with the same result.

    Raises:
        InputError: the population is too small.
        RayTaskError: an error in the code that ran, with its traceback.
    """
    # a second thread answers questions about progress
    manager: Any = ray.remote(RoundManager).options(num_cpus=0, max_concurrency=2, **survivable()).remote()
    outcome = manager.run.remote(config, population)
    while not ray.wait([outcome], timeout=_POLL)[0]:
        answer = manager.progress.remote()
        if ray.wait([answer], timeout=_POLL)[0]:
            progress(*ray.get(answer, timeout=_POLL))
        time.sleep(_POLL)
    try:
        return ray.get(outcome, timeout=_POLL * 100)
    except RayTaskError as error:
        if isinstance(error.cause, InputError):
            raise error.cause from None
        raise
    finally:
        ray.kill(manager)
