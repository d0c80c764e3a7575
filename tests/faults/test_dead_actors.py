"""What dies is started anew and changes nothing; what is wrong is reported at once."""

from contextlib import contextmanager

import numpy as np
import pytest
import ray
from ray.exceptions import RayTaskError

from actors.failure import fetch
from actors.host import RayHost
from actors.resources import Need, check_capacity, need_of_run
from crowd_sim.config import RunConfig
from crowd_sim.errors import ClusterError, InputError
from crowd_sim.loading import load_people
from crowd_sim.services import InProcess
from crowd_sim.simulation import simulate

pytestmark = pytest.mark.usefixtures("local_ray")


def config(**tournament):
    pool = {"number": 2, "cpus": 0.1}
    return RunConfig.parse(
        {
            "runs": 2,
            "crowd": {"n_workers": 40, "chunk_size": 8},
            "tournament": {"rounds": 8, **tournament},
            "valuation": {"budget": 3_000, "kernel_shap_budget": 0},
            "actors": {"crowd": pool, "trainers": pool, "evaluators": pool},
        }
    )


class Killer(RayHost):
    """Kills one actor of each kind in the middle of its work."""

    def __init__(self, actors):
        super().__init__(actors)
        self.killed = []

    def _kill(self, actor, kind):
        ray.kill(actor)
        self.killed.append(kind)

    @contextmanager
    def crowd(self, *args):
        with super().crowd(*args) as crowd:
            whole, rounds = crowd.group_sums, iter(range(100))

            def group_sums(*call):
                if next(rounds) == 3:
                    self._kill(crowd.pool.actors[1], "crowd")
                return whole(*call)

            crowd.group_sums = group_sums
            yield crowd

    @contextmanager
    def trainers(self):
        with super().trainers() as trainers:
            self._kill(trainers.pool.actors[0], "trainer")
            yield trainers

    @contextmanager
    def evaluators(self, games):
        with super().evaluators(games) as evaluators:
            whole = evaluators.utilities

            def utilities(numbers, chunks):
                def watched():
                    for i, chunk in enumerate(chunks):
                        if i == 1 and "evaluator" not in self.killed:
                            self._kill(evaluators.pool.actors[0], "evaluator")
                        yield chunk

                return whole(numbers, watched())

            evaluators.utilities = utilities
            yield evaluators


def test_a_dead_actor_of_every_kind_changes_nothing():
    setup = config()
    people = load_people(setup.crowd)
    host = Killer(setup.actors)
    (shaken,), (calm,) = simulate([setup], people, host), simulate([setup], people, InProcess())
    assert sorted(host.killed) == ["crowd", "evaluator", "trainer"]
    assert shaken.history.distances.tobytes() == calm.history.distances.tobytes()
    assert shaken.history.points.tobytes() == calm.history.points.tobytes()
    assert shaken.values.tobytes() == calm.values.tobytes()


def test_bad_input_found_in_an_actor_stays_one_line():
    @ray.remote
    def refuse():
        raise InputError("crowd.n_workers", 0, "must be at least 1")

    with pytest.raises(InputError) as error:
        fetch([refuse.remote()], "a task")
    assert str(error.value) == "crowd.n_workers = 0: must be at least 1"
    assert not isinstance(error.value, RayTaskError)


def test_silence_has_an_end(monkeypatch):
    monkeypatch.setattr("actors.failure.PATIENCE", 0.2)
    monkeypatch.setattr("actors.failure.POLL", 0.1)

    @ray.remote(num_cpus=64)
    def never():
        return np.zeros(1)

    with pytest.raises(ClusterError, match="no answer from the void for 0 s"):
        fetch([never.remote()], "the void")


def test_too_small_a_cluster_is_refused_before_anything_starts():
    check_capacity(need_of_run(config().actors))
    with pytest.raises(ClusterError, match=r"need 99 CPUs at once, the cluster has 2"):
        check_capacity(Need(99, 0))
    with pytest.raises(ClusterError, match=r"need 0.5 GPUs at once, the cluster has 0"):
        check_capacity(Need(1, 0.5))
