"""An LLM run is the same bits in process, on one trainer and on two, and with a trainer that dies at work."""

from contextlib import closing, contextmanager
from functools import partial

import numpy as np
import pytest
import ray

pytest.importorskip("torch", reason="needs the extra llm")
pytest.importorskip("peft", reason="needs the extra llm")

from crowd_sim.actors.host import RayHost
from crowd_sim.actors.run_metrics import RunMetrics
from crowd_sim.actors.trainer import RayTrainers
from crowd_sim.config import ActorsConfig, PoolConfig
from crowd_sim.crowd.texts import Example, TextCrowd
from crowd_sim.engine import simulate
from crowd_sim.errors import InputError
from crowd_sim.host import InProcess
from crowd_sim.models.lora import shared_learner
from crowd_sim.tasks.imitate.participants import learner_spec
from crowd_sim.tasks.imitate.trainers import TextTrainers
from crowd_sim.tasks.load import load_task
from tests.llm.small import config, make_parts

pytestmark = pytest.mark.usefixtures("local_ray")


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    return make_parts(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def setup(parts):
    changes = {
        "crowd": {"n_workers": 4, "selection": "first"},
        "valuation": {"method": "exact"},
        "task": {"equal_tokens": True},
        "tournament": {"search": "merge"},
        "actors": {"trainers": {"number": 2, "cpus": 0.1}, "evaluators": {"number": 1, "cpus": 0.1}},
    }
    return config(parts, **changes)


@pytest.fixture(scope="module")
def calm(setup):
    return outcome(setup, InProcess())


def outcome(setup, host):
    (found,) = simulate([setup], load_task(setup), host)
    return found


class With(InProcess):
    """All in this process but the trainers."""

    def __init__(self, make):
        self.make = make

    @contextmanager
    def trainers(self, hosted):
        with closing(self.make(hosted)) as opened:
            yield opened


def pool(number: int) -> ActorsConfig:
    return ActorsConfig(trainers=PoolConfig(number=number, cpus=0.1))


def check_same(found, calm):
    own, other = found.details, calm.details
    assert [r.winner for r in own.rounds] == [r.winner for r in other.rounds]
    assert [r.candidate_scores for r in own.rounds] == [r.candidate_scores for r in other.rounds]
    assert [r.texts for r in own.reports] == [r.texts for r in other.reports]
    assert [r.tokens_trained for r in own.reports] == [r.tokens_trained for r in other.reports]
    assert found.history.points.tobytes() == calm.history.points.tobytes()
    assert found.values.tobytes() == calm.values.tobytes()
    assert own.first_order.tobytes() == other.first_order.tobytes()
    for one, two in zip(own.models, other.models, strict=True):
        assert one.keys() == two.keys()
        assert all(np.asarray(one[name]).tobytes() == np.asarray(two[name]).tobytes() for name in one)


def test_the_run_does_something(calm):
    assert any(record.accepted for record in calm.details.rounds)
    assert len(set(calm.values[0])) == 4


def test_two_trainers_and_an_evaluator_change_no_bit(setup, calm):
    check_same(outcome(setup, RayHost(setup.actors)), calm)


def test_one_trainer_changes_no_bit_and_refuses_in_one_line(setup, calm):
    measures = RunMetrics("test")
    check_same(outcome(setup, With(lambda hosted: RayTrainers(hosted, pool(1), measures))), calm)
    with closing(RayTrainers(partial(shared_learner, learner_spec(setup)), pool(1), measures)) as trainers:
        long = TextCrowd(("w",), ((Example("p", "x" * 99),),), ("t",))
        with pytest.raises(InputError) as refused:
            TextTrainers(trainers).facts(long, ["p"], (), 5)
    assert "has 103 tokens with its prompt; at most task.max_tokens, 40" in str(refused.value)


def test_a_trainer_that_dies_in_a_round_changes_nothing(setup, calm):
    class Killer(RayTrainers):
        """Kills a trainer with its part of a round's candidates, and another while it judges."""

        killed = 0

        def gather(self, method, calls, names):
            wanted = ("tune", "judge_all")[self.killed % 2]
            several = method == wanted and sum(len(jobs) for (jobs,) in calls) > 1
            if several and self.killed < 2:
                busy = [trainer.call.remote(method, *calls[0]) for trainer in self.pool.actors]
                ray.kill(self.pool.actors[0])
                self.killed += 1
                del busy
            return super().gather(method, calls, names)

    measures, made = RunMetrics("test"), []

    def make(hosted):
        made.append(Killer(hosted, pool(2), measures))
        return made[0]

    found = outcome(setup, With(make))
    assert [killer.killed for killer in made] == [2]
    check_same(found, calm)
    assert measures.failures == {"death": 2}
