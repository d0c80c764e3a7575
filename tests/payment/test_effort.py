"""Effort: a contest with a closed form, and runs."""

import numpy as np
import pandas as pd
import pytest

from crowd_sim.commands.equilibrium import Errors, equilibrium
from crowd_sim.config import RunConfig
from crowd_sim.errors import InputError
from crowd_sim.payment import divide, raised
from crowd_sim.payment.effort import EffortGame
from tests.bad_input.command import call

SMALL = {
    "runs": 4,
    "crowd": {"n_workers": 8},
    "tournament": {"rounds": 4, "n_groups": 2},
    "valuation": {"budget": 300},
}


def contest(n, power):
    """Paid in proportion to effort to a power, by the division that runs are paid by."""

    def pays(others, own):
        scores = np.full(n, others)
        scores[0] = own
        pay, _ = divide(raised(scores, power), float(n))
        return pay[:1]

    return pays


@pytest.mark.parametrize(("n", "power", "cost"), [(10, 1.0, 2.0), (5, 1.2, 1.7), (40, 0.5, 0.9)])
def test_contests_settle_where_tullock_says(n, power, cost):
    expected = power * (n - 1) / (n * cost)
    game = EffortGame.of(contest(n, power), expected * np.linspace(0.5, 1.5, 52), cost)
    found = game.levels[game.equilibria]
    assert len(found) == 1
    np.testing.assert_allclose(found, expected, rtol=0.02)
    for start in (0, 51):
        np.testing.assert_allclose(game.levels[game.settles(start)], expected, rtol=0.02)


def test_equal_pay_calls_for_no_effort_and_two_equilibria_are_both_found():
    levels = np.linspace(0.0, 1.0, 5)
    equal = EffortGame.of(lambda others, own: np.ones(1), levels, 0.3)
    assert equal.equilibria.tolist() == equal.settles(4) == [0]
    assert equal.regret == (pytest.approx(0.3), 0.0)
    together = EffortGame.of(lambda others, own: np.array([float(others == own)]), levels, 0.3)
    assert together.equilibria.tolist() == [0, 1, 2, 3, 4]
    assert together.regret[0] == 0.0


def test_what_is_within_its_error_is_no_gain():
    draws = np.random.default_rng(0).normal(0.0, 1.0, 50)
    noisy = EffortGame.of(lambda others, own: 1.0 + (own - others) * draws, np.linspace(0.0, 1.0, 3), 0.0)
    assert noisy.equilibria.tolist() == [0, 1, 2]


def test_where_nobody_wants_to_be_alike_effort_does_not_stay():
    flees = EffortGame.of(lambda others, own: np.array([abs(own - others)]), np.array([0.0, 0.5, 1.0]), 0.1)
    assert flees.settles(0) == [0, 1]
    assert flees.equilibria.size == 0


@pytest.mark.parametrize("errors", list(Errors))
def test_gold_calls_for_effort_and_equal_pay_does_not(errors):
    found = {}
    for rule in ("equal", "gold"):
        setup = RunConfig.parse({**SMALL, "payment": {"rule": rule}})
        settled = equilibrium(setup, 0.3, 4.0, 3, errors)
        found[rule] = settled.game.levels[settled.game.equilibria].tolist()
        assert settled.game.pays.shape == (3, 3, 4)
    assert found == {"equal": [0.0], "gold": [1.0]}


def test_the_command_prints_where_effort_settles(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    small = ["runs=2", "crowd.n_workers=6", "tournament.rounds=2", "payment.rule=gold"]
    assert call(["equilibrium", "quickstart", *small, "--levels", "2", "--out", "effort"]) == 0
    assert "from full effort effort settles at 1" in capsys.readouterr().out.replace("\n", " ")
    table = pd.read_parquet("effort/equilibrium.parquet")
    assert list(table) == ["others", "effort", "pay", "utility", "gain", "gain_se", "distance"]
    assert len(table) == 4
    assert (tmp_path / "effort" / "equilibrium.png").stat().st_size > 1000
    (tmp_path / "effort" / "values.json").touch()
    assert call(["equilibrium", "quickstart", *small, "--out", "effort"]) == 2  # before anything is played
    assert "--out = 'effort': must be a new folder, an empty one, or one of an equilibrium" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "options", "says"),
    [
        ({}, {}, "payment"),
        ({"payment": {}}, {"cost": -1.0}, "--cost = -1.0"),
        ({"payment": {}}, {"noise": float("nan")}, "--noise = nan"),
        ({"payment": {}}, {"n_levels": 1}, "--levels = 1"),
    ],
)
def test_what_is_refused(changes, options, says):
    with pytest.raises(InputError, match=says):
        equilibrium(RunConfig.parse({**SMALL, **changes}), **options)
