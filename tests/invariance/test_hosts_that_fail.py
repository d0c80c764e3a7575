"""Both tasks with actors and managers that die on the way: identical bytes."""

from collections import Counter

import pytest

from crowd_sim.store.run_log import read_status
from tests.faults import trouble
from tests.faults.watched import MortalManager, Watched
from tests.invariance.hosts import ON_RAY, events, on_ray, setup
from tests.runs import simulated, written


@ON_RAY
@pytest.mark.parametrize(
    ("kind", "kill"),
    [
        ("vector", [("crowd", "before", 5), ("trainer", "before", 9)]),
        ("valued", [("crowd", "during", 8), ("trainer", "during", 3), ("evaluator", "during", 1)]),
        (
            "behaviour",
            [
                ("crowd", "after", "round 3 of crowd shard 0"),
                ("crowd", "after", "round 7 of crowd shard 0"),
                ("evaluator", "before", 2),
            ],
        ),
        ("best", [("trainer", "during", "tune candidates 1"), ("evaluator", "during", 5)]),
    ],
)
def test_actors_killed(request, kind, kill, expected, tmp_path):
    own = setup(request, kind, 2, actors__evaluators__number=1)
    host = Watched(own, kill)
    assert written(simulated(own, host), tmp_path) == expected(kind)
    assert host.measures.failures == {"death": len(kill)}
    events = [event.name for event in host.measures.take_events()]
    assert events == ["actor failed", "actor replaced"] * len(kill)


@ON_RAY
@pytest.mark.parametrize(("kind", "after"), [("behaviour", 8), ("merge", 1)])
def test_the_manager_killed(request, kind, after, expected, tmp_path, monkeypatch):
    monkeypatch.setattr("crowd_sim.actors.round_manager.RoundManager", MortalManager)
    trouble.plan("manager", after)
    assert on_ray(setup(request, kind, actors__checkpoints__rounds=3), tmp_path) == expected(kind)
    assert trouble.left() == []
    told = Counter(
        event["event"] for event in events(tmp_path) if event.get("pool", "round manager") == "round manager"
    )
    assert told["actor failed"] == 1
    assert told["resumed"] <= 1  # it was told of the rounds before, or had died too early to tell
    assert read_status(tmp_path).failures == {"death": 1}
