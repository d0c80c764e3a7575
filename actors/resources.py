"""What a configuration needs of a cluster, and whether the cluster has it."""

from __future__ import annotations

from dataclasses import dataclass

import ray

from crowd_sim.config import ActorsConfig
from crowd_sim.errors import ClusterError


@dataclass(frozen=True)
class Need:
    """CPUs and GPUs that must be free at the same time, and the largest share a single actor takes of each."""

    cpus: float
    gpus: float


def need_of_run(actors: ActorsConfig) -> Need:
    """Crowd, trainers and evaluators live side by side at most; the round manager itself takes no CPU."""
    pools = (actors.crowd, actors.trainers, actors.evaluators)
    return Need(sum(p.number * p.cpus for p in pools), sum(p.number * p.gpus for p in pools))


def need_of_evaluators(actors: ActorsConfig) -> Need:
    """The evaluators alone."""
    pool = actors.evaluators
    return Need(pool.number * pool.cpus, pool.number * pool.gpus)


def need_of_sweep(actors: ActorsConfig) -> Need:
    """At least one batch at a time."""
    return Need(actors.sweep.cpus, 0.0)


def check_capacity(need: Need) -> None:
    """Refuse to start what the cluster could never hold.

    Raises:
        ClusterError: names what is asked for and what is there.
    """
    total = ray.cluster_resources()
    for name, amount, field in (("CPU", need.cpus, "cpus"), ("GPU", need.gpus, "gpus")):
        there = total.get(name, 0.0)
        if amount > there + 1e-9:
            raise ClusterError(
                f"the configuration's actors need {amount:g} {name}s at once, the cluster has {there:g}: "
                f"lower actors.*.number or actors.*.{field}, or add nodes"
            )
