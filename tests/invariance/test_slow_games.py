"""Games that take long: a chunk is shared by the pool, and bits stay what they are."""

import math
import os
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import ray

from crowd_sim.actors.evaluator import RayEvaluators
from crowd_sim.actors.run_metrics import RunMetrics
from crowd_sim.config import ActorsConfig
from crowd_sim.valuation import CachedGame, MaxEvaluations, TargetError, shapley

pytestmark = pytest.mark.usefixtures("local_ray")

N = 9


class Slow:
    """5 ms a coalition; notes for each call who evaluated how many."""

    n_players = N

    def __init__(self, journal):
        self.journal = journal

    def __call__(self, coalitions):
        time.sleep(0.005 * len(coalitions))
        with Path(self.journal).open("a") as file:
            file.write(f"{os.getpid()} {len(coalitions)}\n")
        return np.array([np.sin(np.flatnonzero(row) + 0.5).sum() ** 2 for row in coalitions])


def calls(journal):
    return [tuple(map(int, line.split())) for line in journal.read_text().split("\n") if line]


def evaluators(game, number):
    actors = ActorsConfig.model_validate({"evaluators": {"number": number, "cpus": 0.1}})
    return closing(RayEvaluators([game], actors, RunMetrics("")))


def value(game, pool=None, **arguments):
    evaluate = None if pool is None else lambda chunks: pool.utilities([0], chunks)
    return shapley(game, "permutation", 320, evaluate=evaluate, **arguments)


def bits(result):
    return result.values.tobytes() + result.stderr.tobytes()


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    return value(Slow(tmp_path_factory.mktemp("slow") / "journal"))


NUMBER = 3


@pytest.fixture(scope="module")
def pooled(tmp_path_factory):
    """A pool of evaluators, and its journal."""
    journal = tmp_path_factory.mktemp("pool") / "journal"
    with evaluators(Slow(journal), NUMBER) as pool:
        yield pool, journal


def test_a_chunk_is_shared_by_the_pool(expected, pooled):
    pool, journal = pooled
    found = value(Slow(journal), pool)
    assert bits(found) == bits(expected)
    made = calls(journal)
    assert sum(size for _, size in made) == found.n_evaluations
    assert max(size for _, size in made) <= 20  # 0.1 s, though the estimator's chunks have up to 1,024
    shares = Counter()
    for worker, size in made:
        shares[worker] += size
    assert len(shares) == NUMBER
    assert min(shares.values()) >= found.n_evaluations / (4 * NUMBER)


def test_stopping_and_continuing_on_a_pool(pooled, expected, tmp_path):
    pool, journal = pooled
    journal.unlink(missing_ok=True)
    game, rule = Slow(tmp_path / "alone"), TargetError(0.1) | MaxEvaluations(150)
    first = value(game, pool, stop=rule)
    further = value(game, pool, previous=first)
    assert bits(first) == bits(value(game, stop=rule))
    assert bits(further) == bits(expected)
    # with those of the first result's coalitions that are asked again, to see that it is this game
    assert sum(size for _, size in calls(journal)) == further.n_evaluations


def test_pieces_come_back_as_the_chunks_they_were(pooled, tmp_path):
    rng = np.random.default_rng(0)
    chunks = [rng.random((size, N)) < 0.5 for size in (0, 3, 0, 90, 1, 40, 0)]
    found = list(pooled[0].utilities([0], iter(chunks)))
    game = Slow(tmp_path / "alone")
    assert [utilities.tobytes() for utilities in found] == [game(chunk)[None].tobytes() for chunk in chunks]


def test_a_cached_game_survives_the_pool(expected, tmp_path):
    game = CachedGame(Slow(tmp_path / "journal"), tmp_path / "cache", "slow")
    with evaluators(game, 2) as pool:
        list(pool.utilities([0], iter([np.eye(N, dtype=bool), np.tri(N, dtype=bool)])))
        ray.kill(pool.pool.actors[0])
        assert bits(value(game, pool)) == bits(expected)
    done = calls(tmp_path / "journal")
    assert bits(value(game)) == bits(expected)
    assert calls(tmp_path / "journal") == done


class Noisy:
    """A keyed game: an answer is a function of the coalition and the draw."""

    n_players, noise = N, "keyed"

    def __call__(self, coalitions, draws):
        asked = [(np.flatnonzero(row), int(draw)) for row, draw in zip(coalitions, draws, strict=True)]
        return np.array([math.tanh(len(who)) + 0.2 * math.sin(draw * 1e-3 + who.sum()) for who, draw in asked])


def test_noisy_games_have_the_same_bits_on_any_pool():
    for number, method in ((4, "surrogate"), (1, "paired_regression")):
        with evaluators(Noisy(), number) as pool:
            there = shapley(Noisy(), method, 320, evaluate=lambda chunks, pool=pool: pool.utilities([0], chunks))
        assert bits(there) == bits(shapley(Noisy(), method, 320))
