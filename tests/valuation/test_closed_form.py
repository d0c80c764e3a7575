import numpy as np
import pytest

from crowd_sim.errors import InputError
from crowd_sim.valuation import QuadraticOfMean, shapley
from tests.oracles.games import brute_force


def random_quadratic(n, d=4, seed=0, offset=0.0):
    rng = np.random.default_rng([seed, n, d])
    vectors = offset + rng.normal(size=(n, d))
    return QuadraticOfMean(vectors, rng.normal(), rng.normal(size=d), rng.normal(size=(d, d)), rng.normal())


@pytest.mark.parametrize("n", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("seed", range(3))
def test_random_quadratics_against_the_definition(n, seed):
    game = random_quadratic(n, seed=seed)
    np.testing.assert_allclose(game.shapley_values(), brute_force(game, n), atol=1e-11)


@pytest.mark.parametrize("n", [1, 2, 3, 7])
@pytest.mark.parametrize("score", ["dot", "squared_l2"])
def test_scores_against_the_definition(averaging_game, score, n):
    game = averaging_game(n, score=score)
    np.testing.assert_allclose(game.shapley_values(), brute_force(game, n), atol=1e-10)


@pytest.mark.parametrize("n", [13, 16])
def test_against_enumeration(averaging_game, n):
    for game in (averaging_game(n, score="squared_l2"), random_quadratic(n)):
        np.testing.assert_allclose(game.shapley_values(), shapley(game, method="exact").values, atol=1e-10)


@pytest.mark.parametrize("n", [2, 3, 10, 1000])
def test_dot_is_the_paper_s_formula(averaging_game, n):
    game = averaging_game(n, score="dot")
    a = game.vectors @ game.target
    harmonic = (1.0 / np.arange(1, n + 1)).sum()
    expected = a / n + (harmonic - 1.0) * (a - a.mean()) / (n - 1)
    np.testing.assert_allclose(game.shapley_values(), expected, atol=1e-11)


@pytest.mark.parametrize("n", [1, 2, 50, 10_000])
def test_the_values_share_out_the_whole_at_any_size(n):
    game = random_quadratic(n, offset=100.0)
    ends = game(np.array([[False] * n, [True] * n]))
    assert game.shapley_values().sum() == pytest.approx(ends[1] - ends[0], rel=1e-10)


def test_only_the_symmetric_part_of_the_matrix_matters():
    game = random_quadratic(5)
    rng = np.random.default_rng(0)
    skew = rng.normal(size=(4, 4))
    turned = QuadraticOfMean(game.vectors, game.constant, game.linear, game.matrix + skew - skew.T, game.empty)
    np.testing.assert_allclose(turned.shapley_values(), game.shapley_values(), atol=1e-12)


def test_the_quadratic_of_an_averaging_game_is_that_game(averaging_game):
    coalitions = np.random.default_rng(0).random((100, 9)) < 0.3
    coalitions[0] = False
    for score in ("dot", "squared_l2"):
        game = averaging_game(9, score=score)
        np.testing.assert_allclose(game.quadratic()(coalitions), game(coalitions), atol=1e-10)
    assert averaging_game(9, score="l2").quadratic() is None


def test_a_linear_change_of_the_empty_coalition_is_shared_equally():
    game = random_quadratic(6)
    moved = QuadraticOfMean(game.vectors, game.constant, game.linear, game.matrix, game.empty - 6.0)
    np.testing.assert_allclose(moved.shapley_values() - game.shapley_values(), 1.0, atol=1e-12)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"constant": np.nan}, "constant"),
        ({"empty": np.inf}, "empty"),
        ({"linear": [1.0]}, "linear"),
        ({"matrix": np.eye(3)}, "matrix"),
        ({"vectors": np.zeros((0, 2))}, "vectors"),
        ({"constant": [1.0]}, "constant"),
    ],
)
def test_bad_input_is_refused(change, field):
    good = {"vectors": np.eye(2), "constant": 0.0, "linear": np.ones(2), "matrix": np.eye(2), "empty": 0.0}
    with pytest.raises(InputError) as caught:
        QuadraticOfMean(**(good | change))
    assert caught.value.field == field


def test_shapley_takes_the_closed_form_by_itself(averaging_game):
    result = shapley(averaging_game(300, score="squared_l2"))
    assert (result.method, result.n_evaluations) == ("closed_form", 0)
    assert np.all(result.stderr == 0)
