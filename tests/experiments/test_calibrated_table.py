import pandas as pd
import pytest

from experiments.paper.calibrated_table import COLUMNS, bars, main, summary

SMALL = (
    "crowd.source=synthetic",
    "runs=3",
    "tournament.rounds=30",
    "valuation.budget=5000",
    "valuation.kernel_shap_budget=200",
    "sweep.crowd.n_workers=[10]",
    "sweep.tournament.n_groups=[2,3]",
)


def cells(rank, calibrated):
    return pd.DataFrame(
        {
            "rank_spearman_accurate_mean": rank,
            "calibrated_spearman_accurate_mean": calibrated,
            "rank_final_distance_mean": 5.0,
            "calibrated_final_distance_mean": 4.9,
        }
    )


def test_prints_a_row_per_cell_and_the_bars(capsys):
    with pytest.raises(SystemExit) as ended:
        main([*SMALL, "sweep.tournament.score=[dot]"])
    assert ended.value.code == 0
    header, _, first, second, empty, said = capsys.readouterr().out.splitlines()
    assert header == f"| {' | '.join(COLUMNS)} |"
    assert first.startswith("| dot | 10 | 2 | 0.91 | ")  # published
    assert second.startswith("| dot | 10 | 3 |  | ")
    assert first.count("|") == second.count("|") == len(COLUMNS) + 1
    assert empty == ""
    assert "in 2 of 2" in said


@pytest.mark.parametrize(
    ("rank", "calibrated", "met"),
    [
        ([0.7, 0.7, 0.7, 0.7], [0.99, 0.99, 0.99, 0.9], [True, True, True]),
        ([0.7, 0.7, 0.7, 0.7], [0.94, 0.94, 0.94, 0.94], [False, True, True]),
        ([0.7, 0.7, 0.7, 0.7], [1.0, 1.0, 0.91, 0.91], [True, False, True]),
        ([0.7, 0.7, 0.7, 0.995], [0.99, 0.99, 0.99, 0.99], [True, True, False]),
    ],
)
def test_three_bars(rank, calibrated, met):
    assert list(bars(cells(rank, calibrated)).values()) == met
    assert summary(cells(rank, calibrated)).count("MISSED") == met.count(False)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("sweep.tournament.reward=[rank]", "must list rank and calibrated"),
        ("sweep.tournament.step=[0.1]", "must list tournament.score, crowd.n_workers"),
        ("valuation.method=none", "must value the workers"),
        ("runs=0", "runs = 0"),
    ],
)
def test_refuses_what_is_not_its_sweep(override, said, capsys):
    with pytest.raises(SystemExit) as ended:
        main([*SMALL, override])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
