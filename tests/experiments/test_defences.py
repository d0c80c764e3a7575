import numpy as np
import pytest

from crowd_sim import load_config
from experiments.crowds.defences import DEFENDED, auc, effective_number, main

SMALL = ("--runs", "1", "--seeds", "1", "--source", "synthetic", "--settings", "plain", "defended")


def test_prints_a_table_a_share_and_the_bars(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["attacks", "detection", *SMALL, "--attacks", "corner", "--shares", "0.5"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("50% bad, mean final distance")
    rows = [line.split(" | ")[0] for line in lines if line.startswith("| ")]
    assert rows == ["| setting", "| ---", "| plain", "| defended", "| AUC of the bad by points", "| ---"] + [
        f"| defended, {share}" for share in ("10%", "30%")
    ]
    (bar,) = [line for line in lines if line.startswith("defended, 50% corner")]
    assert ended.value.code == any("MISSED" in line for line in lines)
    assert float(bar.partition(": ")[2].partition(",")[0]) < 3.5


def test_figures_of_points():
    assert auc(np.array([1.0, 2.0, 2.0, 3.0]), np.array([True, True, False, False])) == 0.875
    np.testing.assert_allclose(effective_number(np.array([[1.0, 1.0, 0.0], [1.0, 2.0, 1.0]]), 1), [2, 16 / 6])


def test_the_documented_setting_is_the_one_that_ships():
    tournament = load_config("defended").tournament
    for name, value in DEFENDED.items():
        assert getattr(tournament, name) == (tuple(value) if isinstance(value, list) else value)
