"""A run on a cluster of three nodes, then one that loses a node without grace; prints digests and counts.

A program of its own, as a process can be connected to one Ray only.
"""

import sys
from collections import Counter
from pathlib import Path

import ray
from ray.cluster_utils import Cluster

from actors.crowd import RayCrowd
from actors.host import RayHost
from actors.measures import Measures
from tests.runs import config, digest, simulated, written


def node_of(actor):
    return ray.get(actor.__ray_call__.remote(lambda _: ray.get_runtime_context().get_node_id()), timeout=60)


def main(folder):
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    others = {node.node_id: node for node in (cluster.add_node(num_cpus=1), cluster.add_node(num_cpus=1))}
    ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
    # two shards and the two other actors, or two shards, fill a node: any two of the three nodes hold all
    setup = config("behaviour", 4, actors__crowd__cpus=0.4, actors__trainers__number=1, actors__evaluators__number=1)
    calm = digest(written(simulated(setup, RayHost(setup.actors)), folder / "calm"))
    measures, group_sums, on_it = Measures("test"), RayCrowd.group_sums, []

    def losing(self, call):
        if call.round == 5:
            homes = Counter(map(node_of, self.pool.actors))
            lost = max(others, key=lambda node: homes[node])
            on_it.append(homes[lost])
            cluster.remove_node(others[lost], allow_graceful=False)
        return group_sums(self, call)

    RayCrowd.group_sums = losing
    shaken = digest(written(simulated(setup, RayHost(setup.actors, measures)), folder / "shaken"))
    events = [event for event in measures.take_events() if event.details["pool"] == "crowd shard"]
    names = Counter(event.name for event in events)
    print("result", calm, shaken, on_it[0], names["actor failed"], names["actor replaced"])
    ray.shutdown()
    cluster.shutdown()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
