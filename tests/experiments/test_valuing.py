"""`crowd-sim value`: values of a finished run's crowd and of a file of vectors."""

import importlib
import math
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import crowd_sim
from crowd_sim.cli.app import main
from crowd_sim.cli.value import _figures
from crowd_sim.commands.verify import verify
from crowd_sim.crowd.sources.synthetic import draw_population
from crowd_sim.files import read_facts
from crowd_sim.valuation import AveragingGame, log, shapley

SMALL = [
    "runs=2",
    "tournament.rounds=3",
    "valuation.budget=2000",
    "valuation.kernel_shap_budget=0",
    "crowd.n_workers=15",
]


def command(*arguments):
    with pytest.raises(SystemExit) as ended:
        main([*map(str, arguments), "--ray-address", "none"])
    return ended.value.code


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory, quickstart):
    folder = tmp_path_factory.mktemp("valuing") / "run"
    assert command("run", quickstart, *SMALL, "--out", folder) == 0
    return folder


@pytest.fixture
def crowd(tmp_path):
    people = draw_population(13, 0)
    table = pd.DataFrame(people.vectors, columns=list(people.features)).assign(worker=[f"w{i}" for i in range(13)])
    table.to_csv(tmp_path / "crowd.csv", index=False)
    return people, tmp_path / "crowd.csv"


def test_a_finished_runs_crowd(run_folder, tmp_path, capsys):
    assert command("value", run_folder, "--run", 1, "--method", "exact", "--out", tmp_path / "v") == 0
    table = pd.read_parquet(tmp_path / "v" / "values.parquet").set_index("worker")
    recorded = pd.read_parquet(run_folder / "workers.parquet").query("run == 1").set_index("worker")
    assert set(table.index) == set(recorded.index)
    scale = recorded["shapley"].std()
    np.testing.assert_allclose(table["value"], recorded["shapley"].reindex(table.index), atol=0.5 * scale)
    assert table["value"].is_monotonic_decreasing
    out = capsys.readouterr().out
    assert "Shapley values by exact, 32,768 evaluations" in out
    assert "evaluations: 32,768 of 32,768" in out
    assert table.index[0] in out
    assert "…" in out
    assert Image.open(tmp_path / "v" / "values.png").size[0] > 1000


def test_a_file_and_one_of_its_workers(crowd, tmp_path):
    people, path = crowd
    assert command("value", path, "--target", "w4", "--score", "dot", "--out", tmp_path / "v") == 0
    table = pd.read_parquet(tmp_path / "v" / "values.parquet").set_index("worker")
    others = [i for i in range(13) if i != 4]
    expected = shapley(AveragingGame(people.vectors[others], people.vectors[4], "dot")).values
    assert table.loc[[f"w{i}" for i in others], "value"].tolist() == expected.tolist()
    assert (table["lower"] == table["upper"]).all()


def test_a_file_and_a_targets_row(crowd, tmp_path):
    people, path = crowd
    goal = pd.DataFrame(people.vectors[:1] + 0.5, columns=list(people.features))
    goal.to_csv(tmp_path / "goal.csv", index=False)
    assert command("value", path, "--target", tmp_path / "goal.csv", "--budget", 3000, "--out", tmp_path / "v") == 0
    table = pd.read_parquet(tmp_path / "v" / "values.parquet")
    assert len(table) == 13
    assert (table["lower"] < table["upper"]).all()


def test_a_target_error_ends_the_valuation(crowd, tmp_path, capsys):
    _, path = crowd
    arguments = [
        "--target",
        "w0",
        "--score",
        "l1",
        "--method",
        "permutation",
        "--budget",
        8000,
        "--out",
        tmp_path / "v",
    ]
    assert command("value", path, *arguments, "--target-error", 0.2) == 0
    out = capsys.readouterr().out
    stages = [line for line in out.splitlines() if "error about" in line]
    assert len(stages) > 1
    assert len(set(stages)) == len(stages)
    assert float(stages[-1].split("error about ")[1].split()[0]) <= 0.2
    assert "target error was not reached" not in out
    few = [60 if argument == 8000 else argument for argument in arguments]  # from 2^n on values are exact
    assert command("value", path, *few, "--target-error", 1e-6) == 0
    assert "target error was not reached" in " ".join(capsys.readouterr().out.split())


def test_the_table_says_of_what_it_is(crowd, tmp_path):
    _, path = crowd
    asked = ["--target", "w4", "--score", "l1", "--seed", 7, "--budget", 600, "--out", tmp_path / "v"]
    assert command("value", path, *asked) == 0
    facts = read_facts(tmp_path / "v" / "values.parquet")
    assert len(facts.pop("digest")) == 64
    assert facts.pop("evaluations") <= 600
    asked = {"score": "l1", "target": "w4", "workers": 12, "method": "stratified", "budget": 600, "seed": 7, "run": 0}
    assert facts == asked


