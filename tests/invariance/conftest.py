"""What runs are held against."""

import pytest

from tests.invariance.hosts import setup
from tests.llm.small import make_parts
from tests.runs import simulated, written


@pytest.fixture(scope="session")
def parts(tmp_path_factory):
    return make_parts(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="session")
def expected(request, tmp_path_factory):
    """The tables of each kind, in process; of texts they are made when asked for."""
    made = {}

    def of(kind):
        if kind not in made:
            made[kind] = written(simulated(setup(request, kind)), tmp_path_factory.mktemp(kind))
        return made[kind]

    return of
