import pickle

import numpy as np
import pytest

from crowd_sim.errors import InputError
from crowd_sim.scores import SCORES, dot
from crowd_sim.valuation import AveragingGame, QuadraticOfMean


def random_coalitions(m, n, seed=0):
    return np.random.default_rng(seed).random((m, n)) < 0.4


@pytest.mark.parametrize("score", SCORES)
def test_utility_is_the_score_of_the_mean(averaging_game, score):
    game = averaging_game(9, score=score)
    coalitions = random_coalitions(50, 9)
    coalitions[3] = False
    means = [game.vectors[row].mean(axis=0) if row.any() else np.zeros(20) for row in coalitions]
    expected = [SCORES[score](mean, game.target) for mean in means]
    np.testing.assert_allclose(game(coalitions), expected, rtol=1e-13)


@pytest.mark.parametrize("d", [1, 2, 20, 300])
@pytest.mark.parametrize("score", [*SCORES, "quadratic"])
def test_a_utility_has_the_same_bits_in_any_chunking(averaging_game, score, d):
    game = averaging_game(31, d=d, score="l2" if score == "quadratic" else score)
    if score == "quadratic":
        rng = np.random.default_rng(5)
        game = QuadraticOfMean(game.vectors, 0.3, rng.normal(size=d), rng.normal(size=(d, d)), -1.0)
    coalitions = random_coalitions(200, 31)
    whole = game(coalitions)
    for size in (1, 2, 7, 64):
        pieces = [game(coalitions[i : i + size]) for i in range(0, len(coalitions), size)]
        assert np.concatenate(pieces).tobytes() == whole.tobytes()
    shuffled = np.random.default_rng(1).permutation(len(coalitions))
    assert game(coalitions[shuffled]).tobytes() == whole[shuffled].tobytes()
    assert game(np.asfortranarray(coalitions)).tobytes() == whole.tobytes()


def test_no_coalitions_have_no_utilities(averaging_game):
    assert averaging_game(4)(np.zeros((0, 4), dtype=bool)).shape == (0,)


def test_a_callable_score(averaging_game):
    named = averaging_game(6, score="l1")
    game = AveragingGame(named.vectors, named.target, lambda points, target: -np.abs(points - target).sum(axis=1))
    coalitions = random_coalitions(20, 6)
    np.testing.assert_array_equal(game(coalitions), named(coalitions))
    assert game.shapley_values() is None


def test_the_callable_behind_a_name_is_recognised(averaging_game):
    game = averaging_game(6, score=dot)
    np.testing.assert_array_equal(game.shapley_values(), averaging_game(6, score="dot").shapley_values())


def test_lists_are_taken_and_the_game_keeps_its_own_copy():
    vectors = np.array([[1.0, 2.0], [3.0, 4.0]])
    game = AveragingGame(vectors, [0, 1])
    vectors[:] = 99.0
    np.testing.assert_array_equal(game.vectors, [[1.0, 2.0], [3.0, 4.0]])
    with pytest.raises(ValueError, match="read-only"):
        game.vectors[0, 0] = 0.0


def test_a_game_travels(averaging_game):
    game = averaging_game(5)
    coalitions = random_coalitions(9, 5)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(game))(coalitions), game(coalitions))


@pytest.mark.parametrize(
    ("vectors", "target", "score", "line"),
    [
        ([[1.0], [np.nan]], [0.0], "l2", "vectors[1, 0] = nan: must be finite"),
        ([[1.0]], [np.inf], "l2", "target[0] = inf: must be finite"),
        ([1.0, 2.0], [0.0], "l2", "vectors = (2,): must have the shape any×any"),
        (np.zeros((0, 3)), [0.0] * 3, "l2", "vectors = (0, 3): needs at least one worker and one dimension"),
        (np.zeros((3, 0)), [], "l2", "vectors = (3, 0): needs at least one worker and one dimension"),
        ([[1.0, 2.0]], [0.0], "l2", "target = (1,): must have the shape 2"),
        ([["a"]], [0.0], "l2", "vectors = [['a']]: must be an array of real numbers"),
        ([[1.0], [1.0, 2.0]], [0.0], "l2", "vectors = [[1.0], [1.0, 2.0]]: must be an array of real numbers"),
        ([[1.0]], [0.0], "cosine", "score = 'cosine': must be one of l2, l1, dot, squared_l2, or a callable"),
        ([[1.0]], [0.0], ["l2"], "score = ['l2']: must be one of l2, l1, dot, squared_l2, or a callable"),
    ],
)
def test_bad_input_is_refused_in_one_line(vectors, target, score, line):
    with pytest.raises(InputError) as caught:
        AveragingGame(vectors, target, score)
    assert str(caught.value) == line


@pytest.mark.parametrize("n", [1, 5, 6, 7, 12, 75, 6_000])
def test_many_coalitions_at_once_have_the_bits_of_few(averaging_game, n):
    game = averaging_game(n, d=3)
    coalitions = random_coalitions(130, n, seed=n)
    alone = [game(coalitions[i : i + 1]) for i in range(130)]
    assert game(coalitions).tobytes() == np.concatenate(alone).tobytes()
