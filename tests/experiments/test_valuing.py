"""`crowd-sim value`: values of a finished run's crowd and of a file of vectors."""

import importlib
import math
import shutil
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import crowd_sim
from crowd_sim.cli.app import main
from crowd_sim.cli.status import is_at_work, status_lines
from crowd_sim.cli.value import _figures
from crowd_sim.commands.unfinished import at_work
from crowd_sim.commands.values_folder import _other_rule
from crowd_sim.commands.verify import verify
from crowd_sim.crowd.sources.synthetic import draw_population
from crowd_sim.errors import InputError, StorageError
from crowd_sim.files import read_facts
from crowd_sim.valuation import AveragingGame, RankStability, TargetError, log, shapley

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
    few = [
        {8000: 60, tmp_path / "v": tmp_path / "few"}.get(one, one) for one in arguments
    ]  # from 2^n on values are exact
    assert command("value", path, *few, "--target-error", 1e-6) == 0
    assert "target error was not reached" in " ".join(capsys.readouterr().out.split())


def test_the_table_says_of_what_it_is(crowd, tmp_path):
    _, path = crowd
    asked = ["--target", "w4", "--score", "l1", "--seed", 7, "--budget", 600, "--out", tmp_path / "v"]
    assert command("value", path, *asked) == 0
    facts = read_facts(tmp_path / "v" / "values.parquet")
    assert facts.pop("digest") == facts.pop("code")  # a score of ours: nobody's code
    assert facts.pop("evaluations") <= 600
    asked = {"score": "l1", "target": "w4", "workers": 12, "method": "stratified", "budget": 600, "seed": 7, "run": 0}
    assert facts == {**asked, "asked_method": "auto", "stop": None, "converged": None}


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
    for other, says in (
        (["--budget", 20_000], "budget 10,000, not 20,000"),
        (["--method", "exact", "--seed", 3], "method auto, not exact; seed 0, not 3"),
        (["--target-error", 0.1], "target error none, not 0.1"),
    ):
        assert command(*first, *other) == 2
        said = capsys.readouterr().err
        assert f"must be another folder: it holds values that were asked for otherwise ({says})" in said
        assert len(said.splitlines()) == 1
    assert (tmp_path / "runs" / "values-crowd" / "values.parquet").read_bytes() == kept
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
        (
            ["crowd.csv", "--target", "w1", "--score", "l3"],
            "--score = 'l3': must be one of l2, l1, dot, squared_l2, or user-defined as package.module:Name",
        ),
        (["crowd.csv", "--target", "w1", "--score", "slow:nope"], "--score = 'slow:nope': cannot be loaded"),
        (["crowd.csv", "--target", "w1", "--method", "magic"], "crowd-sim: --method = 'magic': must be one of"),
        (["crowd.csv", "--target", "w1", "--method", "closed_form"], "needs a game with a closed form"),
        (["nowhere.csv", "--target", "w1"], "crowd-sim: source = 'nowhere.csv': must be a file that exists"),
        (["crowd.csv", "--target", "w1", "--target", "w2"], "--target = 'w2': must be given once"),
        (["crowd.csv", "--target", "w1", "--run", "1"], "--run = 1: must be left out with a file"),
        (
            ["crowd.csv", "--target", "w1", "--budget", "9" * 20],
            "'--budget': must be a whole number from 1 to 1e12, such as 10000 or 1e4",
        ),
        (["crowd.csv", "--target", "twice.csv"], "--target = 'twice.csv': must have the crowd's features"),
        (["crowd.csv", "--target", "w1", "--target-error", "-1"], "crowd-sim: --target-error = -1.0: must be"),
        (["crowd.csv", "--target", "w1", "--method", "permutation", "--budget", 9], "crowd-sim: --budget = 9: must be"),
        (["empty"], "source = 'empty': must be a run's folder: it has no config.yaml"),
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
    assert [line.split(", ")[0] for line in status_lines(Path("v"))][:2] == [
        "v: interrupted",
        "evaluations: 200 of 300",
    ]
    kept = {path: path.read_bytes() for path in Path("v").rglob("*.checkpoint")}
    assert {checked.state for checked in verify(Path("v"))} == {"whole"}
    calls.update(made=0, most=math.inf)
    assert command(*asked, "--out", "v") == 0
    assert calls["made"] == total - 200
    assert {path.name for path in Path("v").iterdir()} == {"values.parquet", "values.json", "values.png"}
    assert Path("v", "values.parquet").read_bytes() == Path("whole", "values.parquet").read_bytes()
    capsys.readouterr()
    calls.update(made=0)
    assert command(*asked, "--out", "v") == 0  # the same question: read
    out = capsys.readouterr().out
    assert "v had these values before: they were read, nothing was evaluated again" in out
    assert calls["made"] == 0
    calls = user(SCORE.replace("abs(x", "3 * abs(x"))
    assert command(*asked, "--out", "v") == 2  # another score of the same name
    assert "otherwise (the score's code)" in capsys.readouterr().err
    calls = user(SCORE)
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


