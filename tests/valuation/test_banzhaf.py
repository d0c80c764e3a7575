from itertools import product

import numpy as np
import pytest
import shapiq
from threadpoolctl import threadpool_limits

from crowd_sim.errors import InputError
from crowd_sim.valuation import banzhaf
from crowd_sim.valuation.request import in_process
from experiments.bench.unanimity import KINDS, random_game
from tests.oracles.games import Oracle, additive, all_oracles, unanimity, weighted_majority


def by_definition(game) -> np.ndarray:
    n = game.n_players
    values = np.zeros(n)
    for i in range(n):
        without = np.array(list(product([False, True], repeat=n)), dtype=bool)
        without = without[~without[:, i]]
        joined = without.copy()
        joined[:, i] = True
        values[i] = np.mean(game(joined) - game(without))
    return values


def known(game) -> np.ndarray:
    """Of a sum of unanimity games: a term of s members gives each of them its weight over 2^(s−1)."""
    return (game.members * (game.weights / 2.0 ** (game.members.sum(axis=1) - 1))[:, None]).sum(axis=0)


@pytest.mark.parametrize("oracle", all_oracles(), ids=repr)
def test_exact_by_enumeration(oracle):
    result = banzhaf(oracle)
    np.testing.assert_allclose(result.values, by_definition(oracle), atol=1e-10)
    assert np.all(result.stderr == 0)
    assert (result.n_evaluations, result.method) == (2**oracle.n_players, "exact")


def test_known_values():
    np.testing.assert_allclose(banzhaf(unanimity(6, [0, 2, 5])).values, [0.25, 0, 0.25, 0, 0, 0.25])
    np.testing.assert_allclose(banzhaf(weighted_majority([4, 2, 1], 5)).values, [0.75, 0.25, 0.25])
    game = random_game(KINDS[0], 1, n=15)
    np.testing.assert_allclose(banzhaf(game, budget=2**15).values, known(game), atol=1e-12)


def test_agrees_with_shapiq():
    game = random_game(KINDS[0], 2, n=9)
    found = shapiq.ExactComputer(game, n_players=9)("BV", 1)
    np.testing.assert_allclose(banzhaf(game).values, [found[(i,)] for i in range(9)], atol=1e-10)


@pytest.mark.parametrize("n", [25, 300])
def test_additive_games_are_exact_from_samples(n):
    worths = np.random.default_rng(0).normal(size=n)
    result = banzhaf(additive(list(worths), 50.0), budget=4 * n)
    np.testing.assert_allclose(result.values, worths, atol=1e-9)
    assert np.all((result.stderr > 0) & (result.stderr < 1e-9))


@pytest.mark.parametrize("budget", [80, 400, 3_001])
def test_intervals_cover(budget):
    covered = []
    for number in range(75):
        game = random_game(KINDS[2], number, n=24)
        result = banzhaf(game, budget=budget, seed=number)
        assert budget - 9 <= result.n_evaluations <= budget
        covered.append(np.abs(result.values - known(game)) <= 1.96 * result.stderr)
    assert 0.93 <= np.mean(covered) <= 0.97


def test_a_larger_budget_goes_on_where_a_smaller_one_ended():
    seen: dict[int, np.ndarray] = {}

    def recording(budget):
        def evaluate(chunks):
            for chunk in chunks:
                seen[budget] = np.concatenate([seen[budget], chunk]) if budget in seen else chunk
                yield chunk.sum(axis=1)[None].astype(float)

        return evaluate

    for budget in (900, 2_500):
        banzhaf(additive([1.0] * 30, 0.0), budget=budget, evaluate=recording(budget))
    assert np.array_equal(seen[900], seen[2_500][:900])


def test_same_bits_for_any_evaluator_and_threads():
    for n, budget in ((12, 4_096), (40, 1_000), (40, 50)):
        game = random_game(KINDS[2], 0, n=n)
        first = banzhaf(game, budget=budget, seed=3, run=4)
        for threads in (1, 2):
            with threadpool_limits(threads):
                other = banzhaf(game, budget=budget, seed=3, run=4, evaluate=in_process([game]))
                assert other.values.tobytes() == first.values.tobytes()
                assert other.stderr.tobytes() == first.stderr.tobytes()
        assert n == 12 or banzhaf(game, budget=budget, seed=3, run=5).values.tobytes() != first.values.tobytes()


def test_draws_that_happen_to_agree_know_no_error():
    game = Oracle("sizes", 3, lambda c: 3.0 * c.sum(axis=1) + 7.0, np.full(3, 3.0))
    assert np.isnan(banzhaf(game, budget=4).stderr).all()
    seldom = unanimity(20, list(range(10)))  # of 100 pairs drawn none holds all ten, so that all say 0
    assert np.isnan(banzhaf(seldom, budget=200).stderr).all()


def test_bad_input_is_refused_in_one_line():
    game = additive([1.0] * 5, 0.0)
    for arguments, field in (
        ({"budget": 3}, "budget"),
        ({"budget": 2.5}, "budget"),
        ({"seed": -1}, "seed"),
        ({"run": 2**64}, "run"),
    ):
        with pytest.raises(InputError) as caught:
            banzhaf(game, **arguments)
        assert caught.value.field == field
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="n_players"):
        banzhaf(Oracle("none", 0, lambda c: np.zeros(len(c)), np.zeros(0)))
