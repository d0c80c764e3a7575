"""A run on a Ray whose memory monitor kills a shard that takes too much; prints the digest and counts.

A program of its own: the limit is a setting of the whole Ray.
"""

import os
import sys
from pathlib import Path

import psutil
import ray

from actors.host import RayHost
from actors.measures import Measures
from tests.faults import trouble
from tests.runs import config, digest, simulated, written

_ROOM = 1.5e9


def main(folder):
    (folder / "trouble").mkdir()
    os.environ["CROWD_SIM_TROUBLE"] = str(folder / "trouble")
    trouble.plan("memory", 4)
    memory = psutil.virtual_memory()
    limits = {
        "memory_usage_threshold": (memory.total - memory.available + _ROOM) / memory.total,
        "memory_monitor_refresh_ms": 100,
    }
    ray.init(
        address="local", num_cpus=2, include_dashboard=False, log_to_driver=False,
        object_store_memory=10**8, _system_config=limits,
    )  # fmt: skip
    setup = config("behaviour", 1, crowd__behaviour="tests.faults.trouble:lazy", valuation__method="none")
    measures = Measures("test")
    found = digest(written(simulated(setup, RayHost(setup.actors, measures)), folder / "shaken"))
    print("result", found, measures.failures["memory"], measures.failures.total() - measures.failures["memory"])
    ray.shutdown()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
