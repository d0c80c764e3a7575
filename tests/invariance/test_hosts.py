"""Both tasks on every host: identical bytes.

Runs of vectors meet every host; of texts, which are slow to start, each search meets some and each host one.
"""

import pickle
from contextlib import nullcontext

import pytest

from crowd_sim.crowd.reduction import fold_shards
from crowd_sim.host import InProcess
from crowd_sim.tasks.load import load_task
from tests.faults.programs import program
from tests.invariance.hosts import ON_RAY, setup
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
    # 1, 2 and 4 actors for vectors and for texts: what they are asked does not depend on the kind of run
    [("vector", 1), ("behaviour", 2), ("valued", 4), ("best", 1), ("merge", 2), ("halving", 4)],
)
def test_actors(request, kind, number, expected, tmp_path):
    own = setup(request, kind, number)
    assert written(run_on_ray(own, load_task(own)), tmp_path) == expected(kind)


def test_three_nodes_one_of_which_is_lost_in_the_end(request, expected, parts, tmp_path):
    kinds = [*KINDS, "merge"]
    *calm, (shaken, found, on_it, failed, replaced) = program("three_nodes", str(tmp_path), str(parts), "merge")
    assert calm == [[kind, digest(expected(kind)), "3"] for kind in kinds]
    assert (shaken, found) == ("shaken", digest(expected("behaviour")))
    assert int(on_it) >= 1
    assert on_it == failed == replaced
