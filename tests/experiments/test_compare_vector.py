import io
import sys

import pytest
from rich.console import Console

from crowd_sim.errors import InputError
from experiments.paper import compare_vector
from experiments.paper.compare_vector import FIELDS, compare, met, published, show


def points(shift=0.0):
    reference = published()
    table = reference[list(FIELDS)].rename(columns=FIELDS)
    table["pearson_kernel_shap_mean"] = reference["pearson_points_vs_kernelshap"] + shift
    table["pearson_kernel_shap_se"] = 0.01
    table["final_distance_mean"] = reference["final_distance"] - shift
    table["final_distance_se"] = 0.1
    table["pearson_accurate_mean"] = 0.9
    return table


def test_the_published_part_has_54_rows():
    assert len(published()) == 54


def test_a_difference_is_counted_in_its_own_standard_errors():
    table = compare(points(0.02), published())
    assert table["pearson_kernel_shap_z"].to_numpy() == pytest.approx(0.02 / (2**0.5 * 0.01))
    assert table["final_distance_z"].to_numpy() == pytest.approx(-0.02 / (2**0.5 * 0.1))
    assert met(table) == {"pearson_kernel_shap": 54, "final_distance": 54}
    assert met(compare(points(0.05), published())) == {"pearson_kernel_shap": 0, "final_distance": 54}


def test_a_sweep_without_a_published_row_is_refused():
    with pytest.raises(InputError, match="lacks 1 published row"):
        compare(points().iloc[1:], published())
    with pytest.raises(InputError, match=r"no column tournament\.score"):
        compare(points().drop(columns="tournament.score"), published())


@pytest.mark.parametrize(("shift", "status"), [(0.0, 0), (0.05, 1)])
def test_the_command_prints_the_rows_and_says_whether_they_are_met(shift, status, tmp_path, monkeypatch, capsys):
    points(shift).to_parquet(tmp_path / "points.parquet")
    monkeypatch.setattr(sys, "argv", ["compare_vector", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        compare_vector.main()
    assert ended.value.code == status
    out = capsys.readouterr().out
    assert f"pearson_kernel_shap: {0 if status else 54} of 54 rows" in out


def test_the_table_fits_a_page():
    out = io.StringIO()
    show(compare(points(), published()), Console(file=out, width=120))
    assert max(map(len, out.getvalue().splitlines())) <= 120
    assert "…" not in out.getvalue()
