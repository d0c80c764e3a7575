"""A run that is killed inside a round repeats no more steps of an optimiser than it was told, and ends with the same bytes."""

import pytest

from crowd_sim.commands.run import run
from crowd_sim.commands.verify import verify
from crowd_sim.engine import simulate
from crowd_sim.host import InProcess
from crowd_sim.tasks.load import load_task
from tests.learners.stopping import Stopped, after_steps, stopping_at
from tests.llm.small import config
from tests.runs import tables, written

EVERY = 2


def test_killed_at_a_step_of_a_round_in_process(parts, tmp_path):
    task = {"epochs": 2, "batch_size": 2, "equal_tokens": True}
    own = config(parts, task=task, actors={"checkpoints": {"steps": EVERY, "seconds": 0.0}})
    steps = []
    with after_steps(steps.append):
        (outcome,) = simulate([own], load_task(own), InProcess())
    expected, n_steps = written(outcome, tmp_path / "expected"), len(steps)
    repeated = 0
    for last in (3, 5, 7):  # of the first round, of the second, and of the single model
        with pytest.raises(Stopped), after_steps(stopping_at(last)):
            run(own, tmp_path / "out")
        repeated += EVERY
        states = {checked.name: checked.state for checked in verify(tmp_path / "out")}
        assert "whole" in {state for name, state in states.items() if name.startswith("checkpoints/tuning")}
        assert "damaged" not in states.values()
        n_steps -= last
    steps.clear()
    with after_steps(steps.append):
        run(own, tmp_path / "out")
    assert 0 < n_steps <= len(steps) <= n_steps + repeated
    assert tables(tmp_path / "out") == expected
    assert not (tmp_path / "out" / "checkpoints" / "tuning").exists()
