import sys

import numpy as np
import pytest
import shapiq

from crowd_sim.errors import InputError
from crowd_sim.valuation import (
    AllUtilities,
    MaxEvaluations,
    SampledUtilities,
    ShapleyResult,
    banzhaf,
    least_core,
    leave_one_out,
    shapley,
)
from tests.oracles.games import sum_of_unanimity

GAME = sum_of_unanimity(6, 15, seed=1)
FEW = ShapleyResult(np.array([1.0, 3.0, -2.0]), np.array([0.1, np.nan, 0.3]), 77, "permutation")


def test_a_plot_has_a_row_a_player_best_first():
    ax = FEW.plot()
    assert [label.get_text() for label in ax.get_yticklabels()] == ["1", "0", "2"]
    np.testing.assert_array_equal(ax.containers[0].lines[0].get_xdata(), [3.0, 1.0, -2.0])
    assert FEW.plot(ax) is ax


def test_a_notebook_shows_the_table():
    shown = FEW._repr_html_()
    assert "permutation, 77 evaluations" in shown
    assert shown.count("<tr") == 4
    assert shapley(sum_of_unanimity(100, 9, seed=1), budget=500)._repr_html_().count("<tr") < 60


def test_shapiq_takes_the_values():
    result = shapley(GAME)
    empty = float(GAME(np.zeros((1, 6), dtype=bool))[0])
    ours, theirs = result.to_shapiq(empty), shapiq.ExactComputer(GAME, n_players=6)("SV", 1)
    assert (ours.index, ours.max_order, ours.n_players) == ("SV", 1, 6)
    assert not ours.estimated
    for i in range(6):
        assert abs(ours[(i,)] - theirs[(i,)]) < 1e-10
    assert ours.baseline_value == empty


def test_other_values_go_by_their_own_name():
    ours, theirs = banzhaf(GAME), shapiq.ExactComputer(GAME, n_players=6)("BV", 1)
    assert ours.to_shapiq().index == "BV"
    for i in range(6):
        assert abs(ours.to_shapiq()[(i,)] - theirs[(i,)]) < 1e-10
    assert ours.plot().get_xlabel().startswith("Banzhaf value")
    assert "Leave-one-out values" in leave_one_out(GAME)._repr_html_()
    with pytest.raises(InputError, match=r"^kind = 'Leave-one-out': must be one of Shapley, Banzhaf for shapiq$"):
        leave_one_out(GAME).to_shapiq()


def test_pairs_and_payments_have_pictures_and_tables():
    some = SampledUtilities.of(shapley(GAME, stop=MaxEvaluations(64)))
    pairs, core = some.interactions(), some.least_core()
    (image,) = pairs.plot().images
    np.testing.assert_array_equal(image.get_array().filled(0.0), pairs.values)
    assert pairs._repr_html_().count("<tr") == 1 + 15
    rows = core.plot().containers[0].lines[0].get_xdata()
    np.testing.assert_array_equal(rows, np.sort(core.values)[::-1])
    assert f"deficit {core.deficit:.4g}" in core._repr_html_()
    for face in (pairs, core):
        with pytest.raises(InputError, match=r"^ax = 5: must be matplotlib's axes, or None$"):
            face.plot(5)


def test_no_zero_is_below_zero():
    core = least_core(AllUtilities(3, np.full(8, 2.0)))
    assert "-0" not in core._repr_html_()


def test_of_many_players_the_ends_are_drawn():
    values = np.arange(3000.0)
    ax = ShapleyResult(values, np.full(3000, 0.1), 9_000, "chains").plot()
    labels = [label.get_text() for label in ax.get_yticklabels()]
    assert labels == [*(str(i) for i in range(2999, 2959, -1)), *(str(i) for i in range(19, -1, -1))]
    assert ax.get_ylabel() == "player: first 40 and last 20 of 3,000"
    assert ax.figure.get_size_inches()[1] < 20


def test_printed_it_is_a_short_table_best_first():
    lines = str(FEW).splitlines()
    assert lines[0] == "Shapley values by permutation, 77 evaluations"
    assert [line.split()[0] for line in lines[1:]] == ["player", "1", "0", "2"]
    assert len(str(ShapleyResult(np.arange(3000.0), np.zeros(3000), 9, "exact")).splitlines()) < 30


def test_without_shapiq_the_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "shapiq", None)
    with pytest.raises(InputError, match=r"needs the package shapiq: pip install shapiq$"):
        FEW.to_shapiq()
