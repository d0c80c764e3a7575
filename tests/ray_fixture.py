"""One small Ray for all tests that need one; its start costs seconds."""

import os
from collections.abc import Iterator

import pytest
import ray


@pytest.fixture(scope="session")
def local_ray(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Two CPUs on this machine, shared by the session."""
    folder = tmp_path_factory.mktemp("trouble")
    os.environ["CROWD_SIM_TROUBLE"] = str(folder)  # Ray's processes inherit it: `tests.faults.trouble`
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()
