"""Trainers of language models: a call may take longer than the deadline, as long as the model is at work."""

import os
import signal
import threading
import time
from contextlib import closing
from functools import partial

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra llm")
pytest.importorskip("peft", reason="needs the extra llm")

from crowd_sim.actors.run_metrics import RunMetrics
from crowd_sim.actors.trainer import RayTrainers
from crowd_sim.config import ActorsConfig, FailureConfig, PoolConfig
from crowd_sim.host import LocalTrainers
from crowd_sim.models.jobs import TuneJob
from crowd_sim.models.lora import shared_learner
from crowd_sim.models.training import Key
from crowd_sim.models.tuning_state import TuningFolder
from crowd_sim.tasks.adapters.settings import learner_spec, training_of
from crowd_sim.tasks.adapters.trainers import TextTrainers
from crowd_sim.tasks.imitate.participants import load_texts
from experiments.bench.processes import family
from tests.learners.stopping import tell_steps
from tests.llm.small import config, make_parts

pytestmark = pytest.mark.usefixtures("local_ray")

DEADLINE = 3.0


def trainer() -> int:
    (pid,) = (pid for pid, title in family(os.getpid()).items() if title.startswith("ray::TrainerActor"))
    return pid


def test_a_long_call_is_no_hang_and_a_trainer_that_stands_still_is(tmp_path, monkeypatch):
    setup = config(make_parts(tmp_path))
    examples = load_texts(setup).in_turn()
    measures = RunMetrics("test")
    one = ActorsConfig(trainers=PoolConfig(number=1, cpus=0.1))
    hosted = partial(shared_learner, learner_spec(setup))
    with closing(RayTrainers(hosted, one, measures)) as trainers:
        learners = TextTrainers(trainers)
        start = learners.initial(0, 0)

        def tuned(n_tokens: int):
            began = time.monotonic()
            (done,) = learners.tune([TuneJob(start, examples, Key(0, 0, 1, 0), training_of(setup), n_tokens)])
            return done, time.monotonic() - began

        tuned(1_000)  # loads the model
        _, seconds = tuned(4_000)
        long = int(4_000 * DEADLINE / seconds)
        monkeypatch.setattr(trainers.pool, "_limits", FailureConfig(deadline=DEADLINE))
        seconds = 0.0
        while seconds <= DEADLINE:  # however fast the machine is just then
            long *= 2
            expected, seconds = tuned(long)
        assert measures.failures == {}

        def stand_still():
            os.kill(trainer(), signal.SIGSTOP)
            while not measures.failures:
                time.sleep(0.1)
            monkeypatch.setattr(
                trainers.pool, "_limits", FailureConfig()
            )  # the next one loads anew, for as long as it takes

        threading.Timer(DEADLINE / 2, stand_still).start()
        found, _ = tuned(long)
        assert measures.failures == {"hang": 1}
        assert all(np.array_equal(found.adapter[name], expected.adapter[name]) for name in expected.adapter)


STEPS, EVERY, DIES_AFTER = 11, 3, 8


def dying(spec, folder):
    """The learner of a process that dies after a step, once; every step leaves a byte behind."""

    def told(number):
        with (folder / "steps").open("ab") as file:
            file.write(b".")
        if number == DIES_AFTER and not (folder / "died").exists():
            (folder / "died").touch()
            os.kill(os.getpid(), signal.SIGKILL)

    tell_steps(told)
    return shared_learner(spec)


def test_a_trainer_that_dies_at_a_step_costs_so_many_steps_at_most(tmp_path):
    setup = config(make_parts(tmp_path), task={"epochs": STEPS, "batch_size": 100})
    spec, measures = learner_spec(setup), RunMetrics("test")
    examples = load_texts(setup).in_turn()
    one = ActorsConfig(trainers=PoolConfig(number=1, cpus=0.1))

    def tuned(trainers, tuning=None):
        learners = TextTrainers(trainers, tuning=tuning)
        job = TuneJob(learners.initial(0, 0), examples, Key(0, 0, 1, 0), training_of(setup))
        return learners.tune([job])[0]

    expected = tuned(LocalTrainers(shared_learner(spec)))
    with closing(RayTrainers(partial(dying, spec, tmp_path), one, measures)) as trainers:
        found = tuned(trainers, TuningFolder(tmp_path / "tuning", EVERY))
    assert measures.failures == {"death": 1}
    assert STEPS < (tmp_path / "steps").stat().st_size <= STEPS + EVERY
    assert len(found.losses) == STEPS
    assert all(np.array_equal(found.adapter[name], expected.adapter[name]) for name in expected.adapter)
