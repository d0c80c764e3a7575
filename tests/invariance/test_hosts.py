"""Same bits everywhere: in process, and on any number of actors of any kind."""

import numpy as np
import pytest

from actors.host import RayHost
from actors.round_manager import run_on_ray
from crowd_sim.config import ActorsConfig, RunConfig
from crowd_sim.crowd.employed import Employed
from crowd_sim.crowd.population import Population
from crowd_sim.crowd.shard import Call, Key
from crowd_sim.loading import load_people
from crowd_sim.results.run_folder import open_run, write_run
from crowd_sim.services import InProcess
from crowd_sim.simulation import simulate
from crowd_sim.valuation import AveragingGame

FILES = ("rounds.parquet", "workers.parquet", "runs.parquet", "summary.json")


def config(crowd=1, trainers=1, evaluators=1, score="l2"):
    number = {"crowd": crowd, "trainers": trainers, "evaluators": evaluators}
    return RunConfig.parse(
        {
            "seed": 3,
            "runs": 3,
            "crowd": {"n_workers": 60, "chunk_size": 8},
            "tournament": {"rounds": 12, "n_groups": 4, "score": score, "grouping": "epsilon_greedy"},
            "valuation": {"budget": 2_500, "kernel_shap_budget": 1_500},
            "actors": {kind: {"number": n, "cpus": 0.1} for kind, n in number.items()},
        }
    )


def written(outcome, folder):
    people = load_people(outcome.config.crowd)
    write_run(folder, outcome, people, open_run(folder, outcome.config, people))
    return {name: (folder / name).read_bytes() for name in FILES}


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    found = {}
    for score in ("l2", "dot"):
        setup = config(score=score)
        (outcome,) = simulate([setup], load_people(setup.crowd), InProcess())
        found[score] = written(outcome, tmp_path_factory.mktemp(score))
    return found


@pytest.mark.usefixtures("local_ray")
@pytest.mark.parametrize(
    ("actors", "score"),
    [({"crowd": 1}, "l2"), ({"crowd": 4, "trainers": 2}, "l2"), ({"crowd": 2, "trainers": 5, "evaluators": 4}, "l2"),
     ({"crowd": 4, "evaluators": 2}, "dot")],
)  # fmt: skip
def test_a_run_writes_the_same_bytes_on_any_number_of_actors(actors, score, expected, tmp_path):
    setup = config(**actors, score=score)
    assert written(run_on_ray(setup, load_people(setup.crowd)), tmp_path) == expected[score]


@pytest.fixture(params=["in process", "1 actor", "3 actors"])
def host(request):
    if request.param == "in process":
        return InProcess()
    request.getfixturevalue("local_ray")
    pool = {"number": int(request.param[0]), "cpus": 0.1}
    return RayHost(ActorsConfig.model_validate({"crowd": pool, "trainers": pool, "evaluators": pool}))


class TestEveryHost:
    """One suite against every implementation of the services."""

    def test_crowd(self, host):
        rng = np.random.default_rng(0)
        vectors, rows = rng.normal(size=(30, 4)), rng.integers(30, size=(2, 21))
        assignment, weights = rng.integers(3, size=(2, 21)), rng.uniform(size=(2, 21))
        people = Population(vectors, [str(i) for i in range(30)], list("abcd"))
        call = Call(1, np.zeros((2, 4)), assignment, weights, 3)
        with host.crowd(Employed(people, rows, 4, Key("honest", *np.zeros((2, 2), dtype=np.uint64)))) as crowd:
            sums = crowd.group_sums(call)
            again = crowd.group_sums(call)
        assert sums.tobytes() == again.tobytes()
        one_hot = np.eye(3)[assignment] * weights[..., None]
        np.testing.assert_allclose(sums[..., :-1], np.einsum("bnk,bnd->bkd", one_hot, vectors[rows]), rtol=1e-12)
        np.testing.assert_allclose(sums[..., -1], one_hot.sum(axis=1), rtol=1e-12)

    def test_trainers(self, host):
        models, sums = np.zeros((2, 3)), np.ones((2, 5, 4))
        with host.trainers() as trainers:
            candidates = trainers.tune(models, sums, np.array([0.1, 0.5]))
        assert candidates.tolist() == [[[0.1] * 3] * 5, [[0.5] * 3] * 5]

    def test_evaluators_keep_the_order_of_chunks_and_games(self, host):
        rng = np.random.default_rng(1)
        games = [AveragingGame(rng.normal(size=(9, 3)), rng.normal(size=3), score) for score in ("l2", "l1", "dot")]
        chunks = [rng.random((size, 9)) < 0.5 for size in (1, 5, 2, 8, 3, 1, 7, 4)]
        with host.evaluators(games) as evaluators:
            found = list(evaluators.utilities([2, 0], iter(chunks)))
        for coalitions, utilities in zip(chunks, found, strict=True):
            assert utilities.tobytes() == np.stack([games[2](coalitions), games[0](coalitions)]).tobytes()
