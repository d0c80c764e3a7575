"""One small Ray for all tests that need one; its start costs seconds."""

import os
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import ray

from tests.faults.callbacks import VARIABLE, Script


@pytest.fixture(scope="session")
def faults_folder(tmp_path_factory) -> Iterator[Path]:
    """Where the script of faults is; in the environment before Ray's processes start, which inherit it."""
    folder = tmp_path_factory.mktemp("faults")
    os.environ[VARIABLE] = str(folder)
    yield folder
    del os.environ[VARIABLE]


@pytest.fixture
def script(faults_folder) -> Script:
    """An empty script of faults."""
    empty = Script(faults_folder)
    empty.clear()
    return empty


@pytest.fixture(scope="session")
def local_ray(faults_folder, tmp_path_factory) -> Iterator[None]:
    """Two CPUs on this machine, shared by the session."""
    folder = tmp_path_factory.mktemp("trouble")
    os.environ["CROWD_SIM_TROUBLE"] = str(folder)  # Ray's processes inherit it: `tests.faults.trouble`
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    for child in psutil.Process().children():
        if any("log_monitor" in part for part in child.cmdline()):
            child.kill()  # ten times a second, as long as the session lasts, it looks for lines that nobody reads
    yield
    ray.shutdown()
