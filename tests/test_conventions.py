"""What every command line is expected to have."""

import os
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


@pytest.mark.parametrize(("command", "place"), [("run", "crowd synthetic"), ("sweep", "4 points")])
@pytest.mark.parametrize("where", [IN_PROCESS, ()], ids=["in process", "Ray"])
def test_a_dry_run_says_what_would_be_and_does_nothing(command, place, where, capsys):
    assert call([command, f"{command[0]}.yaml".replace("r.yaml", "c.yaml"), "--dry-run", *where]) == 0
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
