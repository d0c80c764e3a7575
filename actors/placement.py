"""What a configuration needs of a cluster, whether the cluster has it, and how it is reserved."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import ray
from ray.util.placement_group import PlacementGroup, placement_group, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from crowd_sim.errors import ClusterError

if TYPE_CHECKING:  # importing the configuration costs an actor a second of its start
    from crowd_sim.config import ActorsConfig, PoolConfig, RunConfig, SweepWorkers

_POLL = 1.0

SECONDS_BETWEEN_LINES = 10.0
"""Between two that tell of waiting."""

RESERVING = 30.0
"""Seconds, besides `actors.wait`, that others on the cluster have to make room."""

_ROUNDING = 1e-9

_RUN = ("trainers", "generators", "evaluators", "crowd")
"""The order of a run's actors in what it reserves: what some runs do without, the crowd's shards, comes last."""


@dataclass(frozen=True)
class Need:
    """What must be free at the same time.

    Attributes:
        actors: amounts of resources by Ray's names, one entry per actor.
        wait: seconds that a growing cluster has to come to hold them.
        streams: whether tasks answer more than once, for which the cluster must be joined itself.
    """

    actors: tuple[Mapping[str, float], ...]
    wait: float = 0.0
    streams: bool = False

    @property
    def totals(self) -> dict[str, float]:
        """All actors' amounts together."""
        totals: Counter[str] = Counter()
        for actor in self.actors:
            totals.update(actor)
        return dict(totals)

    @property
    def cpus(self) -> float:
        """CPUs of all actors together."""
        return self.totals.get("CPU", 0.0)


def actors_of(config: RunConfig) -> ActorsConfig:
    """A run's actors with as many GPUs as they need where the configuration does not say how many.

    Whoever hosts a model with `task.device=cuda` has one for itself: trainers, generators, and the evaluators where workers
    are valued by retraining. With ``auto`` nobody knows beforehand what device there will be.
    """
    actors, on_gpu = config.actors, config.task.kind != "vector" and config.task.device == "cuda"
    own = {kind: float(on_gpu) for kind in ("trainers", "generators")}
    own |= {"evaluators": float(on_gpu and config.valuation.method != "none"), "crowd": 0.0}
    pools = {kind: getattr(actors, kind) for kind in own}
    known = {kind: pool.gpus if pool.gpus is not None else own[kind] for kind, pool in pools.items()}
    return actors.model_copy(
        update={kind: pool.model_copy(update={"gpus": known[kind]}) for kind, pool in pools.items()}
    )


def options_of(pool: PoolConfig | SweepWorkers) -> dict[str, Any]:
    """Ray's options for an actor, or a task, of a pool."""
    return {"num_cpus": pool.cpus, "num_gpus": pool.gpus or 0.0, "resources": dict(pool.resources)}


def bundle_options(actors: ActorsConfig, kind: str, member: int, group: PlacementGroup | None = None) -> dict[str, Any]:
    """Ray's options for a run's actor: its very own place in what the run has reserved, wherever it has.

    Ray would choose any place that is large enough: small actors in the places of large ones, and a large one waits for ever.

    Args:
        actors: the run's actors.
        kind: ``crowd``, ``trainers``, ``generators`` or ``evaluators``.
        member: number of the actor among its kind.
        group: what the run has reserved; absent: what the calling actor lives in, if any.
    """
    pool: PoolConfig = getattr(actors, kind)
    group = group or ray.util.get_current_placement_group()
    if group is None or not _amounts(pool):
        return options_of(pool)
    earlier = (getattr(actors, name) for name in _RUN[: _RUN.index(kind)])
    place = sum(other.number for other in earlier if _amounts(other)) + member
    strategy = PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=place)
    return {**options_of(pool), "scheduling_strategy": strategy}


def required_by_run(actors: ActorsConfig, *, with_crowd: bool = True) -> Need:
    """Trainers, generators, evaluators and crowd live side by side at most; the round manager itself takes no CPU.

    A run of texts has no shards (`with_crowd` false): its examples travel with the calls.
    """
    return _need([getattr(actors, kind) for kind in _RUN if with_crowd or kind != "crowd"], actors.wait)


def required_by_evaluators(actors: ActorsConfig) -> Need:
    """The evaluators alone."""
    return _need((actors.evaluators,), actors.wait)


