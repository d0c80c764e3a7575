"""What fails around the work, not in it: each is one clear line, and the state in the folder is right."""

import errno
import io
import json
import os
import shutil
import stat
import sys
from pathlib import Path

import pytest

from crowd_sim.actors import cluster
from crowd_sim.cli.output import Output
from crowd_sim.commands import batches as commands
from crowd_sim.errors import ClusterError, RemovedError
from crowd_sim.files import append_lines
from crowd_sim.store.checkpointer import Checkpointer
from crowd_sim.store.run_log import read_status
from tests.bad_input.command import CONFIGURATION, IN_PROCESS, SWEEP, call, check_line


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    (folder / "run.yaml").write_text(CONFIGURATION)
    assert call(["run", str(folder / "run.yaml"), "--out", str(folder / "out"), *IN_PROCESS]) == 0
    return folder


@pytest.fixture
def here(tmp_path, monkeypatch, finished, capsys):
    """Works in a folder with run.yaml and a finished run, `out`."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    capsys.readouterr()
    return tmp_path


RUN = ["run", "run.yaml", "--out", "out", *IN_PROCESS]


@pytest.mark.parametrize("full", ["report.html", "figures/"])
@pytest.mark.parametrize("command", [["report", "out"], RUN])
def test_a_disk_that_is_full_while_the_report_is_drawn(here, monkeypatch, capsys, command, full):
    fsync = os.fsync

    def refuse(handle):
        if full in str(Path(f"/proc/self/fd/{handle}").readlink()).replace(".report", "report"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", refuse)
    assert call(command) == 1
    check_line(capsys.readouterr().err, ("crowd-sim: out/", "cannot be written (No space left on device)"))
    assert not list(here.rglob("*.part"))
    monkeypatch.undo()
    monkeypatch.chdir(here)
    assert call(["verify", "out"]) == 0


def test_figures_that_cannot_be_written(here, capsys):
    shutil.rmtree("out/figures")
    Path("out/figures").write_text("a file")
    assert call(["report", "out"]) == 1
    check_line(capsys.readouterr().err, ("out/figures", "cannot be written (File exists)"))


class Closed(io.StringIO):
    def __init__(self, number):
        super().__init__()
        self._error = OSError(number, os.strerror(number))

    def write(self, text):
        raise self._error


@pytest.mark.parametrize("number", [errno.EPIPE, errno.ENOSPC])
@pytest.mark.parametrize("command", [["run", "run.yaml", "--out", "new", *IN_PROCESS], ["configs"], ["status", "out"]])
def test_output_that_cannot_be_written_ends_no_work(here, monkeypatch, capsys, number, command):
    monkeypatch.setattr(sys, "stdout", Closed(number))
    assert call(command) == 1
    says = f"standard output cannot be written ({os.strerror(number)}); what was asked for is done all the same"
    check_line(capsys.readouterr().err, (says,))
    if command[0] == "run":
        assert read_status(here / "new").state == "finished"
        assert (here / "new" / "report.html").exists()


def test_output_is_let_go_once_it_has_failed():
    output = Output(Closed(errno.EPIPE))
    assert output.write("text") == 4
    output.write("more")
    assert output.failure() == "Broken pipe"
    assert Output(io.StringIO()).failure() == ""


@pytest.mark.parametrize("kind", ["run", "sweep"])
def test_a_folder_removed_during_the_work_is_not_made_anew(here, monkeypatch, capsys, kind):
    Path("sweep.yaml").write_text(SWEEP)
    removed = []

    def remove(usual):
        def once(*arguments, **others):
            shutil.rmtree("new")
            removed.append(1)
            return usual(*arguments, **others)

        return once

    if kind == "run":
        monkeypatch.setattr(Checkpointer, "after", remove(Checkpointer.after))
    else:
        monkeypatch.setattr(commands, "run_batch", remove(commands.run_batch))
    assert call([kind, f"{kind}.yaml", "--out", "new", *IN_PROCESS]) == 1
    line = capsys.readouterr().err
    check_line(line, ("new", "it was removed in the meantime", "the same command begins anew"))
    assert removed == [1]
    assert not Path("new").exists()


def test_a_run_whose_status_was_never_written(here, capsys):
    Path("out/status.json").unlink()
    assert call(["status", "out"]) == 0
    begun, goes_on = capsys.readouterr().out.splitlines()
    assert begun.startswith("out: begun, and nothing is known of it")
    assert goes_on == "`crowd-sim run --resume out` goes on"
    assert call(["run", "--resume", "out", *IN_PROCESS]) == 0
    status = read_status(here / "out")
    assert (status.state, status.stage, status.done) == ("finished", status.stage, status.total)
    assert status.stage != "start"


def test_a_log_on_a_full_disk_keeps_no_half_line(tmp_path, monkeypatch):
    log = tmp_path / "log.jsonl"
    append_lines(log, [{"event": "first"}])
    before = log.read_bytes()

    class Nearly(io.FileIO):
        def write(self, content):
            if len(content) < 30:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return super().write(content[:30])

    monkeypatch.setattr(Path, "open", lambda path, mode, **_: Nearly(path, mode.replace("b", "")))
    with pytest.raises(Exception, match=r"log\.jsonl cannot be written"):
        append_lines(log, [{"event": "second"}])
    assert log.read_bytes() == before
    assert json.loads(before)["event"] == "first"


def test_a_removed_folder_crosses_processes():
    error = RemovedError("out")
    assert str(error.__reduce__()[0](*error.__reduce__()[1])) == str(error)


@pytest.mark.parametrize(
    ("place", "says"),
    [("/" + "long" * 30, "must have at most"), ("/nowhere/at/all", "No such file or directory")],
)
def test_a_place_of_temporary_files_that_cannot_be_used(monkeypatch, place, says):
    monkeypatch.setenv("RAY_TMPDIR", place)
    with pytest.raises(ClusterError, match=says) as caught, cluster.private_folder():
        pass
    assert "\n" not in str(caught.value)
    assert "RAY_TMPDIR" in str(caught.value)


def test_a_local_ray_keeps_to_itself(tmp_path, monkeypatch):
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    asked = {}
    constants = cluster.ray_internals.ray_constants

    def start(**options):
        asked.update(options, loopback=constants.ENABLE_RAY_CLUSTER is False)

    monkeypatch.setattr(cluster.ray, "init", start)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    token = tmp_path / ".ray" / "auth_token"
    token.parent.mkdir()
    token.write_text("secret")
    token.chmod(0o644)
    with cluster.private_folder() as folder:
        assert stat.S_IMODE(Path(folder).parent.stat().st_mode) == 0o700
        cluster._init(None, cluster.Need(({"CPU": 1.0},)), folder)
        assert asked["_temp_dir"] == folder
    assert asked["loopback"]
    assert not Path(folder).parent.exists()
    assert stat.S_IMODE(token.stat().st_mode) == 0o600


def test_a_benchmark_without_its_packages_is_one_line(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "shap", None)
    assert call(["bench", "--runs", "1", "sweep.crowd.n_workers=[10]"]) == 2
    check_line(capsys.readouterr().err, ("bench: needs the packages shap", "pip install"))
