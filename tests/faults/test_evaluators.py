"""Evaluators of games that take longer than the deadline: who works is left alone, who stands still is replaced."""

import os
import signal
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from crowd_sim.actors.evaluator import RayEvaluators
from crowd_sim.actors.run_metrics import RunMetrics
from crowd_sim.config import ActorsConfig
from crowd_sim.valuation import CachedGame

pytestmark = pytest.mark.usefixtures("local_ray")

DEADLINE = 4.0
LONG = 4.0 * DEADLINE


class Long:
    """A coalition of player 1, the first time, takes longer than the deadline; `how` it does is a file in the folder."""

    n_players = 3

    def __init__(self, folder, how):
        self.folder, self.how = folder, how
        (folder / how).touch()

    def __call__(self, coalitions):
        script = Path(self.folder) / self.how
        if coalitions[:, 1].any() and script.exists():
            script.unlink()
            if self.how == "stop":
                os.kill(os.getpid(), signal.SIGSTOP)
            end = time.monotonic() + LONG
            while time.monotonic() < end:
                if self.how != "busy":
                    time.sleep(0.1)
        return coalitions @ np.array([1.0, 2.0, 4.0])


class Elsewhere(Long):
    """It sleeps as one that waits for a GPU, and tells that it works."""

    def heartbeat(self):
        return time.monotonic_ns()


def evaluated(game):
    setup = {"evaluators": {"number": 1, "cpus": 0.1}, "failures": {"deadline": DEADLINE}}
    measures = RunMetrics("test")
    masks = np.array([[True, False, True], [False, True, True]])
    with closing(RayEvaluators([game], ActorsConfig.model_validate(setup), measures)) as evaluators:
        # a process that is stopped in its first call may not yet have told that it has started
        list(evaluators.utilities([0], iter([masks[:1]])))
        (found,) = evaluators.utilities([0], iter([masks]))
    assert found.tolist() == [[5.0, 6.0]]
    assert not (Path(game.folder) / game.how).exists(), "the script is over"
    return measures.failures


def test_a_busy_game_may_take_longer_than_the_deadline(tmp_path):
    assert evaluated(Long(tmp_path, "busy")) == {}


def test_a_game_that_works_elsewhere_tells_so(tmp_path):
    assert evaluated(Elsewhere(tmp_path, "sleep")) == {}


def test_a_cached_game_has_the_games_heartbeat(tmp_path):
    game = CachedGame(Elsewhere(tmp_path, "sleep"), tmp_path / "cache", "x")
    assert game.heartbeat() < game.heartbeat()
    assert CachedGame(Long(tmp_path, "busy"), tmp_path / "cache", "y").heartbeat() == 0


@pytest.mark.parametrize("how", ["sleep", "stop"])
def test_an_evaluator_that_stands_still_is_replaced(tmp_path, how):
    assert evaluated(Long(tmp_path, how)) == {"hang": 1}