def required_by_sweep(actors: ActorsConfig) -> Need:
    """At least one batch at a time."""
    return Need((_amounts(actors.sweep),), actors.wait, streams=True)


def fitting(pool: SweepWorkers) -> int:
    """How many of a pool's tasks the cluster's nodes can run at a time."""
    return sum(_fits(node, _amounts(pool)) for node in _nodes())


def lack_of_room(pool: SweepWorkers) -> str:
    """What a pool's task needs of the cluster, and what is free."""
    free, amounts = ray.available_resources(), _amounts(pool)
    there = {name: free.get(name, 0.0) for name in amounts}
    return f"a batch needs {_words(amounts)}, and {_words(there)} are free, which batches about to begin may hold"


def check_capacity(need: Need) -> None:
    """Refuse to start what the cluster cannot hold; one that grows by itself has `need.wait` seconds for it.

    Raises:
        ClusterError: names what is asked for and what is there.
    """
    deadline = time.monotonic() + need.wait
    said, group = float("-inf"), None
    try:
        while (lacking := _lacking(need)) is not None:
            now = time.monotonic()
            if now >= deadline:
                waited = f" (waited {need.wait:g} s, actors.wait)" if need.wait else ""
                raise ClusterError(f"{lacking}{waited}: lower actors.*.number or what each actor takes, or add nodes")
            if group is None:
                group = _group(need)  # a demand that the cluster's autoscaler sees
            if now - said >= SECONDS_BETWEEN_LINES:
                said = now
                print(f"waiting for the cluster, {deadline - now:.0f} s left: {lacking}", file=sys.stderr, flush=True)
            time.sleep(min(_POLL, max(deadline - now, 0.0)))
    finally:
        if group is not None:
            remove_placement_group(group)


@contextmanager
def reserved(need: Need) -> Iterator[PlacementGroup | None]:
    """Reserve all of it at once, so that two runs never each hold half of what they need.

    Yields:
        the reserved places; None where nothing is needed.

    Raises:
        ClusterError: others do not make room within `RESERVING` seconds, or no choice of nodes holds all actors.
    """
    if not need.totals:
        yield None
        return
    group = _group(need)
    try:
        if not group.wait(timeout_seconds=RESERVING + need.wait):
            raise ClusterError(
                f"no room for {_words(need.totals)} at once within {RESERVING + need.wait:g} s: other work takes it, or the "
                "nodes are too small for the actors; wait for the others, lower actors.*.number, or add nodes"
            )
        yield group
    finally:
        remove_placement_group(group)


def inside(group: PlacementGroup | None) -> dict[str, Any]:
    """Ray's options for an actor that takes none of it itself and starts the others: they live in the reserved places."""
    if group is None:
        return {}
    return {"scheduling_strategy": PlacementGroupSchedulingStrategy(group, placement_group_capture_child_tasks=True)}


def _need(pools: Sequence[PoolConfig], wait: float) -> Need:
    return Need(tuple(_amounts(pool) for pool in pools for _ in range(pool.number)), wait)


def _amounts(pool: PoolConfig | SweepWorkers) -> dict[str, float]:
    amounts = {"CPU": pool.cpus, "GPU": pool.gpus or 0.0, **pool.resources}
    return {name: amount for name, amount in amounts.items() if amount}


def _group(need: Need) -> PlacementGroup:
    return placement_group([dict(actor) for actor in need.actors if actor], strategy="PACK")


def _nodes() -> list[dict[str, float]]:
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def _lacking(need: Need) -> str | None:
    """What the cluster's nodes, were they idle, lack; None where they lack nothing."""
    nodes = _nodes()
    for name, amount in need.totals.items():
        there = sum(node.get(name, 0.0) for node in nodes)
        if amount > there + _ROUNDING:
            return f"the configuration's actors need {_words({name: amount})} at once, the cluster has {there:g}"
    for actor in need.actors:
        if not any(_fits(node, actor) for node in nodes):
            return f"an actor needs {_words(actor)}, and no node has that"
    return None


def _fits(node: Mapping[str, float], actor: Mapping[str, float]) -> int:
    """How many such actors an idle node holds."""
    return min((int(node.get(name, 0.0) / amount + _ROUNDING) for name, amount in actor.items()), default=1)


def _words(amounts: Mapping[str, float]) -> str:
    units = {"CPU": "CPUs", "GPU": "GPUs"}
    return " and ".join(f"{amount:g} {units.get(name, name)}" for name, amount in amounts.items())
