import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crowd_sim.valuation import shapley, shapley_many


class TableGame:
    """A game by its 2^n utilities; coalition number = Σ 2^i over its players."""

    def __init__(self, table: np.ndarray, order: list[int] | None = None) -> None:
        self.table = table
        self.n_players = int(np.log2(len(table)))
        self.order = list(range(self.n_players)) if order is None else order

    def __call__(self, coalitions: np.ndarray) -> np.ndarray:
        return self.table[coalitions[:, self.order] @ (1 << np.arange(self.n_players))]


def is_taken(number: float) -> bool:
    """Whether neither it nor its product with another one leads to values of a size that is refused, below 1e-70."""
    return number == 0.0 or abs(number) > 1e-30


@st.composite
def tables(draw, count=1):
    n = draw(st.integers(1, 6))
    number = st.floats(-100, 100, allow_nan=False).filter(is_taken)
    return [np.array(draw(st.lists(number, min_size=2**n, max_size=2**n))) for _ in range(count)]


METHODS = ["exact", "kernel_shap", "permutation"]


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=40, deadline=None)
@given(tables(), st.integers(0, 2**64 - 1))
def test_efficiency(method, drawn, seed):
    (table,) = drawn
    result = shapley(TableGame(table), method=method, budget=200, seed=seed)
    assert result.values.sum() == pytest.approx(table[-1] - table[0], abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(tables(), st.randoms(use_true_random=False))
def test_symmetry_renaming_players_renames_values(drawn, random):
    (table,) = drawn
    game = TableGame(table)
    order = list(range(game.n_players))
    random.shuffle(order)
    renamed = TableGame(table, order)  # its player order[i] is player i of the first game
    np.testing.assert_allclose(
        shapley(renamed, method="exact").values[order], shapley(game, method="exact").values, atol=1e-10
    )


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=40, deadline=None)
@given(tables(count=2), st.floats(-3, 3).filter(is_taken))
def test_linearity(method, drawn, factor):
    one, other = drawn
    games = [TableGame(one), TableGame(other), TableGame(one + factor * other)]
    a, b, both = (r.values for r in shapley_many(games, method=method, budget=200))
    np.testing.assert_allclose(both, a + factor * b, atol=1e-9)
