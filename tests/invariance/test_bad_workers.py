"""Attacks in two phases, screens and payment: the same bits on any number of actors, also where one ends between the phases."""

import pytest

from crowd_sim.host import InProcess
from tests.faults.watched import Watched
from tests.runs import config, simulated, written

BAD = [
    {"behaviour": "alie", "share": 0.2},
    {"behaviour": "min_max", "share": 0.2, "identities": 3, "jitter": 0.1},
    {"behaviour": "camouflage", "share": 0.2},
]


@pytest.mark.usefixtures("local_ray")
def test_attacks_are_the_same_bits_on_any_number_of_actors(tmp_path):
    expected = written(simulated(setup(1), InProcess()), tmp_path / "here")
    for n_actors in (1, 2, 4):
        # what honest workers contribute is asked in the first round alone
        host = Watched(setup(n_actors), kill=[("crowd", "after", "round 1 of")] if n_actors == 2 else [])
        assert written(simulated(setup(n_actors), host), tmp_path / str(n_actors)) == expected
        assert host.measures.failures == ({"death": 1} if n_actors == 2 else {})


def setup(n_actors):
    changes = {
        "crowd__bad": BAD,
        "tournament__rounds": 5,
        "screens__action": "merge",
        "payment__rule": "marginal",
        "payment__identities": "merge",
        "actors__trainers__number": 1,
    }
    return config("vector", n_actors, **changes)
