"""Same bits everywhere: in process, and on any number of actors of any kind."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from crowd_sim.actors.host import RayHost
from crowd_sim.actors.run_metrics import Event
from crowd_sim.config import ActorsConfig, ValuationConfig
from crowd_sim.crowd.behaviours import per_shard
from crowd_sim.crowd.cohort import Cohort
from crowd_sim.crowd.population import Population
from crowd_sim.crowd.reduction import split_evenly
from crowd_sim.crowd.shard import Key
from crowd_sim.engine import simulate
from crowd_sim.host import InProcess
from crowd_sim.progress import quiet
from crowd_sim.tasks.load import load_task
from crowd_sim.tasks.vector import VectorTuner
from crowd_sim.tournament.groups import Groups
from crowd_sim.tournament.request import RoundRequest
from crowd_sim.valuation import AveragingGame, shapley
from crowd_sim.valuation.coalition_lists import Lists
from crowd_sim.valuing import GamePlan, GameSet, value_games
from tests.faults.callbacks import VARIABLE
from tests.runs import config as config_of


@per_shard
def beginning(members):
    """Everyone's vector; that a shard has begun is left in a file."""
    (Path(os.environ[VARIABLE]) / "began").touch()
    return members.vectors


class Telling(VectorTuner):
    """Has something to tell of every call."""

    def take_events(self):
        return [("halved", {"rows": 3})]


TOLD = []
"""In process."""


@pytest.fixture(params=["in process", "2 actors"])
def host(request):
    if request.param == "in process":
        TOLD.clear()
        return InProcess(lambda event, **details: TOLD.append(Event(0.0, event, details)))
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
        request = RoundRequest(1, np.zeros((2, 4)), Groups(assignment), weights, 3)
        with host.crowd(Cohort(people, rows, 4, Key("honest", *np.zeros((2, 2), dtype=np.uint64)))) as crowd:
            sums = crowd.group_sums(request)
            again = crowd.group_sums(request)
            counts = crowd.fold(request, Counts())
            picked = crowd.contributions(request, np.array([[20, 0, 7], [1, 2, 19]]))
        assert sums.tobytes() == again.tobytes()
        one_hot = np.eye(3)[assignment] * weights[..., None]
        np.testing.assert_allclose(sums[..., :-1], np.einsum("bnk,bnd->bkd", one_hot, vectors[rows]), rtol=1e-12)
        np.testing.assert_allclose(sums[..., -1], one_hot.sum(axis=1), rtol=1e-12)
        np.testing.assert_array_equal(counts[..., 0], (one_hot > 0).sum(axis=1))
        np.testing.assert_array_equal(picked, [vectors[rows[0, [20, 0, 7]]], vectors[rows[1, [1, 2, 19]]]])

    def test_a_shard_is_at_work_while_the_next_ones_groups_are_dealt(self, host, faults_folder):
        vectors, began = np.random.default_rng(0).normal(size=(21, 4)), faults_folder / "began"
        dealt, asked = np.zeros((1, 21), dtype=np.int64), []

        def deal(start, stop):
            asked.append((start, stop))
            deadline = time.monotonic() + 60
            while start and not began.exists():
                assert time.monotonic() < deadline, "the first shard waits for groups that are not its own"
                time.sleep(0.01)
            dealt[:, start:stop] = np.arange(start, stop) % 3

        people = Population(vectors, [str(i) for i in range(21)], list("abcd"))
        key = Key("tests.invariance.test_services:beginning", *np.zeros((2, 1), dtype=np.uint64))
        request = RoundRequest(1, np.zeros((1, 4)), Groups(dealt, deal), np.ones((1, 21)), 3)
        try:
            with host.crowd(Cohort(people, np.arange(21)[None], 4, key)) as crowd:
                sums = crowd.group_sums(request)
        finally:
            began.unlink(missing_ok=True)
        assert [start for start, _ in asked] == [0, *(stop for _, stop in asked[:-1])]
        np.testing.assert_allclose(sums[0, :, :-1], [vectors[k::3].sum(axis=0) for k in range(3)], rtol=1e-12)

    def test_trainers(self, host):
        models, sums = np.zeros((2, 3)), np.ones((2, 5, 4))
        step = np.array([0.1, 0.5])
        with host.trainers(Telling) as trainers:
            parts = split_evenly(5, trainers.number)
            calls = [(models, sums[:, first:stop], step) for first, stop in parts]
            candidates = np.concatenate(trainers.gather("tune", calls, ["a part"] * len(parts)), axis=1)
            told = TOLD if isinstance(host, InProcess) else trainers._measures.take_events()
        assert candidates.tolist() == [[[0.1] * 3] * 5, [[0.5] * 3] * 5]
        assert [(event.name, event.details["rows"]) for event in told] == [("halved", 3)] * len(parts)

    def test_evaluators_keep_the_order_of_chunks_and_games(self, host):
        rng = np.random.default_rng(1)
        games = [AveragingGame(rng.normal(size=(9, 3)), rng.normal(size=3), score) for score in ("l2", "l1", "dot")]
        chunks = [rng.random((size, 9)) < 0.5 for size in (1, 5, 2, 8, 3, 1, 7, 4)]
        with host.evaluators(games) as evaluators:
            found = list(evaluators.utilities([2, 0], iter(chunks)))
        for coalitions, utilities in zip(chunks, found, strict=True):
            assert utilities.tobytes() == np.stack([games[2](coalitions), games[0](coalitions)]).tobytes()

    def test_evaluators_take_lists(self, host):
        rng = np.random.default_rng(2)
        games = [AveragingGame(rng.normal(size=(9, 3)), rng.normal(size=3)), Additive(9)]
        chunks = [Lists.equal(rng.permuted(np.tile(np.arange(9), (m, 1)), axis=1)[:, :k]) for m, k in ((3, 2), (5, 7))]
        with host.evaluators(games) as evaluators:
            found = list(evaluators.utilities([0, 1], iter(chunks)))
        for lists, utilities in zip(chunks, found, strict=True):
            masks = lists.masks(9)
            assert utilities.tobytes() == np.stack([games[0](masks), masks.sum(axis=1)]).tobytes()

    def test_values_of_a_large_crowd_draw_lists_and_are_the_same_bits(self, host):
        rng = np.random.default_rng(3)
        game = OfLists(rng.normal(size=(600, 3)), rng.normal(size=3))
        expected = shapley(AveragingGame(game.vectors, game.target), "stratified", 1_000)
        plan = GamePlan(
            [game], {KEY: GameSet(0, 0, ValuationConfig(budget=1_000, kernel_shap_budget=0), ("l2",), range(1))}
        )
        with host.evaluators(plan.games) as evaluators:
            found = value_games(plan, evaluators, quiet)[KEY, "l2"].accurate
        assert found.method == "stratified"
        assert found.values.tobytes() == expected.values.tobytes()
        assert found.stderr.tobytes() == expected.stderr.tobytes()


