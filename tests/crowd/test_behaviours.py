import sys
from types import ModuleType

import numpy as np
import pytest

from crowd_sim.crowd.behaviours import Members, contributions, per_shard
from crowd_sim.errors import InputError, StrategyError
from crowd_sim.random import Purpose, generator

D = 3


def members(m=5, first=10):
    places = np.arange(first, first + m)
    vectors = np.arange(m * D, dtype=float).reshape(m, D)
    return Members(7, 2, 4, places, places + 100, vectors, np.full(D, 0.5))


@pytest.fixture
def called(monkeypatch):
    """Contributions of the members by a behaviour, found by its name."""

    def call(behaviour, whom=None):
        module = ModuleType("behaviours_of_a_test")
        module.behaviour = behaviour
        monkeypatch.setitem(sys.modules, module.__name__, module)
        return contributions("behaviours_of_a_test:behaviour", whom or members())

    return call


def test_a_worker_knows_who_and_where_it_is(called):
    seen = []

    def behaviour(worker):
        seen.append((worker.seed, worker.run, worker.round, worker.place, worker.id, worker.model.tolist()))
        return 2 * worker.vector

    assert called(behaviour).tolist() == (2 * members().vectors).tolist()
    assert seen == [(7, 2, 4, 10 + i, 110 + i, [0.5] * D) for i in range(5)]


def test_both_ways_of_calling_draw_the_same_numbers(called):
    def one(worker):
        return worker.generator().random(D)

    @per_shard
    def all_at_once(whom):
        return whom.uniforms(D)

    found = called(one)
    assert found.tobytes() == called(all_at_once).tobytes()
    assert found[1].tolist() == generator(7, 2, Purpose.BEHAVIOUR, 4, 11).random(D).tolist()
    # however the crowd is cut
    assert called(one, members(2, first=13)).tobytes() == found[3:].tobytes()


def test_a_bug_is_told_with_its_place_and_traceback(called):
    def behaviour(worker):
        return worker.vector if worker.place < 12 else {}["nobody"]

    with pytest.raises(StrategyError, match=r"failed \(worker 12, run 2, round 4\): KeyError\('nobody'\)") as caught:
        called(behaviour)
    assert "in behaviour\n" in caught.value.trace


@pytest.mark.parametrize(
    ("behaviour", "says"),
    [
        (lambda worker: worker.vector[:2], r"returned an array of shape \(2,\) for worker 10; .* of shape \(3,\)"),
        (lambda worker: 1.0, r"returned an array of shape \(\) for worker 10"),
        (lambda worker: worker.vector / (worker.place - 12), "not finite for worker 12 in round 4"),
        (per_shard(lambda whom: whom.vectors[1:]), r"returned an array of shape \(4, 3\); .* of shape \(5, 3\)"),
    ],
)
def test_what_cannot_be_summed_is_refused(behaviour, says, called):
    with np.errstate(divide="ignore", invalid="ignore"), pytest.raises(InputError, match=says):
        called(behaviour)


@pytest.mark.parametrize("name", ["nobody", "no.such_module:f", "os:system"])
def test_a_name_that_stands_for_nothing_is_refused(name):
    with pytest.raises(InputError, match=rf"^crowd\.behaviour = '{name}': "):
        contributions(name, members())
