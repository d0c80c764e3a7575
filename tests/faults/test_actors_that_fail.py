"""Actors that fail by a script: each failure is made good exactly once, and the result is the same."""

import os
import time
from contextlib import closing
from functools import partial

import pytest
import ray

from crowd_sim.actors.host import RayHost
from crowd_sim.actors.pool import Pool, Work
from crowd_sim.actors.round_manager import Supervisor
from crowd_sim.actors.run_metrics import RunMetrics
from crowd_sim.config import FailureConfig
from crowd_sim.errors import ClusterError, QuarantinedError, StrategyError
from crowd_sim.host import InProcess
from crowd_sim.store.checkpoint import Checkpoint, Checkpoints
from crowd_sim.store.checkpointer import Checkpointer
from crowd_sim.store.run_folder import open_run, write_run
from crowd_sim.store.run_log import RunLog, read_status
from crowd_sim.tasks.load import load_task
from tests.faults import trouble
from tests.faults.clock import Clock
from tests.faults.watched import Watched
from tests.on_ray import run_on_ray
from tests.runs import config, simulated, tables, written

pytestmark = pytest.mark.usefixtures("local_ray")


def setup(**changes):
    common = {
        "crowd__behaviour": "tests.faults.trouble:lazy",
        "tournament__grouping": "tests.faults.trouble:grouping",
        "tournament__reward": "tests.faults.trouble:reward",
        "actors__checkpoints__rounds": 3,
        "actors__trainers__number": 1,
        "actors__evaluators__number": 1,
    }
    return config("behaviour", 2, **common | changes)


@pytest.fixture(scope="module")
def expected(local_ray, tmp_path_factory):
    return written(simulated(setup()), tmp_path_factory.mktemp("expected"))


@pytest.fixture(autouse=True)
def _nothing_planned(local_ray):
    yield
    trouble.clear()


def test_a_shard_that_ends_itself(expected, tmp_path):
    trouble.plan("exit", 4)
    host = Watched(setup())
    assert written(simulated(setup(), host), tmp_path) == expected
    assert host.measures.failures == {"death": 1}
    assert trouble.left() == []


def plan_hangs(monkeypatch, round_number, times):
    """Whoever awaits an actor sees its deadline pass with each hang; the shard is a single one, as clocks spare nobody."""
    trouble.plan("hang", round_number, times)
    monkeypatch.setattr("crowd_sim.actors.pool.time", Clock(lambda: times - len(trouble.left())))
    return setup(actors__crowd__number=1)


def test_a_shard_that_hangs(expected, tmp_path, monkeypatch):
    one_shard = plan_hangs(monkeypatch, 4, 1)
    host = Watched(one_shard)
    assert written(simulated(one_shard, host), tmp_path) == expected
    assert host.measures.failures == {"hang": 1}
    assert trouble.left() == []


def run(folder, setup, play=run_on_ray):
    people = load_task(setup)
    with open_run(folder, setup, people) as fingerprint, RunLog(folder, fingerprint, 120) as record:
        write_run(folder, play(setup, people, record=record), fingerprint)
    return tables(folder)


def here(host, setup, _, record):
    """The run with its manager in this process."""
    checkpointer = Checkpointer(record.checkpoints(), setup.actors.checkpoints, record.save, record.event)
    return simulated(setup, host, checkpointer)


def test_a_checkpoint_that_the_manager_cannot_use_is_set_aside_where_the_folder_is(expected, tmp_path):
    with open_run(tmp_path, setup(), load_task(setup())) as fingerprint:
        Checkpoints(tmp_path, fingerprint).write(Checkpoint(11, b"of another version"))
    assert run(tmp_path, setup()) == expected
    names = sorted(path.name for path in (tmp_path / "checkpoints").glob("round-*"))
    assert "round-00000011.unusable" in names
    assert names[-1] == "round-00000012.checkpoint"


