"""Runs of both tasks on a cluster of three nodes, then one that loses a node without grace; prints digests and counts.

A program of its own, as a process can be connected to one Ray only.
"""

import os
import sys
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import ray
from ray.cluster_utils import Cluster

from crowd_sim.actors.crowd import RayCrowd
from crowd_sim.actors.host import RayHost
from crowd_sim.actors.run_metrics import RunMetrics
from crowd_sim.actors.trainer import RayTrainers
from tests.faults.processes import gone
from tests.runs import TEXTS, config, digest, simulated, written

FEW = {"actors__trainers__number": 1, "actors__evaluators__number": 1}
SOON_DEAD = {"health_check_period_ms": 500}
"""Ray asks nodes how they are every 3 s otherwise, and believes the fifth that it misses."""


def home_of(actor):
    """Its node and its process."""
    home = actor.__ray_call__.remote(lambda _: (ray.get_runtime_context().get_node_id(), os.getpid()))
    return ray.get(home, timeout=200)


@contextmanager
def noted(before, service=RayCrowd, method="group_sums"):
    """`before` is told of every call to a service."""
    usual = getattr(service, method)

    def told(self, *call):
        before(self, *call)
        return usual(self, *call)

    setattr(service, method, told)
    try:
        yield
    finally:
        setattr(service, method, usual)


def main(folder, parts, *kinds):
    head = {"num_cpus": 1, "include_dashboard": False, "_system_config": SOON_DEAD}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    others = {node.node_id: node for node in (cluster.add_node(num_cpus=1), cluster.add_node(num_cpus=1))}
    ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
    for kind in kinds:  # a shard, or a trainer of texts, fills more than half of a node: each has one
        if kind in TEXTS:
            shards, service = config(kind, 3, Path(parts), actors__trainers__cpus=0.6), (RayTrainers, "gather")
        else:
            shards, service = config(kind, 3, actors__crowd__cpus=0.6, **FEW), (RayCrowd, "group_sums")
        homes = set()

        def note(service, *_, homes=homes):
            homes.update(node for node, _ in map(home_of, service.pool.actors) if len(homes) < 3)

        with noted(note, *service):
            found = digest(written(simulated(shards, RayHost(shards.actors)), folder / kind))
        print("result", kind, found, len(homes))
    # two shards and the two other actors, or two shards, fill a node: any two of the three nodes hold all
    setup = config("behaviour", 4, actors__crowd__cpus=0.4, **FEW)
    measures, on_it = RunMetrics("test"), []

    def lose(crowd, call):
        if call.round == 5:
            homes = list(map(home_of, crowd.pool.actors))
            lost = max(others, key=[node for node, _ in homes].count)
            shards = {process for node, process in homes if node == lost}
            on_it.append(len(shards))
            cluster.remove_node(others[lost], allow_graceful=False)
            # shards outlive their node by a second, in which they would play all rounds that are left
            assert gone(shards, seconds=200)

    with noted(lose):
        shaken = digest(written(simulated(setup, RayHost(setup.actors, measures)), folder / "shaken"))
    events = [event for event in measures.take_events() if event.details["pool"] == "crowd shard"]
    names = Counter(event.name for event in events)
    print("result shaken", shaken, on_it[0], names["actor failed"], names["actor replaced"])
    ray.shutdown()
    cluster.shutdown()


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
