"""Sweeps that were interrupted, folders that were damaged: nothing is lost, nothing is doubled, the bits stay the same."""

import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from crowd_sim.store.run_log import read_status
from tests.bad_input.command import CONFIGURATION, IN_PROCESS, SWEEP, call, snapshot

TABLES = ("points.parquet", "workers_sample.parquet")


@pytest.fixture
def sweep(tmp_path, monkeypatch):
    """Runs the sweep of a file into a folder; the tables' bytes."""
    monkeypatch.chdir(tmp_path)
    # names as people have them: spaces, other scripts, and what Arrow would take for an address
    Path("ein Lauf ü.yaml").write_text(SWEEP, newline="\r\n")

    def run(out: str, max_runs: int = 2) -> list[bytes]:
        arguments = ["sweep", "ein Lauf ü.yaml", f"actors.sweep.max_runs={max_runs}", "--out", out, *IN_PROCESS]
        assert call(arguments) == 0
        return [Path(out, name).read_bytes() for name in TABLES]

    return run


def test_a_truncated_part_is_set_aside_and_done_again(sweep):
    whole = sweep("mit Leerzeichen 日本")
    parts = sorted(Path("mit Leerzeichen 日本", "parts").glob("*/*.parquet"))
    assert [path.parent.name for path in parts] == ["points"] * 4 + ["runs"] * 4 + ["workers"] * 4
    damaged = [parts[0], parts[2], parts[5], parts[9]]
    for path in damaged:
        path.write_bytes(path.read_bytes()[:-40])
    damaged[1].write_bytes(b"")
    # in other batches than before: points may then have rows in two parts
    assert sweep("mit Leerzeichen 日本", max_runs=100) == whole
    aside = sorted(path.name for path in Path("mit Leerzeichen 日本", "damaged").iterdir())
    assert aside == sorted(f"{path.parent.name}-{path.name}" for path in damaged)


def test_a_finished_sweep_is_not_computed_again(sweep, monkeypatch):
    whole = sweep("a:b")
    monkeypatch.setattr("crowd_sim.commands.batches.run_batch", None)
    assert sweep("a:b") == whole


def test_the_same_command_mends_a_sweeps_log_and_removes_halves_of_files_that_are_nobodys(sweep, capsys):
    sweep("a")
    log, old, new = Path("a", "log-1-of-1.jsonl"), Path("a/parts/runs/.1.parquet.7.part"), Path("a/.b.7.part")
    first, *others = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(first.replace(b"started", b"stbrted") + b"".join(others))
    for path in (old, new):  # the newer one may be another shard's, which has just begun
        path.write_bytes(b"half")
    os.utime(old, (0, 0))
    sweep("a")
    assert log.read_bytes().startswith(b"".join(others))
    assert Path("a", "log-1-of-1.jsonl.damaged").read_bytes() == first.replace(b"started", b"stbrted")
    assert (old.exists(), new.exists()) == (False, True)
    os.utime(new, (0, 0))
    with Path("a", "status-2-of-2.lock").open("a") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        sweep("a")
        assert new.exists()
    sweep("a")
    assert call(["verify", "a"]) == 0
    assert "log-1-of-1.jsonl.damaged: set aside" in capsys.readouterr().out


def test_an_interrupted_sweep_goes_on_where_it_stopped(sweep, monkeypatch, capsys):
    whole = sweep("whole")
    from crowd_sim.commands import batches as sweeping

    batches, run_batch = [], sweeping.run_batch

    def interrupted(plan, batch, *rest):
        if len(batches) == 2:
            raise KeyboardInterrupt
        batches.append(batch)
        return run_batch(plan, batch, *rest)

    monkeypatch.setattr(sweeping, "run_batch", interrupted)
    capsys.readouterr()
    assert call(["sweep", "ein Lauf ü.yaml", "actors.sweep.max_runs=2", "--out", "broken", *IN_PROCESS]) == 130
    assert capsys.readouterr().err.strip() == (
        "crowd-sim: interrupted; what is done is kept: the same command goes on where it stopped"
    )
    before = snapshot(Path("broken", "parts"))
    assert sum(content is not None for content in before.values()) == 6
    batches.clear()
    monkeypatch.setattr(
        sweeping, "run_batch", lambda plan, batch, *rest: batches.extend(batch) or run_batch(plan, batch, *rest)
    )
    assert sweep("broken") == whole
    assert len(batches) == 2
    assert before.items() <= snapshot(Path("broken", "parts")).items()


