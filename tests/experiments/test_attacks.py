import numpy as np
import pandas as pd
import pytest

from crowd_sim import load_config, run, sweep
from crowd_sim.config.io import load_content
from crowd_sim.report.attack_figure import distance_by_share
from crowd_sim.report.detection_figure import detection, roc
from crowd_sim.report.labels import value_words
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


def test_a_sweep_of_shares_has_its_figure(tmp_path):
    base = {"crowd": {"n_workers": 10, "bad": {"behaviour": "corner"}}, "tournament": {"rounds": 2, "n_groups": 2}}
    grid = {"crowd.bad.share": [0, 0.3], "crowd.bad.behaviour": ["corner", "echo"]}
    found = sweep({**base, "valuation": {"method": "none"}}, tmp_path / "s", grid=grid)
    assert (tmp_path / "s" / "figures" / "distance_by_share.png").exists()
    figure = distance_by_share(found.points)
    drawn = [container[0].get_ydata() for axes in figure.axes for container in axes.containers]
    assert sorted(np.concatenate(drawn)) == sorted(found.points["final_distance_mean"])
    assert all(axes.get_ylim()[1] > max(ys.max() for ys in drawn) for axes in figure.axes)


def test_a_sweep_of_two_defences_has_a_row_of_panels_each():
    fields = {
        "crowd.bad.share": [0, 0.3],
        "tournament.weight_power": [2, 30],
        "tournament.aggregation": ["mean", "median"],
    }
    table = pd.MultiIndex.from_product(fields.values(), names=fields.keys()).to_frame(index=False)
    table["final_distance_mean"], table["final_distance_se"] = np.arange(8.0), 0.1
    figure = distance_by_share(table)
    drawn = [container[0].get_ydata() for axes in figure.axes for container in axes.containers]
    assert sorted(np.concatenate(drawn)) == list(range(8))
    assert len(figure.axes) == 2


def test_a_list_of_bad_workers_is_shown_whole():
    assert value_words("[{'behaviour': 'echo', 'share': 0.2}]") == "[{'behaviour': 'echo', 'share': 0.2}]"
    assert value_words("package.module:away_from") == "away from"


def test_a_run_with_bad_workers_draws_who_is_told_from_the_others(tmp_path):
    run(
        {"crowd": {"n_workers": 12, "bad": {"behaviour": "away", "share": 0.3}}, "payment": {"rule": "points"}},
        tmp_path / "r",
        runs=2,
        tournament__rounds=6,
    )
    assert (tmp_path / "r" / "figures" / "detection.png").exists()
    assert "Who is told from the others?" in (tmp_path / "r" / "report.html").read_text()
    (axes,) = detection(pd.read_parquet(tmp_path / "r" / "workers.parquet")).axes
    labels = sorted(text.get_text().partition(":")[0] for text in axes.get_legend().get_texts())
    assert labels == ["Shapley values", "pay", "points"]


@pytest.mark.parametrize(
    ("suspicion", "at_start", "area"),
    [([3.0, 2, 1, 0], 1.0, 1.0), ([0.0, 0, 1, 1], 0.0, 0.0), ([1.0, 1, 1, 1], 0.0, 0.5), ([3.0, 0, 2, 1], 0.5, 0.5)],
)
def test_the_curve_is_that_of_the_receiver(suspicion, at_start, area):
    curve = roc(np.array(suspicion), np.array([True, True, False, False]))
    assert curve[0] == at_start
    assert np.trapezoid(curve, dx=1 / 200) == pytest.approx(area, abs=0.01)


def test_bad_input_is_one_line(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("CROWD_SIM_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(SystemExit) as ended:
        attacks.main(["--runs", "1", "--seeds", "1"])
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("attacks: ")