def test_no_result_is_lost_to_another_question(crowd, tmp_path, capsys, monkeypatch):
    _, path = crowd
    monkeypatch.chdir(tmp_path)
    first = ["value", path, "--target", "w4", "--score", "l1"]
    assert command(*first) == 0
    kept = (tmp_path / "runs" / "values-crowd" / "values.parquet").read_bytes()
    for other in (["--target", "w4"], ["--target", "w5", "--score", "l1"]):
        assert command("value", path, *other) == 2
        said = capsys.readouterr().err
        assert "must be another folder: it holds the values of another game (score l1, target w4, 12 workers)" in said
        assert (tmp_path / "runs" / "values-crowd" / "values.parquet").read_bytes() == kept
    assert command(*first, "--budget", 20_000) == 0  # the same question, better answered
    pd.DataFrame({"worker": ["a"]}).to_parquet(tmp_path / "runs" / "values-crowd" / "values.parquet")
    assert command(*first) == 2
    assert "it is not known what its values.parquet is of" in capsys.readouterr().err


@pytest.mark.filterwarnings("error")
def test_any_name_is_printed_as_it_is(tmp_path, capsys):
    names = ["$x_1^2$y^", "[red]r[/red]", "[/]", "\x1b[31mesc", "工作者", "a b", "\\x"]
    table = pd.DataFrame(np.random.default_rng(0).random((7, 3)), columns=["a", "b", "c"]).assign(worker=names)
    table.to_parquet(tmp_path / "crowd.parquet")
    (tmp_path / "goal.csv").write_text("a,b,c\n1,2,3\n")
    arguments = ["value", tmp_path / "crowd.parquet", "--target", tmp_path / "goal.csv", "--out", tmp_path / "v"]
    assert command(*arguments) == 0
    out = capsys.readouterr().out
    for name in names:
        assert name.replace("\x1b", "\\x1b") in out
    assert "\x1b[31m" not in out
    assert set(pd.read_parquet(tmp_path / "v" / "values.parquet")["worker"]) == set(names)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["crowd.csv"], "--target: is needed"),
        (["crowd.csv", "--target", "nobody"], "--target = 'nobody': must be a worker of"),
        (["crowd.csv", "--target", "crowd.csv"], "must have one row, not 13"),
        (["crowd.csv", "--target", "w1", "--score", "l3"], "score = 'l3': must be one of"),
        (["crowd.csv", "--target", "w1", "--method", "magic"], "method = 'magic': must be one of"),
        (["crowd.csv", "--target", "w1", "--method", "closed_form"], "needs a game with a closed form"),
        (["nowhere.csv", "--target", "w1"], "crowd-sim: source = 'nowhere.csv': must be a file that exists"),
        (["crowd.csv", "--target", "w1", "--target", "w2"], "--target = 'w2': must be given once"),
        (["crowd.csv", "--target", "w1", "--run", "1"], "--run = 1: must be left out with a file"),
        (
            ["crowd.csv", "--target", "w1", "--budget", "9" * 20],
            "'--budget': Input should be less than or equal to 1000000000000",
        ),
        (["crowd.csv", "--target", "twice.csv"], "--target = 'twice.csv': must have the crowd's features"),
        (["crowd.csv", "--target", "w1", "--target-error", "-1"], "relative = -1.0"),
        (["empty"], "no config.yaml"),
        (["run", "--run", "2"], "--run = 2: must be below 2"),
        (["changed"], "people its configuration names are not those of the run any more"),
    ],
)
def test_bad_input_is_one_line(arguments, says, crowd, run_folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "twice.csv").write_text("a,b\n1,2\n")
    shutil.copytree(run_folder, tmp_path / "run")
    shutil.copytree(run_folder, tmp_path / "changed")
    config = tmp_path / "changed" / "config.yaml"
    edited = config.read_text().replace("  seed: 0", "  seed: 1").splitlines(keepends=True)
    config.write_text("".join(line for line in edited if not line.startswith(("format:", "digest:"))))
    assert command("value", *arguments, "--out", "v") == 2
    line = capsys.readouterr().err
    assert says in line
    assert len(line.splitlines()) == 1
    assert not (tmp_path / "v").exists()