def test_a_user_s_score_is_called_as_it_was_named(crowd, user, capsys):
    user("CALLS = {}\n\ndef score(x, target):\n    return x\n")
    asked = ["value", crowd[1], "--target", "w0", "--score", "users_score:score", "--out", "v"]
    for words, says in (
        (["--method", "stratified"], "AveragingGame has the score users_score:score\n"),
        ([], "crowd-sim: --score = 'users_score:score': returned an array of shape"),
    ):
        assert command(*asked, *words) == 2
        assert says in capsys.readouterr().err


def test_a_user_s_score_that_fails_is_named_by_its_option(crowd, user, capsys):
    user("CALLS = {}\n\ndef score(x, target):\n    raise RuntimeError('no')\n")
    asked = ["value", crowd[1], "--target", "w0", "--score", "users_score:score", "--out", "v"]
    assert command(*asked) == 1
    *trace, line = capsys.readouterr().err.splitlines()
    assert line == "crowd-sim: --score = 'users_score:score' failed: RuntimeError('no')"
    assert trace[-1] == "RuntimeError: no"


def test_rules_that_are_no_target_errors_are_shown_as_they_are():
    first, second = repr(TargetError(0.1) & RankStability()), repr(TargetError(0.2))
    assert _other_rule(second, repr(TargetError(0.3))) == "target error 0.2, not 0.3"
    assert _other_rule(first, second) == f"stop {first}, not {second}"
    assert _other_rule(None, first) == f"stop none, not {first}"


def test_an_interruption_promises_only_what_is_so(monkeypatch, capsys):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("crowd_sim.commands.verify.verify", stop)
    with pytest.raises(SystemExit) as ended:
        main(["verify", "runs"])
    assert ended.value.code == 130
    assert capsys.readouterr().err == "crowd-sim: interrupted\n"


def test_values_that_are_read_are_those_that_were_written(crowd, tmp_path):
    people, _ = crowd
    asked = {"method": "permutation", "budget": 200, "stop": TargetError(relative=0.5), "out": tmp_path / "v"}
    first = crowd_sim.value(people.vectors, people.vectors[3] + 1, **asked)
    again = crowd_sim.value(people.vectors, people.vectors[3] + 1, **asked)
    pd.testing.assert_frame_equal(first.table, again.table)
    assert first.result.values.tobytes() == again.result.values.tobytes()
    assert first.result.stderr.tobytes() == again.result.stderr.tobytes()
    assert (first.result.converged, first.result.method) == (again.result.converged, again.result.method)
    assert again.result.evaluated is None