def test_a_swept_list_becomes_text_in_the_tables(sweep):
    ranges = "sweep.tournament.initial_range=[[0,1],[0,5]]"
    assert call(["sweep", "ein Lauf ü.yaml", ranges, "--out", "ranges", *IN_PROCESS]) == 0
    points = pd.read_parquet(Path("ranges", "points.parquet"))
    assert points["tournament.initial_range"].tolist() == ["[0, 1]", "[0, 5]"] * 4


def test_a_run_in_its_own_folder_writes_the_same_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("c.yaml").write_text(CONFIGURATION)
    Path("out").mkdir()
    Path("out", ".config.yaml.123.part").write_text("left by a process that was killed")
    tables = []
    for _ in range(2):
        assert call(["run", "c.yaml", "--out", "out", *IN_PROCESS]) == 0
        tables.append([path.read_bytes() for path in sorted(Path("out").glob("*.parquet"))])
    assert tables[0] == tables[1]


def test_people_are_read_again_where_their_file_has_changed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("c.yaml").write_text(CONFIGURATION)
    arguments = ["run", "c.yaml", "crowd.source=vectors", "crowd.path=v.csv", *IN_PROCESS]
    Path("v.csv").write_text("a\n" + "".join(f"{i}\n" for i in range(9)))
    assert call(arguments) == 0
    Path("v.csv").write_text("a\n" + "".join(f"{i}\n" for i in range(9)) + "nan\n")
    assert call(arguments) == 2


def test_a_run_is_not_gone_on_with_under_other_people_or_another_configuration(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("c.yaml").write_text(CONFIGURATION)
    Path("v.csv").write_text("a\n" + "".join(f"{i}\n" for i in range(9)))
    assert call(["run", "c.yaml", "crowd.source=vectors", "crowd.path=v.csv", "--out", "out", *IN_PROCESS]) == 0
    Path("v.csv").write_text("a\n" + "".join(f"{i}\n" for i in range(1, 10)))
    capsys.readouterr()
    assert call(["run", "--resume", "out", *IN_PROCESS]) == 2
    assert "the people its configuration names are not those of the run any more" in capsys.readouterr().err
    config = Path("out", "config.yaml")
    lines = [line for line in config.read_text().splitlines() if not line.startswith(("format:", "digest:"))]
    config.write_text("\n".join(lines).replace("n_groups: 2", "n_groups: 3") + "\n")
    for command in ("report", "verify"):
        assert call([command, "out"]) == 2
    out, error = capsys.readouterr()
    assert "out/config.yaml: is damaged: its lines format and digest are gone" in error
    assert "config.yaml" in out


def test_the_same_command_mends_a_damaged_log_and_removes_halves_of_files(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("c.yaml").write_text(CONFIGURATION)
    command = ["run", "c.yaml", "--out", "out", *IN_PROCESS]
    assert call(command) == 0
    log = Path("out", "log.jsonl")
    first, *others = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(first.replace(b"started", b"stbrted") + b"".join(others))
    Path("out", "checkpoints", ".round-00000001.checkpoint.1.part").write_bytes(b"half")
    assert call(["verify", "out"]) == 2
    assert call(command) == 0
    assert log.read_bytes() == b"".join(others)
    assert Path("out", "log.jsonl.damaged").read_bytes() == first.replace(b"started", b"stbrted")
    assert not list(Path("out").rglob(".*.part"))
    assert call(["verify", "out"]) == 0
    assert "log.jsonl.damaged: set aside" in capsys.readouterr().out


def test_output_that_cannot_be_shown_fails_nothing(tmp_path):
    (tmp_path / "c.yaml").write_text(CONFIGURATION)
    command = [sys.executable, "-m", "crowd_sim.cli.app", "run", "c.yaml", "--out", "out", *IN_PROCESS]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_run_in_one_line_with_its_last_checkpoint(tmp_path, how):
    (tmp_path / "c.yaml").write_text(CONFIGURATION)
    command = [sys.executable, "-m", "crowd_sim.cli.app", "run", "c.yaml", "tournament.rounds=1000000", "--out", "out"]
    running = subprocess.Popen([*command, *IN_PROCESS], cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    patience = time.monotonic() + 60
    while not list((tmp_path / "out").glob("checkpoints/*")) and time.monotonic() < patience:
        time.sleep(0.05)
    running.send_signal(how)
    _, stderr = running.communicate(timeout=60)
    assert running.returncode == 130
    assert stderr.strip().splitlines() == [
        "crowd-sim: interrupted; what is done is kept: the same command goes on where it stopped"
    ]
    status = read_status(tmp_path / "out")
    assert status.state == "interrupted"
    assert status.checkpoint is not None
