"""Both tasks on every host: identical bytes.

Runs of vectors meet every host; of texts, which are slow to start, each search meets some and each number of actors one:
four here, three nodes below, two where actors are killed and one where the manager is.
"""

import pickle
from contextlib import nullcontext

import pytest

from crowd_sim.crowd.reduction import fold_shards
from crowd_sim.host import InProcess
from crowd_sim.tasks.load import load_task
from tests.faults.programs import program
from tests.invariance.hosts import ON_RAY, setup
from tests.invariance.test_services import errors_so_far
from tests.on_ray import run_on_ray
from tests.runs import KINDS, digest, simulated, written


class Cut(InProcess):
    """In process, but each shard is built of what would travel, and answers come in the opposite order."""

    def __init__(self, number):
        self.number = number

    def crowd(self, cohort):
        shards = [(members, pickle.loads(pickle.dumps(o)).build()) for members, o in cohort.shards(self.number)]
        assert len(shards) == self.number
        self.group_sums = lambda call: fold_shards(
            [shard.group_sums(call.of(members)) for members, shard in reversed(shards)], cohort.n_chunks
        )
        return nullcontext(self)


@pytest.mark.parametrize("number", [1, 3, 5])
@pytest.mark.parametrize("kind", KINDS)
def test_shards(request, kind, number, expected, tmp_path):
    assert written(simulated(setup(request, kind), Cut(number)), tmp_path) == expected(kind)


@ON_RAY
@pytest.mark.parametrize(
    ("kind", "number"),
    # what actors are asked does not depend on the kind of run
    [("vector", 1), ("behaviour", 2), ("valued", 4), ("halving", 4)],
)
def test_actors(request, kind, number, expected, tmp_path):
    # of four that host a model two draw outputs
    changes = (
        {"actors__trainers__number": 2, "actors__generators": {"number": 2, "cpus": 0.1}} if kind == "halving" else {}
    )
    own, told = setup(request, kind, number, **changes), []
    outcome = run_on_ray(own, load_task(own), lambda *news: told.append(news))
    assert written(outcome, tmp_path) == expected(kind)
    if kind == "valued":
        assert told[-1] == errors_so_far(outcome)[-1]


def test_three_nodes_one_of_which_is_lost_in_the_end(request, expected, parts, tmp_path):
    kinds = ["valued", "merge"]
    *calm, (shaken, found, on_it, failed, replaced) = program("three_nodes", str(tmp_path), str(parts), *kinds)
    assert calm == [[kind, digest(expected(kind)), "3"] for kind in kinds]
    assert (shaken, found) == ("shaken", digest(expected("behaviour")))
    assert int(on_it) >= 1
    assert on_it == failed == replaced
