import numpy as np
import pandas as pd
import pytest

from crowd_sim.errors import InputError
from crowd_sim.valuation import AveragingGame, banzhaf, leave_one_out, shapley, shapley_many


@pytest.mark.parametrize("value", [shapley, banzhaf, leave_one_out])
@pytest.mark.parametrize(
    ("game", "shown"),
    [(lambda c: c.sum(axis=1), "function"), ([1.0, 2.0], "list"), (pd.DataFrame({"a": [1.0]}), "DataFrame")],
)
def test_it_is_refused_in_one_line(value, game, shown):
    with pytest.raises(InputError) as caught:
        value(game)
    assert str(caught.value).startswith(f"game = '{shown}': must be a game: callable, with n_players, such as")


def test_a_game_is_no_list_of_games():
    game = AveragingGame(np.eye(3), np.ones(3))
    with pytest.raises(InputError, match=r"^games = 'AveragingGame': must be a list of games$"):
        shapley_many(game)
    with pytest.raises(InputError, match=r"^games\[1\] = 'int': must be a game"):
        shapley_many([game, 5])


@pytest.mark.parametrize("size", [1e-80, 1e50])
def test_sizes_whose_powers_are_no_numbers_are_refused(size):
    for vectors, target, name in ((np.eye(3) * size, np.ones(3), "vectors"), (np.eye(3), np.ones(3) * size, "target")):
        with pytest.raises(InputError) as caught:
            AveragingGame(vectors, target)
        assert str(caught.value).startswith(
            f"{name} = {size}: the largest entry must be 0 or of a size in [1e-30, 1e30]"
        )


@pytest.mark.parametrize("size", [1e-29, 1e29])
@pytest.mark.parametrize("score", ["l2", "l1"])
def test_sizes_that_are_taken_change_no_correlation(size, score):
    rng = np.random.default_rng(0)
    vectors, target = rng.random((16, 4)), rng.random(4)
    plain = shapley(AveragingGame(vectors, target, score), budget=300)
    scaled = shapley(AveragingGame(vectors * (size), target * (size), score), budget=300)
    np.testing.assert_allclose(scaled.values / (size), plain.values, rtol=1e-6)
    assert np.isfinite(scaled.stderr).all()


@pytest.mark.parametrize(("n", "budget"), [(50, 201), (14, 57), (50, 99), (14, 27), (1, 1)])
def test_the_minimum_that_auto_names_is_the_one_it_takes(n, budget):
    rng = np.random.default_rng(0)
    game = AveragingGame(
        rng.random((n, 3)), rng.random(3), lambda points, target: -((points - target) ** 4).sum(axis=1)
    )
    seen = []

    def evaluate(chunks):
        for chunk in chunks:
            seen.append(len(chunk))
            yield game(chunk)[None]

    if budget >= 2 * n:
        assert shapley(game, budget=budget).n_evaluations <= budget
        return
    with pytest.raises(InputError, match=f"^budget = {budget}: must be at least {2 * n} for"):
        shapley(game, budget=budget, evaluate=evaluate)
    assert not seen
    assert shapley(game, budget=2 * n).n_evaluations == 2 * n


@pytest.mark.parametrize("value", [shapley, banzhaf])
@pytest.mark.parametrize("size", [1e-150, 1e-68, 1e68, 1e71])
def test_utilities_whose_powers_are_no_numbers_are_refused(value, size):
    rng = np.random.default_rng(0)
    game = AveragingGame(
        rng.random((12, 3)), rng.random(3), lambda points, target: np.sin((points * target).sum(axis=1))
    )

    class Scaled:
        n_players = 12

        def __call__(self, coalitions):
            return game(coalitions) * size

    if 1e-70 < size < 1e70:
        result = value(Scaled(), budget=300)
        assert 1e-9 < result.relative_error < 0.5
        return
    with pytest.raises(InputError, match=r"^game = .*; scale") as caught:
        value(Scaled(), budget=300)
    assert "\n" not in str(caught.value)


class _Writes:
    n_players = 6

    def __call__(self, coalitions):
        worth = coalitions @ np.arange(6.0)
        coalitions[:] = False
        return worth


class _Complex:
    n_players = 6

    def __call__(self, coalitions):
        return coalitions.sum(axis=1) * (1 + 1j)


def _through(game):
    def evaluate(chunks):
        for chunk in chunks:
            yield game(chunk)[None]

    return evaluate


@pytest.mark.parametrize("method", ["exact", "kernel_shap", "permutation", "paired_regression", "surrogate"])
def test_a_game_that_writes_into_its_coalitions_is_refused_and_an_evaluator_changes_nothing(method):
    with pytest.raises(InputError, match=r"^game: must not write into its coalitions; take a copy of them$"):
        shapley(_Writes(), method=method, budget=60)
    with pytest.raises(InputError, match="must not write into its coalitions"):
        banzhaf(_Writes(), budget=40)
    found = shapley(_Writes(), method=method, budget=60, evaluate=_through(_Writes()))
    np.testing.assert_allclose(found.values, np.arange(6.0), atol=1e-6)


@pytest.mark.filterwarnings("error")
def test_complex_numbers_are_refused():
    for arguments in ({}, {"evaluate": _through(_Complex())}):
        with pytest.raises(InputError, match=r"^(game|evaluate) = 'complex128': must return real numbers$"):
            shapley(_Complex(), **arguments)
    with pytest.raises(InputError, match=r"^vectors = "):
        AveragingGame(np.eye(3) * 1j, np.ones(3))