def test_a_manager_that_hangs_is_built_of_the_checkpoint(expected, tmp_path, monkeypatch):
    trouble.plan("stuck", 8)
    look, looks = Supervisor._look, 0

    def looked(self, *patience):
        nonlocal looks
        looks += not trouble.left() and not self._measures.failures
        assert looks < 20, "it answers questions for ever"
        look(self, *patience)

    # its deadline passes from look to look, of which the first may bring news
    monkeypatch.setattr(Supervisor, "_look", looked)
    monkeypatch.setattr("crowd_sim.actors.pool.time", Clock(lambda: looks))
    assert run(tmp_path, setup()) == expected
    assert read_status(tmp_path).failures == {"hang": 1}
    assert trouble.left() == []


def test_who_waits_for_an_actor_lives(tmp_path):
    @ray.remote(num_cpus=0)
    class Slow:
        def work(self):
            while not (tmp_path / "over").exists():
                time.sleep(0.01)

    measures, signs = RunMetrics("test"), []

    def on_idle():
        signs.append(measures.signs)
        if len(signs) == 3:
            (tmp_path / "over").touch()

    with closing(Pool("slow", lambda _: Slow.remote(), 1, FailureConfig(), measures, on_idle)) as pool:
        pool.gather([Work(0, "work", (), "a long call")])
    assert signs == sorted(set(signs))


@pytest.mark.parametrize(
    ("kind", "times", "error", "says"),
    [
        ("exit", 2, QuarantinedError, "round 8 of crowd shard 0 is quarantined: crowd shard died at it 2 times"),
        ("raise", 1, StrategyError, r"trouble:lazy' failed \(run 0, round 8\): ZeroDivisionError"),
        ("reward", 1, StrategyError, r"^tournament.reward = '.*trouble:reward' failed \(round 8\): ZeroDivisionError"),
    ],
)
def test_what_cannot_be_made_good_is_named_and_the_run_can_go_on(kind, times, error, says, expected, tmp_path):
    one_shard = setup(actors__crowd__number=1)
    trouble.plan(kind, 8, times)
    with pytest.raises(error, match=says) as caught:
        run(tmp_path, one_shard)
    if error is StrategyError:
        assert "in lazy" in caught.value.trace or "in reward" in caught.value.trace
        assert read_status(tmp_path).error.startswith(f"StrategyError: {str(caught.value)[:80]}")
    check_goes_on(tmp_path, one_shard, expected)


def test_work_that_hangs_twice_is_named_and_the_run_can_go_on(expected, tmp_path, monkeypatch):
    one_shard = plan_hangs(monkeypatch, 8, 2)

    deadline = r"its deadline of 600 s \(actors.failures.deadline\)"
    says = f"round 8 of crowd shard 0 is quarantined: crowd shard missed {deadline} at it 2 times"
    with pytest.raises(QuarantinedError, match=says):
        run(tmp_path, one_shard, partial(here, RayHost(one_shard.actors)))
    check_goes_on(tmp_path, one_shard, expected)


def test_a_spent_budget_is_named():
    @ray.remote(num_cpus=0)
    class Mortal:
        def die(self):
            os._exit(1)

    limits, says = FailureConfig(deaths=1), r"mortal 0 died 2 times .* actors.failures.deaths = 1 \("
    pool = Pool("mortal", lambda _: Mortal.remote(), 1, limits, RunMetrics("test"))
    with closing(pool), pytest.raises(ClusterError, match=says) as caught:
        pool.gather([Work(0, "die", (), "the run", may_kill=False)])
    assert not isinstance(caught.value, QuarantinedError)


def check_goes_on(folder, setup, expected):
    """After a failure in round 8."""
    assert trouble.left() == []
    status = read_status(folder)
    assert (status.state, status.checkpoint) == ("failed", 7)
    assert not (folder / "summary.json").exists()
    assert run(folder, setup, partial(here, InProcess())) == expected
    assert read_status(folder).resumed_from == 7
