import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of ml-latest-small, or one that holds it: the environment's CROWD_SIM_DATA."""
    folder = os.environ.get("CROWD_SIM_DATA")
    if not folder:
        pytest.skip("CROWD_SIM_DATA is not set: it names a folder with MovieLens ml-latest-small")
    return Path(folder)
