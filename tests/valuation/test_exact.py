import numpy as np
import pytest

from crowd_sim.errors import InputError
from crowd_sim.valuation import shapley, shapley_many
from crowd_sim.valuation.estimators.exact import all_coalitions
from tests.oracles.games import brute_force


@pytest.mark.parametrize("n", [1, 2, 3, 9])
@pytest.mark.parametrize("score", ["l2", "l1"])
def test_against_the_definition(averaging_game, n, score):
    game = averaging_game(n, score=score)
    result = shapley(game, method="exact")
    np.testing.assert_allclose(result.values, brute_force(game, n), atol=1e-12)
    assert (result.method, result.n_evaluations) == ("exact", 2**n)
    assert np.all(result.stderr == 0)


def test_every_coalition_once_in_bounded_chunks():
    chunks = list(all_coalitions(15))
    assert max(len(chunk) for chunk in chunks) <= 8192
    codes = np.concatenate(chunks) @ (1 << np.arange(15))
    np.testing.assert_array_equal(codes, np.arange(2**15))


def test_several_chunks_and_games(averaging_game):
    games = [averaging_game(15, score=score) for score in ("squared_l2", "dot", "l2")]
    results = shapley_many(games, method="exact")
    for game, result in zip(games[:2], results[:2], strict=True):
        np.testing.assert_allclose(result.values, game.shapley_values(), atol=1e-10)
    assert results[2].values.tobytes() == shapley(games[2], method="exact").values.tobytes()


def test_twenty_players(averaging_game):
    game = averaging_game(20, score="squared_l2")
    np.testing.assert_allclose(shapley(game, method="exact").values, game.shapley_values(), atol=1e-10)


def test_a_constant_takes_no_part(averaging_game):
    game = averaging_game(6)

    class Raised:
        n_players = 6

        def __call__(self, coalitions):
            return game(coalitions) + 2.0**40

    np.testing.assert_allclose(shapley(Raised(), "exact").values, shapley(game, "exact").values, atol=1e-3)


def test_more_than_twenty_players_are_refused(averaging_game):
    with pytest.raises(InputError) as caught:
        shapley(averaging_game(21), method="exact")
    assert str(caught.value) == "method = 'exact': enumerates at most 20 players; this game has 21"