@pytest.mark.parametrize(
    ("out", "says"),
    [
        ("", "--out = '': must not be empty"),
        (".", "--out = '.': must be a new folder, an empty one, or one of values: it holds files"),
        ("crowd.csv", "--out = 'crowd.csv': must be a folder, or not there"),
    ],
)
def test_nothing_is_written_where_other_things_are(out, says, crowd, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    before = set(tmp_path.rglob("*"))
    assert command("value", crowd[1], "--target", "w1", "--out", out) == 2
    assert capsys.readouterr().err.splitlines() == [f"crowd-sim: {says}"]
    assert set(tmp_path.rglob("*")) == before


def test_options_of_every_command_are_given_once_and_paths_have_a_name(capsys):
    for words, says in (
        (["run", "nothing", "--out", "a", "runs=3", "--out", "b"], "--out = 'b': must be given once"),
        (["report", "nothing", "nothing"], "unexpected extra argument"),
        (["data", "movielens", ""], "folder = '': must not be empty"),
        (["run", "--resume", ""], "--resume = '': must not be empty"),
        (["sweep", "nothing", "runs=1", "runs=2", "--tracker", "a", "--tracker", "b"], "configuration = 'nothing"),
    ):
        with pytest.raises(SystemExit) as ended:
            main(words)
        assert ended.value.code == 2
        assert says in capsys.readouterr().err


def test_a_targets_columns_may_stand_in_another_order(crowd, tmp_path):
    people, path = crowd
    goal = pd.DataFrame(people.vectors[:1] + 0.5, columns=list(people.features))
    goal[goal.columns[::-1]].to_csv(tmp_path / "turned.csv", index=False)
    values = crowd_sim.value(path, tmp_path / "turned.csv", score="dot")
    expected = shapley(AveragingGame(people.vectors, people.vectors[0] + 0.5, "dot"))
    np.testing.assert_allclose(values.result.values, expected.values, rtol=1e-12)


def test_intervals_have_even_digits():
    assert [_figures(x) for x in (-0.1205, -0.12, 1.0, 1234.4, 0.0)] == ["-0.1205", "-0.1200", "1.000", "1234", "0.000"]


SCORE = """\
CALLS = {"made": 0, "most": float("inf")}

def score(x, target):
    if CALLS["made"] + len(x) > CALLS["most"]:
        raise KeyboardInterrupt
    CALLS["made"] += len(x)
    return -abs(x - target).max(axis=1)
"""


@pytest.fixture
def user(tmp_path, monkeypatch):
    """A module of the user's in the folder one works in, imported anew where its text is written."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(log, "_SECONDS_PER_PIECE", 0.0)  # one coalition at a time

    def write(text):
        (tmp_path / "users_score.py").write_text(text)
        monkeypatch.delitem(sys.modules, "users_score", raising=False)
        importlib.invalidate_caches()
        return importlib.import_module("users_score").CALLS

    return write


def test_what_an_interrupted_valuation_has_evaluated_is_kept(crowd, user, capsys):
    asked = ["value", crowd[1], "--target", "w0", "--score", "users_score:score", "--budget", 300]
    calls = user(SCORE)
    assert command(*asked, "--out", "whole") == 0
    total = calls["made"]
    calls.update(made=0, most=200)
    assert command(*asked, "--out", "v") == 130
    line = capsys.readouterr().err.splitlines()[-1]
    assert line == "crowd-sim: interrupted; what is done is kept: the same command goes on where it stopped"
    kept = {path: path.read_bytes() for path in Path("v").rglob("*.checkpoint")}
    assert {checked.state for checked in verify(Path("v"))} == {"whole"}
    calls.update(made=0, most=math.inf)
    assert command(*asked, "--out", "v") == 0
    assert calls["made"] == total - 200
    assert {path.name for path in Path("v").iterdir()} == {"values.parquet", "values.json", "values.png"}
    assert Path("v", "values.parquet").read_bytes() == Path("whole", "values.parquet").read_bytes()
    for changed in ({"--target": "w1"}, {}):  # another question, and another score of the same name
        for path, content in kept.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        if not changed:
            calls = user(SCORE.replace("abs(x", "2 * abs(x"))
        Path("v", "values.parquet").unlink()
        calls["made"] = 0
        assert command(*[changed.get(asked[i - 1], word) for i, word in enumerate(asked)], "--out", "v") == 0
        assert calls["made"] > 0.9 * total


def test_an_interruption_promises_only_what_is_so(monkeypatch, capsys):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("crowd_sim.commands.verify.verify", stop)
    with pytest.raises(SystemExit) as ended:
        main(["verify", "runs"])
    assert ended.value.code == 130
    assert capsys.readouterr().err == "crowd-sim: interrupted\n"
