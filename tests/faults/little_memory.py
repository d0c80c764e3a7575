"""A run on a Ray whose memory monitor kills a shard that takes too much; prints the digest and counts.

A program of its own: the limit is a setting of the whole Ray.
"""

import os
import sys
from pathlib import Path

import ray

from crowd_sim.actors.host import RayHost
from crowd_sim.actors.run_metrics import RunMetrics
from tests.faults import trouble
from tests.runs import config, digest, simulated, written

_ROOM = 4e9
"""Bytes that the machine's others may take in the meantime without losing the run a shard, or a third of what is free."""


def main(folder):
    (folder / "trouble").mkdir()
    os.environ["CROWD_SIM_TROUBLE"] = str(folder / "trouble")
    trouble.plan("memory", 4)
    lines = Path("/proc/meminfo").read_text().splitlines()
    total, available = (1024 * int(line.split()[1]) for line in lines if line.startswith(("MemTotal", "MemAvailable")))
    limits = {
        "memory_usage_threshold": (total - available + min(_ROOM, available / 3)) / total,
        "memory_monitor_refresh_ms": 100,
    }
    ray.init(
        address="local", num_cpus=2, include_dashboard=False, log_to_driver=False,
        object_store_memory=10**8, _system_config=limits,
    )  # fmt: skip
    # the monitor may kill the next shard, too, before it sees what the death of the first has freed
    patient = {"valuation__method": "none", "actors__failures__memory": 20}
    setup = config("behaviour", 1, crowd__behaviour="tests.faults.trouble:lazy", **patient)
    measures = RunMetrics("test")
    found = digest(written(simulated(setup, RayHost(setup.actors, measures)), folder / "shaken"))
    print("result", found, measures.failures["memory"], measures.failures.total() - measures.failures["memory"])
    ray.shutdown()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