def test_how_far_values_are_is_said_of_their_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    folder = tmp_path / "runs" / "v"
    with suppress(KeyboardInterrupt), at_work(folder, 300) as told:
        assert not folder.exists()
        told(40)
        assert is_at_work(folder)
        assert next(status_lines(folder)).startswith(f"{folder}: running, process ")
        with pytest.raises(InputError, match="in which nobody is at work"), at_work(folder, 300) as other:
            other(0)
        raise KeyboardInterrupt
    assert not is_at_work(folder)
    lines = list(status_lines(folder))
    assert lines[0] == f"{folder}: interrupted"
    assert lines[1].startswith("evaluations: 40 of 300, ")
    assert lines[2] == "the same command begins anew: nothing is kept yet"
    with suppress(InputError), at_work(tmp_path / "refused", 300) as told:
        told(0)
        raise InputError("method", "x", "must be another")
    assert not (tmp_path / "refused").exists()
    crowd_sim.value(np.eye(4), np.ones(4), out="runs/w")
    assert next(iter(status_lines(Path("runs/w")))) == "runs/w: finished"
    with pytest.raises(SystemExit):
        main(["list"])
    rows = [line.split()[:3] for line in capsys.readouterr().out.splitlines() if "runs/" in line]
    assert sorted(rows) == [["runs/v", "values", "interrupted"], ["runs/w", "values", "finished"]]


def test_nobody_else_is_at_work_until_the_values_are_written(tmp_path, monkeypatch):
    def while_written(path, *_):
        assert is_at_work(path.parent)
        with pytest.raises(InputError, match="v': must be a folder in which nobody"), at_work(path.parent, 9) as told:
            told(0)
        raise StorageError(path.parent, "No space left on device")

    monkeypatch.setattr("crowd_sim.commands.values_folder.write_table", while_written)
    with pytest.raises(StorageError):
        crowd_sim.value(np.eye(4), np.ones(4), out=tmp_path / "v")
    lines = list(status_lines(tmp_path / "v"))
    assert lines[0].endswith("v: failed")
    assert lines[-1] == "the same command goes on from 16 evaluations"
    monkeypatch.undo()
    monkeypatch.setattr(
        "crowd_sim.commands.value.kept", lambda *_: None
    )  # as if it was looked at before they were there
    crowd_sim.value(np.eye(4), np.ones(4), out=tmp_path / "v")
    with pytest.raises(InputError, match="has these values by now, from another process"):
        crowd_sim.value(np.eye(4), np.ones(4), out=tmp_path / "v")


def test_what_a_full_disk_has_left_out_is_written_by_the_same_command(crowd, tmp_path, monkeypatch, capsys):
    def full(path, _):
        raise StorageError(path, "No space left on device")

    asked = ["value", crowd[1], "--target", "w1", "--budget", "2e2", "--out", tmp_path / "v"]
    monkeypatch.setattr("crowd_sim.report.style.write_atomically", full)
    assert command(*asked) == 1
    assert "No space left on device" in capsys.readouterr().err
    monkeypatch.undo()
    assert command(*asked) == 0
    assert {path.name for path in (tmp_path / "v").iterdir()} == {"values.parquet", "values.json", "values.png"}
    assert {checked.state for checked in verify(tmp_path / "v")} == {"whole"}


def test_a_damaged_folder_of_values_is_a_line_and_hides_no_other(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ("v", "w"):
        (tmp_path / name).mkdir()
    crowd_sim.value(np.eye(4), np.ones(4), out="v")
    Path("w", "values.json").write_text("{}")
    for words, status, says in (
        (["list", "."], 0, " v "),
        (["status", "w"], 2, "w/values.json: is damaged: it does not say of what"),
        (["watch", "v"], 2, "folder = 'v': must be the folder of a run, a sweep or a search: values have no report"),
    ):
        with pytest.raises(SystemExit) as ended:
            main(words)
        assert ended.value.code == status
        assert says in "".join(capsys.readouterr())


def test_who_is_interrupted_while_it_loads_is_promised_nothing(crowd, tmp_path, monkeypatch, capsys):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("crowd_sim.commands.value.of_people", stop)
    assert command("value", crowd[1], "--target", "w1", "--out", tmp_path / "v") == 130
    said = capsys.readouterr().err.splitlines()[-1]
    assert said == "crowd-sim: interrupted while it loaded: nothing has been done"
    assert not (tmp_path / "v").exists()
