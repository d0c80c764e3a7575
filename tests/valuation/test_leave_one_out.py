import numpy as np
import pytest

from crowd_sim.errors import InputError
from crowd_sim.valuation import leave_one_out
from crowd_sim.valuation.request import in_process
from tests.oracles.games import Oracle, additive, all_oracles, unanimity


@pytest.mark.parametrize("oracle", all_oracles(), ids=repr)
def test_the_definition(oracle):
    n = oracle.n_players
    grand = np.ones((1, n), dtype=bool)
    expected = []
    for i in range(n):
        without = grand.copy()
        without[0, i] = False
        expected.append(float(oracle(grand)[0] - oracle(without)[0]))
    result = leave_one_out(oracle)
    np.testing.assert_allclose(result.values, expected, atol=1e-12)
    assert np.all(result.stderr == 0)
    assert (result.n_evaluations, result.method) == (n + 1, "leave_one_out")


def test_known_values():
    np.testing.assert_array_equal(leave_one_out(unanimity(5, [1, 3])).values, [0, 1, 0, 1, 0])
    np.testing.assert_allclose(leave_one_out(additive([3.0, -1.0, 0.5], 2.0)).values, [3.0, -1.0, 0.5])


def test_many_players_come_in_chunks():
    n = 3_000
    sizes = []

    def evaluate(chunks):
        for chunk in chunks:
            sizes.append(len(chunk))
            yield chunk.sum(axis=1)[None].astype(float) ** 2

    result = leave_one_out(Oracle("unused", n, lambda c: c.sum(axis=1), np.zeros(n)), evaluate=evaluate)
    np.testing.assert_allclose(result.values, n**2 - (n - 1) ** 2)
    assert sum(sizes) == n + 1
    assert max(sizes) * n <= 1 << 22


def test_same_bits_through_an_evaluator(averaging_game):
    game = averaging_game(40)
    assert leave_one_out(game).values.tobytes() == leave_one_out(game, in_process([game])).values.tobytes()


def test_no_players_are_refused():
    with pytest.raises(InputError, match="n_players"):
        leave_one_out(Oracle("none", 0, lambda c: np.zeros(len(c)), np.zeros(0)))
