"""An LLM run is the same bits in process, on one trainer and on two, and with a trainer that dies at work."""

from contextlib import closing

import numpy as np
import pytest
import ray

pytest.importorskip("torch", reason="needs the extra llm")
pytest.importorskip("peft", reason="needs the extra llm")

from crowd_sim.actors.host import RayHost
from crowd_sim.actors.llm import RayLearners
from crowd_sim.actors.run_metrics import RunMetrics
from crowd_sim.config import ActorsConfig, PoolConfig
from crowd_sim.crowd.texts import TextCrowd, Example
from crowd_sim.errors import InputError
from crowd_sim.host import InProcess
from crowd_sim.llm.experiment import simulate_llm
from crowd_sim.tasks.imitate.participants import learner_spec, load_texts
from crowd_sim.models.lora import shared_learner
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
        "task": {"selection": "merge", "equal_tokens": True},
        "actors": {"trainers": {"number": 2, "cpus": 0.1}, "evaluators": {"number": 1, "cpus": 0.1}},
    }
    return config(parts, **changes)


@pytest.fixture(scope="module")
def calm(setup):
    return outcome(setup, shared_learner(learner_spec(setup)), InProcess())


def outcome(setup, learners, host):
    def valuer(game, run, value):
        with host.evaluators([game]) as evaluators:
            return value(lambda chunks: evaluators.utilities([0], chunks))

    return simulate_llm(setup, load_texts(setup), learners, valuer)


def pool(number: int) -> ActorsConfig:
    return ActorsConfig(trainers=PoolConfig(number=number, cpus=0.1))


def check_same(found, calm):
    assert [r.winner for r in found.rounds] == [r.winner for r in calm.rounds]
    assert [r.candidate_scores for r in found.rounds] == [r.candidate_scores for r in calm.rounds]
    assert [r.texts for r in found.reports] == [r.texts for r in calm.reports]
    assert [r.tokens_trained for r in found.reports] == [r.tokens_trained for r in calm.reports]
    assert found.points.tobytes() == calm.points.tobytes()
    assert found.values.shapley.tobytes() == calm.values.shapley.tobytes()
    assert found.values.first_order.tobytes() == calm.values.first_order.tobytes()
    for own, other in zip(found.models, calm.models, strict=True):
        assert own.keys() == other.keys()
        assert all(np.asarray(own[name]).tobytes() == np.asarray(other[name]).tobytes() for name in own)


def test_the_run_does_something(calm):
    assert any(record.accepted for record in calm.rounds)
    assert len(set(calm.values.shapley[0])) == 4


def test_two_trainers_and_an_evaluator_change_no_bit(setup, calm):
    with closing(RayLearners(learner_spec(setup), pool(2))) as learners:
        check_same(outcome(setup, learners, RayHost(setup.actors)), calm)


def test_one_trainer_changes_no_bit_and_refuses_in_one_line(setup, calm):
    with closing(RayLearners(learner_spec(setup), pool(1))) as learners:
        check_same(outcome(setup, learners, InProcess()), calm)
        long = TextCrowd(("w",), ((Example("p", "x" * 99),),), ("t",))
        with pytest.raises(InputError) as refused:
            learners.facts(long, ["p"], ())
    assert "has 103 tokens with its prompt; at most task.max_tokens, 40" in str(refused.value)


def test_a_trainer_that_dies_in_a_round_changes_nothing(setup, calm):
    class Killer(RayLearners):
        """Kills a trainer with its part of a round's candidates, and another while it judges."""

        killed = 0

        def _dealt(self, method, jobs, size=1):
            if len(jobs) > 1 and self.killed < 2 and method == ("tune", "judge")[self.killed]:
                busy = [trainer.call.remote(method, list(jobs)) for trainer in self.pool.actors]
                ray.kill(self.pool.actors[0])
                self.killed += 1
                del busy
            return super()._dealt(method, jobs, size)

    measures = RunMetrics("test")
    with closing(Killer(learner_spec(setup), pool(2), measures)) as learners:
        found = outcome(setup, learners, InProcess())
        assert learners.killed == 2
    check_same(found, calm)
    assert measures.failures == {"death": 2}
