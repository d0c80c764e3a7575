"""What Ray's dashboard and Prometheus would see."""

from contextlib import nullcontext
from io import StringIO
from itertools import pairwise

import pytest
from rich.console import Console

from crowd_sim.actors.round_manager import RoundManager
from crowd_sim.cli.sweep import sweep as sweep_command
from crowd_sim.sweeps.plan import Sweep
from crowd_sim.tasks.load import load_task
from tests.faults import trouble
from tests.runs import config

pytestmark = pytest.mark.usefixtures("local_ray")

_KINDS = {"RayCounter": "inc", "Gauge": "set", "Histogram": "observe"}


@pytest.fixture
def seen(monkeypatch):
    """What was counted, set and observed, by name and tags other than the run, in its order."""
    values = {}

    def recording(method):
        class Recording:
            def __init__(self, name, *_):
                self.name = name

            def note(self, value, tags):
                assert tags.pop("run") == "test"
                values.setdefault((self.name, *tags.values()), []).append(value)

        setattr(Recording, method, lambda self, value, tags: self.note(value, dict(tags)))
        return Recording

    for kind, method in _KINDS.items():
        monkeypatch.setattr(f"crowd_sim.actors.run_metrics.{kind}", recording(method))
    return values


def test_a_run_is_measured(seen):
    setup = config("behaviour", 2, crowd__behaviour="tests.faults.trouble:lazy")
    trouble.plan("exit", 4)
    RoundManager(setup, load_task(setup), "test", ()).run()  # as it runs in its actor
    assert sum(seen["crowd_sim_rounds",]) == 12
    assert sum(seen["crowd_sim_workers",]) == 12 * 2 * 60
    for pool, n_calls in (("crowd shard", 2), ("trainer", 2), ("evaluator", 1)):
        in_flight = seen["crowd_sim_queue", pool]
        assert max(in_flight) >= n_calls
        assert in_flight[-1] == 0
        # one more with each call, one less with each answer
        assert {abs(later - earlier) for earlier, later in pairwise(in_flight[:-1])} == {1}
    assert seen["crowd_sim_retries", "crowd shard"] == [1]
    (seconds,) = seen["crowd_sim_recovery_seconds", "crowd shard"]
    assert seconds > 0


def test_a_sweep_is_measured(seen, tmp_path, monkeypatch):
    monkeypatch.setattr("crowd_sim.actors.cluster.connected", lambda *_: nullcontext())
    monkeypatch.setattr("crowd_sim.report.write_report", lambda _: None)
    content = {
        "crowd": {"n_workers": 8},
        "tournament": {"rounds": 1, "n_groups": 2},
        "valuation": {"method": "none"},
        "sweep": {"seed": [0, 1, 2]},
    }
    sweep_command(Sweep.parse(content), "x", tmp_path / "test", None, Console(file=StringIO()))
    assert sum(seen["crowd_sim_points",]) == 3
    assert max(seen["crowd_sim_queue", "sweep"]) == 1
    assert seen["crowd_sim_queue", "sweep"][-1] == 0
