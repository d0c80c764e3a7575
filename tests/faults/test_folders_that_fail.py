"""Drivers that die and disks that fail: the run goes on from its folder, with the same result."""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from crowd_sim.results.record import read_status
from experiments.bench.processes import family
from tests.bad_input.command import IN_PROCESS, call
from tests.runs import KINDS, config, digest, simulated, tables, written

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}


def arguments(*more, out="out", slow=False):
    behaviour = [f"crowd.behaviour=tests.faults.trouble:{'slow' if slow else 'one_by_one'}"]
    return ["run", "c.yaml", *behaviour, "--out", out, *more]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Works in an empty folder with a configuration, c.yaml."""
    monkeypatch.chdir(tmp_path)
    content = config("behaviour", 2, actors__checkpoints__rounds=2).model_dump(mode="json")
    Path("c.yaml").write_text(yaml.safe_dump(content))
    return tmp_path


@pytest.fixture
def expected(folder):
    assert call(arguments(*IN_PROCESS, out="whole")) == 0
    return tables(folder / "whole")


def checkpoints(folder):
    return sorted(path.name for path in (folder / "out" / "checkpoints").iterdir())


def cut(path):
    path.write_bytes(path.read_bytes()[:-100])


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [cut, flip])
@pytest.mark.parametrize(("which", "resumed"), [([-1], 10), ([-1, -2], None)], ids=["last", "both"])
def test_a_damaged_checkpoint_is_set_aside(damage, which, resumed, folder, expected):
    assert call(arguments(*IN_PROCESS)) == 0
    assert checkpoints(folder) == ["round-00000010.checkpoint", "round-00000012.checkpoint"]
    for i in which:
        damage(folder / "out" / "checkpoints" / checkpoints(folder)[i])
    for name in ("rounds.parquet", "workers.parquet"):
        damage(folder / "out" / name)
    assert call(["run", "--resume", "out", *IN_PROCESS]) == 0
    assert tables(folder / "out") == expected
    assert read_status(folder / "out").resumed_from == resumed
    assert sum(name.endswith(".damaged") for name in checkpoints(folder)) == len(which)


def test_a_full_disk_stops_the_run_in_one_line_and_loses_nothing(folder, expected, monkeypatch, capsys):
    fsync, written = os.fsync, []

    def full(file):
        if ".checkpoint" in str(Path(f"/proc/self/fd/{file}").readlink()):
            written.append(file)
            if len(written) > 3:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(file)

    monkeypatch.setattr(os, "fsync", full)
    capsys.readouterr()
    assert call(arguments(*IN_PROCESS)) == 1
    error = capsys.readouterr().err.strip()
    assert error.startswith("crowd-sim: out/checkpoints/round-00000008.checkpoint cannot be written (No space left")
    assert len(error.splitlines()) == 1
    assert checkpoints(folder) == ["round-00000004.checkpoint", "round-00000006.checkpoint"]
    monkeypatch.setattr(os, "fsync", fsync)
    assert call(arguments(*IN_PROCESS)) == 0
    assert tables(folder / "out") == expected
    assert read_status(folder / "out").resumed_from == 6


def started(*more):
    command = [sys.executable, "-m", "experiments.cli", *arguments(*more, slow=True)]
    return subprocess.Popen(command, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True)


def wait_for_checkpoint(folder, running):
    patience = time.monotonic() + 200
    while not any((folder / "out").glob("checkpoints/*.checkpoint")):
        assert running.poll() is None, running.stderr.read()
        assert time.monotonic() < patience
        time.sleep(0.02)


def test_a_driver_killed_with_9_is_resumed(folder, capsys):
    whole = arguments(*IN_PROCESS, out="whole", slow=True)
    assert call(whole) == 0
    running = started(*IN_PROCESS)
    wait_for_checkpoint(folder, running)
    assert read_status(folder / "out").state == "running"
    assert call(arguments(*IN_PROCESS, slow=True)) == 2  # two at once would be one too many
    assert "in which nobody is at work" in capsys.readouterr().err
    running.kill()
    running.wait()
    running.stderr.close()
    assert read_status(folder / "out").state == "dead"
    assert call(["status", "out"]) == 0
    assert "ended without a word" in capsys.readouterr().out
    assert call(["run", "--resume", "out", *IN_PROCESS]) == 0
    assert tables(folder / "out") == tables(folder / "whole")
    assert read_status(folder / "out").resumed_from >= 2


def is_alive(pid):
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


def test_ctrl_c_on_ray_leaves_no_process_and_a_run_that_goes_on(folder):
    assert call(arguments(*IN_PROCESS, out="whole", slow=True)) == 0
    running = started("actors.crowd.number=1", "actors.evaluators.number=1", "actors.trainers.number=1")
    wait_for_checkpoint(folder, running)
    started_by_it = family(running.pid)
    assert len(started_by_it) > 3
    running.send_signal(signal.SIGINT)
    _, error = running.communicate(timeout=60)
    assert running.returncode == 130
    assert error.splitlines()[-1].startswith("crowd-sim: interrupted; what is done is kept")
    patience = time.monotonic() + 20
    while any(map(is_alive, started_by_it)):
        assert time.monotonic() < patience
        time.sleep(0.1)
    assert read_status(folder / "out").state == "interrupted"
    assert call(arguments(*IN_PROCESS, slow=True)) == 0
    assert tables(folder / "out") == tables(folder / "whole")


def test_changes_are_refused_unless_told(folder, capsys):
    assert call(arguments(*IN_PROCESS)) == 0
    longer = ["run", "--resume", "out", "tournament.rounds=15", *IN_PROCESS]
    assert call(longer) == 2
    assert "results of another configuration" in capsys.readouterr().err
    for change, says in (("tournament.rounds=11", "at least 12"), ("seed=4", "seed: cannot be changed")):
        assert call(["run", "--resume", "out", change, "--accept-changes", *IN_PROCESS]) == 2
        assert says in capsys.readouterr().err
    assert call([*longer, "--accept-changes"]) == 0
    assert read_status(folder / "out").resumed_from == 12
    lineage = yaml.safe_load(Path("out", "config.yaml").read_text())["lineage"]
    assert [step["round"] for step in lineage] == [12]
    # it goes on as it was told, and is no folder of the configuration alone
    assert call(["run", "--resume", "out", *IN_PROCESS]) == 0
    assert call(arguments("tournament.rounds=15", *IN_PROCESS)) == 0
    assert call(arguments(*IN_PROCESS)) == 2


def test_status_of_what_is_no_run(folder, capsys):
    assert call(["status", "."]) == 2
    assert "in which a run has been started" in capsys.readouterr().err


def program(name, *more):
    done = subprocess.run(
        [sys.executable, "-m", f"tests.faults.{name}", *more],
        cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=250,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return [
        line.split()[1:] for line in done.stdout.splitlines() if line.startswith("result ")
    ]  # Ray has its say there, too


def test_runs_of_every_kind_on_three_nodes_one_of_which_is_lost_in_the_end(tmp_path):
    plain = {kind: digest(written(simulated(config(kind)), tmp_path / f"plain-{kind}")) for kind in KINDS}
    *calm, (shaken, found, on_it, failed, replaced) = program("three_nodes", str(tmp_path))
    assert calm == [[kind, plain[kind], "3"] for kind in KINDS]
    assert (shaken, found) == ("shaken", plain["behaviour"])
    assert int(on_it) >= 1
    assert on_it == failed == replaced


def test_a_shard_killed_for_want_of_memory(tmp_path):
    setup = config("behaviour", 1, crowd__behaviour="tests.faults.trouble:lazy", valuation__method="none")
    ((found, memory, others),) = program("little_memory", str(tmp_path))
    assert found == digest(written(simulated(setup), tmp_path / "plain"))
    # one was planned; the monitor watches the whole machine, and may kill once more before it sees what that has freed
    assert int(memory) >= 1
    assert others == "0"
