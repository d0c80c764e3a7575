"""Names of workers are data wherever they are shown: no markup, mathematics, escape, HTML or formula in them is one."""

import io
import os
import shutil
import subprocess
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.font_manager import findfont, get_font

import crowd_sim
from crowd_sim.characters import csv_cell, shell_word, visible
from crowd_sim.cli.output import plain_console
from crowd_sim.cli.status import status_lines
from crowd_sim.report import style
from crowd_sim.report.html import frame
from crowd_sim.report.llm_figures import workers_in_a_row
from crowd_sim.report.style import drawable, png
from crowd_sim.report.sweep_figures import correlation_by_n
from crowd_sim.report.value_figure import values_with_errors
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


def test_a_traceback_of_a_user_s_code_shows_them(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_fault.py").write_text("def f(*_):\n    raise KeyError('nobody \x1b[31m\x07')\n")
    small = ["runs=1", "tournament.rounds=1", "crowd.n_workers=4", "tournament.grouping=own_fault:f"]
    assert call(["run", "quickstart", *small, *IN_PROCESS]) == 1
    said = capsys.readouterr().err
    assert "\x1b" not in said
    assert r"    raise KeyError('nobody \x1b[31m\x07')" in said.splitlines()


def test_a_refusal_shows_a_name_as_it_is(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("a\x1b[2Jb.csv").write_text("worker,x\na,much\n")
    assert call(["value", "a\x1b[2Jb.csv", "--target", "a", *IN_PROCESS]) == 2
    assert r"a\x1b[2Jb.csv:2" in capsys.readouterr().err


@pytest.mark.parametrize("name", NAMES)
def test_nothing_in_a_figure_is_mathematics(name):
    shown = drawable(name)
    assert shown.count("$") == shown.count(r"\$")
    assert drawable(name, parse_math=False).count("$") == name.count("$")


def test_a_name_of_any_script_is_drawn_without_a_warning():
    letters = "".join(map(chr, range(0xA1, 0x3400, 7)))
    names = [*NAMES, *(letters[i : i + 30] for i in range(0, len(letters), 30)), "\U0001f642\U00020000\ue000"]
    workers = pd.DataFrame({"run": 0, "worker": names[: len(NAMES)], "points": 1.0})
    values = pd.DataFrame({"worker": names, "value": 1.0, "lower": 0.5, "upper": 1.5})
    points = pd.DataFrame({"tournament.score": names[-6:], "tournament.n_groups": 2, "final_distance_mean": 1.0})
    points["pearson_accurate_mean"] = 0.5
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # so many long names leave no room for axes
        warnings.filterwarnings("error", message=".*[Gg]lyph")
        for figure in (values_with_errors(values[:29]), workers_in_a_row(workers), correlation_by_n(points)):
            png(figure)


def test_what_the_first_font_lacks_is_written_by_another_that_has_it(monkeypatch):
    monkeypatch.setattr(style, "_fonts", lambda: [get_font(findfont(name)) for name in ("cmr10", "DejaVu Sans")])
    style._can_draw.cache_clear()
    try:
        assert drawable("Ж\u4e00") == "Ж\\u4e00"
        monkeypatch.setattr(style, "_fonts", lambda: [get_font(findfont("cmr10"))])
        style._can_draw.cache_clear()
        assert drawable("Ж") == "\\u0416"
    finally:
        style._can_draw.cache_clear()


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


HOSTILE = [
    "a b",
    "it's",
    "$(id)",
    "-x",
    "--out",
    "\x1b[31mred",
    "\x85\u202efdp.exe",
    "a\\b\n'c",
    os.fsdecode(b"\xff\x1b"),
    "名前",
]


def test_a_command_that_is_printed_takes_a_path_as_it_is_and_shows_no_escape():
    words = [shell_word(name) for name in HOSTILE]
    assert all(visible(word) == word for word in words)
    said = subprocess.run(["bash", "-c", f"printf '%s\\0' {' '.join(words)}"], capture_output=True, check=True).stdout
    found = [name.removeprefix("./") for name in os.fsdecode(said).split("\0")[:-1]]
    assert found == HOSTILE


def test_status_and_report_say_how_to_go_on_in_such_a_folder(folder, tmp_path):
    name = "\x1b[31m it's"
    shutil.copytree(folder / "run", tmp_path / name)
    (tmp_path / name / "status.json").unlink()
    *_, last = status_lines(tmp_path / name)
    assert f"{shell_word(tmp_path / name)}` goes on" in last
    told = frame(tmp_path / name)
    assert told["again"] == r"crowd-sim run $'\U0000001b[31m it\'s/config.yaml' --out again"
    assert visible(told["name"]) == told["name"]
