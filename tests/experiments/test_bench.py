import numpy as np

from crowd_sim.cli import paper_baseline as plain
from crowd_sim.valuation import AveragingGame, shapley


def test_the_yardstick_values_the_same_game():
    rng = np.random.default_rng(0)
    vectors, target = rng.uniform(0, 5, (8, 4)), rng.uniform(0, 5, 4)
    for score in ("l2", "l1", "dot"):
        expected = shapley(AveragingGame(vectors, target, score), method="exact").values
        np.testing.assert_allclose(plain.kernel_shap(vectors, target, score, 2_000), expected, atol=1e-8)


def test_the_yardstick_plays_the_tournament():
    rng = np.random.default_rng(0)
    people = rng.uniform(0, 5, (13, 6))
    for grouping in ("random", "epsilon_greedy", "interleaved"):
        points, model = plain.tournament(people[1:], people[0], grouping, "l2", 3, np.random.default_rng(1))
        assert points.min() >= 1
        assert points.max() > 50
        assert np.linalg.norm(model - people[0]) < 10
