"""Names of workers are data wherever they are shown: no markup, mathematics, escape, HTML or formula in them is one."""

import io
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import crowd_sim
from crowd_sim.characters import csv_cell, visible
from crowd_sim.cli.output import plain_console
from crowd_sim.report.style import drawable
from tests.bad_input.command import IN_PROCESS, call

NAMES = [
    *(
        "[red]x[/red]",
        "[/]",
        "$x^2$",
        "$\\frac{1$",
        "a_b^c",
        "\\alpha",
        ":warning:",
        "=1+1",
        "-2",
        "@cmd",
        "a\x1b[31mb\x07",
    ),
    *(
        "<script>alert(1)</script>",
        "&amp;",
        '"quoted"',
        "名前",
        "नाम",
        "اسم",
        "א\u202eב",
        "🙂",
        "%s {0} {{x}}",
        "C:\\new",
    ),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run whose workers have these names, drawn without a warning."""
    base = tmp_path_factory.mktemp("names")
    vectors = np.random.default_rng(0).normal(size=(len(NAMES), 3))
    crowd = pd.DataFrame(vectors, index=NAMES, columns=["x", "$y$", "<b>z</b>"])
    config = {
        "runs": 2,
        "tournament": {"rounds": 2, "n_groups": 2, "score": "dot"},
        "valuation": {"kernel_shap_budget": 0},
    }
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        crowd_sim.run(config, base / "run", crowd=crowd)
        crowd_sim.value(crowd, NAMES[0], base / "values")
    return base


def test_tables_have_them_as_they_are(folder):
    values = pd.read_parquet(folder / "values" / "values.parquet")
    assert set(values["worker"]) == set(NAMES[1:])
    page = (folder / "run" / "report.html").read_text()
    assert "<script>alert" not in page
    assert "\x1b" not in page


def test_a_terminal_shows_them(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    crowd = pd.read_parquet("run/crowd.parquet")
    crowd[crowd["worker"].isin([*NAMES[:6], NAMES[10]])].to_csv("crowd.csv", index=False)
    assert call(["value", "crowd.csv", "--target", NAMES[1], *IN_PROCESS]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    for name in (*NAMES[2:6], NAMES[0], r"a\x1b[31mb\x07"):
        assert name in out


def test_a_refusal_shows_a_name_as_it_is(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("a\x1b[2Jb.csv").write_text("worker,x\na,much\n")
    assert call(["value", "a\x1b[2Jb.csv", "--target", "a", *IN_PROCESS]) == 2
    assert r"a\x1b[2Jb.csv:2" in capsys.readouterr().err


@pytest.mark.parametrize("name", NAMES)
def test_nothing_in_a_figure_is_mathematics_or_missing(name):
    from matplotlib.font_manager import findfont, get_font

    shown, font = drawable(name), get_font(findfont("DejaVu Sans"))
    assert all(font.get_char_index(ord(letter)) for letter in shown)
    assert shown.count("$") == shown.count(r"\$")


def test_a_console_takes_nothing_for_markup():
    console = plain_console()
    console.file = io.StringIO()
    console.print("[red]x[/red] :warning:")
    assert console.file.getvalue() == "[red]x[/red] :warning:\n"


@pytest.mark.parametrize(("value", "cell"), [("=1+1", "'=1+1"), ("@x", "'@x"), ("x=1", "x=1"), (-2.0, -2.0), ("", "")])
def test_a_spreadsheet_takes_no_name_for_a_formula(value, cell):
    assert csv_cell(value) == cell


def test_what_turns_a_line_is_seen():
    assert visible("a\u202eb") == r"a\u202eb"
    assert visible("क्‍ष") == "क्‍ष"  # a joiner belongs to the script
