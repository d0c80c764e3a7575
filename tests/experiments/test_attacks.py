import pytest

from crowd_sim import load_config
from crowd_sim.config.io import load_content
from crowd_sim.sweeps.plan import Sweep
from experiments.crowds import attacks


def test_prints_a_column_a_share(capsys, monkeypatch):
    monkeypatch.setitem(attacks.SETTING, "crowd", {"n_workers": 20})
    attacks.main(["--runs", "2", "--seeds", "1", "--shares", "0.3", "0.5", "--behaviours", "away"])
    nobody, _, head, _, row = capsys.readouterr().out.splitlines()
    assert head == "| behaviour | 30% | 50% |"
    name, *found = (cell.strip() for cell in row.strip("|").split("|"))
    assert name == "`away`"
    assert all(float(cell) > float(nobody.partition(": ")[2]) for cell in found)


def test_the_sweep_that_ships_is_one():
    plan = Sweep.parse(load_content("attack_sweep"))
    assert plan.n_points == 90
    assert {group.behaviour for point in plan.points for group in point.config.crowd.bad_groups} >= {"alie", "away"}
    with pytest.raises(Exception, match="sweep"):
        load_config("attack_sweep")
