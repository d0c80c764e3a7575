"""A run on a Ray whose memory monitor kills a shard that takes too much; prints the digest and counts.

A program of its own: the limit is a setting of the whole Ray.
"""

import os
import sys
from pathlib import Path

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
    lines = Path("/proc/meminfo").read_text().splitlines()
    total, available = (1024 * int(line.split()[1]) for line in lines if line.startswith(("MemTotal", "MemAvailable")))
    limits = {
        "memory_usage_threshold": (total - available + _ROOM) / total,
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
