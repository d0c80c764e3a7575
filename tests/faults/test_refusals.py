"""What is wrong is reported at once, in one line."""

from contextlib import closing

import pytest
import ray
from ray.exceptions import RayTaskError

from crowd_sim.actors.placement import Need, check_capacity, required_by_run
from crowd_sim.actors.pool import Pool, Work
from crowd_sim.actors.run_metrics import RunMetrics
from crowd_sim.config import FailureConfig, RunConfig
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
    @ray.remote(num_cpus=0)
    class Strict:
        def refuse(self):
            raise InputError("crowd.n_workers", 0, "must be at least 1")

    pool = Pool("strict", lambda _: Strict.remote(), 1, FailureConfig(), RunMetrics("test"))
    with closing(pool), pytest.raises(InputError) as error:
        pool.gather([Work(0, "refuse", (), "a question")])
    assert str(error.value) == "crowd.n_workers = 0: must be at least 1"
    assert not isinstance(error.value, RayTaskError)


def test_too_small_a_cluster_is_refused_before_anything_starts():
    check_capacity(required_by_run(config().actors))
    with pytest.raises(ClusterError, match=r"need 99 CPUs at once, the cluster has 2"):
        check_capacity(Need(({"CPU": 1.0},) * 99))
    with pytest.raises(ClusterError, match=r"need 0.5 GPUs at once, the cluster has 0"):
        check_capacity(Need(({"CPU": 1.0, "GPU": 0.5},)))