KEY = ("", "", 0, 0)


@dataclass(frozen=True)
class Counts:
    """How many workers each group has."""

    fold: str = "add"

    def of(self, part):
        return part.sums(np.ones((len(part.given), 1)))


@dataclass(frozen=True)
class Additive:
    n_players: int

    def __call__(self, coalitions):
        return coalitions.sum(axis=1)


class OfLists(AveragingGame):
    def __call__(self, coalitions):
        raise AssertionError("masks cost what the crowd costs")


def errors_so_far(outcome):
    """After each run's game, what progress has to say: the mean of √Σ stderr² over the spread of the values."""
    spread = np.linalg.norm(outcome.values - outcome.values.mean(axis=1, keepdims=True), axis=1)
    errors = np.linalg.norm(outcome.stderr, axis=1) / spread
    means = np.cumsum(errors) / np.arange(1, len(errors) + 1)
    total = len(errors)
    return [("games", i + 1, total, f"error about {mean:.2g} of the values' spread") for i, mean in enumerate(means)]


def test_progress_of_values_tells_their_running_error():
    config, told = config_of("valued"), []
    (outcome,) = simulate([config], load_task(config), InProcess(), lambda *news: told.append(news))
    games = [news for news in told if news[0] == "games"]
    assert games[0] == ("games", 0, 2, "399 coalitions of game 1")
    assert [news for news in games if "coalitions" not in news[3]] == errors_so_far(outcome)
    assert (outcome.stderr > 0).all()
