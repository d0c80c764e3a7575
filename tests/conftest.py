import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings

pytest_plugins = ["tests.ray_fixture"]

# no deadline: the first call of a kernel compiles it. Derandomised: a test must not pass or fail by the draw.
settings.register_profile("crowd_sim", deadline=None, derandomize=True)
settings.load_profile("crowd_sim")

# a shell's background job ignores Ctrl-C, and so would every command that a test starts and interrupts
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of ml-latest-small, or one that holds it: the environment's CROWD_SIM_DATA."""
    folder = os.environ.get("CROWD_SIM_DATA")
    if not folder:
        pytest.skip("CROWD_SIM_DATA is not set: it names a folder with MovieLens ml-latest-small")
    return Path(folder)


@pytest.fixture(scope="session")
def quickstart() -> Path:
    """The configuration a newcomer runs first."""
    return Path(__file__).parents[1] / "experiments" / "configs" / "quickstart.yaml"


@pytest.fixture(scope="session")
def goemotions_folder() -> Path:
    """The folder with GoEmotions' neighbourhoods, below the environment's CROWD_SIM_DATA."""
    folder = Path(os.environ.get("CROWD_SIM_DATA", "")) / "goemotions"
    if not (folder / "neighbourhoods.parquet").exists():
        pytest.skip("CROWD_SIM_DATA names no folder with goemotions/neighbourhoods.parquet")
    return folder


LONG = ("golden", "bad_input", "test_on_a_cluster.py", "invariance", "faults", "test_installed.py", "test_llm_sweep.py")
"""Golden runs compile what a clean clone has not, and beside them goes what needs little of it: a dozen actors would compile
the same beside each other."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that wait for Ray or for other processes go first: at the end no worker is left alone with one."""
    items.sort(key=lambda item: LONG.index(place) if (place := _long(item)) else len(LONG))


def _long(item: pytest.Item) -> str:
    return next((name for name in LONG if name in item.path.parts), "")
