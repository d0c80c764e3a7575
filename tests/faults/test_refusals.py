"""What is wrong is reported at once, in one line."""

import numpy as np
import pytest
import ray
from ray.exceptions import RayTaskError

from actors.failure import fetch
from actors.resources import Need, check_capacity, need_of_run
from crowd_sim.config import RunConfig
from crowd_sim.errors import ClusterError, InputError

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
        check_capacity(Need(({"CPU": 1.0},) * 99))
    with pytest.raises(ClusterError, match=r"need 0.5 GPUs at once, the cluster has 0"):
        check_capacity(Need(({"CPU": 1.0, "GPU": 0.5},)))
