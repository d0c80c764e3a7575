"""What every command line is expected to have."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import crowd_sim
from tests.bad_input.command import CONFIGURATION, IN_PROCESS, SWEEP, call


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("c.yaml").write_text(CONFIGURATION)
    Path("s.yaml").write_text(SWEEP)


def test_the_version_is_told_everywhere(capsys):
    assert call(["--version"]) == 0
    assert capsys.readouterr().out == f"crowd-sim {crowd_sim.__version__}\n"


@pytest.mark.parametrize("arguments", [["-h"], ["run", "-h"], ["data", "movielens", "-h"]])
def test_help_by_a_letter(arguments, capsys):
    assert call(arguments) == 0
    assert "Usage: crowd-sim" in capsys.readouterr().out


def test_a_shell_completes(capsys, monkeypatch):
    for name, value in {
        "_CROWD_SIM_COMPLETE": "complete_bash",
        "COMP_WORDS": "crowd-sim re",
        "COMP_CWORD": "1",
    }.items():
        monkeypatch.setenv(name, value)
    call([])
    assert capsys.readouterr().out.split() == ["report"]
    assert os.environ["COMP_CWORD"] == "1"


SEARCHED = ("search.metric=final_distance", "search.tournament.step=[0.1,0.2]")


@pytest.mark.parametrize(
    ("command", "place"),
    [
        (("run", "c.yaml"), "crowd synthetic"),
        (("sweep", "s.yaml"), "4 points"),
        (("search", "c.yaml", *SEARCHED), "30 trials of tournament.step (minimize final_distance), 3 held-out seeds"),
    ],
    ids=["run", "sweep", "search"],
)
@pytest.mark.parametrize("where", [IN_PROCESS, ()], ids=["in process", "Ray"])
def test_a_dry_run_says_what_would_be_and_does_nothing(command, place, where, capsys):
    if command[0] == "search":
        pytest.importorskip("optuna")
    assert call([*command, "--dry-run", *where]) == 0
    out = capsys.readouterr().out
    lines = [line.partition(":")[0] for line in out.splitlines()]
    assert lines == ["would run", "on", "into", "how long"]
    assert place in out
    assert ("in this process" if where else "at least") in out
    assert not Path("runs").exists()


def test_a_dry_run_names_who_is_bad_and_what_is_done_about_it(capsys):
    fields = [
        "crowd.bad.behaviour=corner",
        "crowd.bad.share=0.3",
        "tournament.audits=2",
        "tournament.reward=calibrated",
    ]
    fields += ["screens.action=exclude", "payment.rule=points", "runs=1", "tournament.rounds=10"]
    assert call(["run", "quickstart", "--dry-run", *IN_PROCESS, *fields]) == 0
    assert ", 0.3 of them corner, audits 2, screens exclude, paid by points; " in capsys.readouterr().out


def test_quiet_says_nothing_and_list_tells_of_it(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "150")
    assert call(["run", "c.yaml", "--quiet", "--out", "runs/r", *IN_PROCESS]) == 0
    assert call(["sweep", "s.yaml", "-q", "--out", "runs/s", "sweep.tournament.score=[dot]", *IN_PROCESS]) == 0
    assert capsys.readouterr().out == ""
    assert call(["list"]) == 0
    rows = [line.split()[:3] for line in capsys.readouterr().out.splitlines() if "runs/" in line]
    assert call(["run", "c.yaml", "--out", "runs/r", *IN_PROCESS]) == 0  # finished: read
    told = [
        line for line in capsys.readouterr().out.splitlines() if not line.startswith(("load:", "start:", "report:"))
    ]
    assert told[0].strip().startswith("Who was worth what")
    assert sorted(rows) == [["runs/r", "run", "finished"], ["runs/s", "sweep", "finished"]]


def test_whoever_looks_at_a_folder_waits_for_no_engine():
    code = "import sys, crowd_sim.cli.status, crowd_sim.cli.listing, crowd_sim.commands.verify; print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"numba", "pandas", "pydantic"} & {*found}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (["--tracker", "nope"], "--tracker = 'nope': must be one of tensorboard"),
        (["task.kind=imitate", "crowd.source=example_feedback", "task.model=./nowhere"], "task.model = './nowhere'"),
    ],
)
def test_a_dry_run_refuses_what_the_run_would(changes, says, capsys):
    given = ["llm_quickstart" if "task" in changes[0] else "c.yaml", *changes]
    assert call(["run", *given, "--dry-run", *IN_PROCESS]) == 2
    assert says in capsys.readouterr().err
