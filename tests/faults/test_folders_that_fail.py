"""Drivers that die and disks that fail: the run goes on from its folder, with the same result."""

import errno
import fcntl
import hashlib
import json
import os
import pickle
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest
import yaml

import crowd_sim
from crowd_sim.cli.app import main
from crowd_sim.errors import InputError, StorageError
from crowd_sim.files import read_config, write_sealed
from crowd_sim.integrity import read_json, sealed_yaml
from crowd_sim.store.checkpoint import Checkpoint, Checkpoints, checksum_of
from crowd_sim.store.checkpointer import Checkpointer
from crowd_sim.store.lock import RUN, lock
from crowd_sim.store.run_log import RunLog, read_status
from experiments.bench.processes import family
from tests.bad_input.command import IN_PROCESS, call, check_line, snapshot
from tests.faults.programs import ENVIRONMENT, program
from tests.runs import config, digest, simulated, tables, written


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
    return sorted(path.name for path in (folder / "out" / "checkpoints").glob("round-*"))


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
    assert call(["run", "--resume", "out", "--trust", *IN_PROCESS]) == 0
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
    command = [sys.executable, "-m", "crowd_sim.cli.app", *arguments(*more, slow=True)]
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
    assert call(["run", "--resume", "out", "--trust", *IN_PROCESS]) == 0
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
    longer = ["run", "--resume", "out", "--trust", "tournament.rounds=15", *IN_PROCESS]
    assert call(longer) == 2
    assert "results of another configuration" in capsys.readouterr().err
    for change, says in (("tournament.rounds=11", "at least 12"), ("seed=4", "seed: cannot be changed")):
        assert call(["run", "--resume", "out", "--trust", change, "--accept-changes", *IN_PROCESS]) == 2
        assert says in capsys.readouterr().err
    assert call([*longer, "--accept-changes"]) == 0
    assert read_status(folder / "out").resumed_from == 12
    lineage = yaml.safe_load(Path("out", "config.yaml").read_text())["lineage"]
    assert [step["round"] for step in lineage] == [12]
    # it goes on as it was told, and is no folder of the configuration alone
    assert call(["run", "--resume", "out", "--trust", *IN_PROCESS]) == 0
    assert call(arguments("tournament.rounds=15", *IN_PROCESS)) == 0
    assert call(arguments(*IN_PROCESS)) == 2


def test_a_refused_command_changes_nothing_in_the_folder_of_a_run_that_is_alive(folder, capsys):
    assert call(arguments(*IN_PROCESS)) == 0
    before = snapshot(folder / "out")
    with lock(folder / "out" / RUN):
        for more in (["tournament.rounds=15", "--accept-changes"], ["actors.crowd.number=1"]):
            assert call(["run", "--resume", "out", "--trust", *more, *IN_PROCESS]) == 2
            check_line(capsys.readouterr().err, ["must be a folder in which nobody is at work"])
        with pytest.raises(InputError, match="nobody is at work"):
            crowd_sim.run(crowd_sim.load_config("out/config.yaml", ["actors.crowd.number=1"], trust=True), "out")
    assert snapshot(folder / "out") == before


def test_a_finished_run_given_again_plays_no_round_and_values_nothing(folder, capsys, monkeypatch):
    assert call(arguments(*IN_PROCESS)) == 0
    capsys.readouterr()
    before = {path.name: path.read_bytes() for path in Path("out").glob("*.parquet")}
    told = ("summary.json", "status.json", "timing.json", "log.jsonl", "config.yaml")
    recorded = {name: Path("out", name).read_bytes() for name in told}

    def never(*_, **__):
        raise AssertionError("must not be called")

    monkeypatch.setattr("crowd_sim.engine.play", never)
    monkeypatch.setattr("crowd_sim.valuing.shapley_many", never)
    monkeypatch.setattr("crowd_sim.actors.cluster.connected", never)
    again = ["run", "--resume", "out", "--trust"]
    for command in (arguments(*IN_PROCESS), [*again, *IN_PROCESS], again):
        assert call(command) == 0
        assert "Shapley" in capsys.readouterr().out
    assert {path.name: path.read_bytes() for path in Path("out").glob("*.parquet")} == before
    assert {name: Path("out", name).read_bytes() for name in told} == recorded
    status = read_status(folder / "out")
    assert (status.state, status.stage, status.done) == ("finished", "games", status.total)
    assert status.resumed_from is None


@pytest.mark.parametrize("finished", [True, False])
def test_a_folder_of_an_earlier_version_opens_but_is_not_gone_on_with(finished, folder, capsys):
    assert call(arguments(*IN_PROCESS)) == 0
    content = yaml.safe_load(Path("out", "config.yaml").read_text())
    assert content.pop("format") == 3
    content.pop("digest")
    content["versions"]["crowd-sim"] = "0.0.1"
    Path("out", "config.yaml").write_text(yaml.safe_dump(content))
    told = json.loads(Path("out", "summary.json").read_text())  # it had no seals, either
    Path("out", "summary.json").write_text(json.dumps({k: told[k] for k in told if k not in ("format", "digest")}))
    if finished:
        assert call(["report", "out"]) == 0
        assert len(pd.read_parquet(Path("out", "workers.parquet"))) == 120
    else:
        Path("out", "summary.json").unlink()
    assert call(["status", "out"]) == 0
    before = snapshot(folder / "out")
    capsys.readouterr()
    for command in (
        arguments(*IN_PROCESS),
        ["run", "--resume", "out", "--trust", *IN_PROCESS],
        ["run", "--resume", "out", "--trust", "tournament.rounds=15", "--accept-changes", *IN_PROCESS],
    ):
        assert call(command) == 2
        check_line(capsys.readouterr().err, ["--out = 'out'", "an earlier version (crowd-sim 0.0.1, format 1, not 3)"])
    with pytest.raises(InputError, match="an earlier version"):
        crowd_sim.run(crowd_sim.load_config("out/config.yaml", trust=True), "out")
    assert snapshot(folder / "out") == before


def test_a_folder_of_something_else_gets_no_lock(folder, capsys):
    Path("other").mkdir()
    Path("other", "config.yaml").write_text(sealed_yaml("fingerprint: abc\n"))
    before = snapshot(folder)
    assert call(arguments(*IN_PROCESS, out="other")) == 2
    assert "results of another configuration" in capsys.readouterr().err
    assert snapshot(folder) == before
    Path("left").mkdir()
    Path("left", RUN).touch()  # by a process that was killed before it had written anything else
    assert call(arguments(*IN_PROCESS, out="left")) == 0


def unusable(folder, round_number, fingerprint=None):
    """A whole checkpoint whose content is another version's, or one of another fingerprint."""
    fingerprint = fingerprint or read_config(folder / "out")["fingerprint"]
    Checkpoints(folder / "out", fingerprint).write(Checkpoint(round_number, b"of another version"))
    return f"round-{round_number:08d}.unusable"


def test_checkpoints_that_cannot_be_used_are_set_aside_and_new_ones_kept(folder, expected):
    assert call(arguments(*IN_PROCESS)) == 0
    aside = sorted([unusable(folder, 12), unusable(folder, 11, "another"), unusable(folder, 10)])
    Path("out", "summary.json").unlink()
    after, seen = Checkpointer.after, []

    def killed(self, course):
        after(self, course)
        seen.append((course.state.round, checkpoints(folder)))
        if course.state.round == 7:
            raise ZeroDivisionError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpointer, "after", killed)
        patch.setattr(Checkpointer, "stopped", lambda *_: None)
        with pytest.raises(ZeroDivisionError):
            main(["run", "--resume", "out", "--trust", *IN_PROCESS])
    assert seen[0] == (1, aside)
    assert checkpoints(folder) == ["round-00000004.checkpoint", "round-00000006.checkpoint", *aside]
    assert call(["run", "--resume", "out", "--trust", *IN_PROCESS]) == 0
    assert read_status(folder / "out").resumed_from == 6
    assert tables(folder / "out") == expected
    log = [json.loads(line) for line in Path("out", "log.jsonl").read_text().splitlines()]
    assert [line["round"] for line in log if line["event"] == "checkpoint unusable"] == [12, 10]


class Bomb:
    def __reduce__(self):
        return Path.touch, (Path("boom"),)


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize(
    "bomb", [pickle.dumps(Bomb()), pickle.dumps(({"round": 12, "memory": Bomb()}, {}))], ids=["alone", "in a state"]
)
def test_a_crafted_checkpoint_runs_nothing(number, bomb, folder, expected):
    """With the right beginning, checksum and fingerprint, of the format that was pickled and of this one."""
    assert call(arguments(*IN_PROCESS)) == 0
    body = read_config(folder / "out")["fingerprint"].encode() + b"\n" + bomb
    checksum = hashlib.sha256(body).hexdigest() if number < 3 else checksum_of("round-00000012", body).decode()
    head = f"crowd-sim checkpoint {number} {checksum}\n".encode()
    Path("out", "checkpoints", "round-00000012.checkpoint").write_bytes(head + body)
    Path("out", "summary.json").unlink()
    for command in (["status", "out"], ["run", "--resume", "out", "--trust", *IN_PROCESS]):
        assert call(command) == 0
    assert "round-00000012.unusable" in checkpoints(folder)
    assert not Path("boom").exists()
    assert tables(folder / "out") == expected
    assert read_status(folder / "out").resumed_from == 10


def test_a_checkpoint_costs_no_later_one(tmp_path):
    """Also where nobody has heard yet that the later ones are unusable, as a manager on Ray died before it could tell."""
    kept = Checkpoints(tmp_path, "print")
    for round_number in (28, 30, 2, 4, 6):
        kept.write(Checkpoint(round_number, b""))
    names = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert names == [f"round-{round_number:08d}.checkpoint" for round_number in (4, 6, 28, 30)]


def test_status_of_a_dead_run_looks_where_it_goes_on(folder, capsys):
    assert call(arguments(*IN_PROCESS)) == 0
    said = Path("out", "status.json")
    # the last word was written long before it died, and the last checkpoint is damaged
    write_sealed(said, {**read_json(said), "state": "running", "checkpoint": 4})
    flip(folder / "out" / "checkpoints" / checkpoints(folder)[-1])
    before = snapshot(folder)
    capsys.readouterr()
    assert call(["status", "out"]) == 0
    told = capsys.readouterr().out.splitlines()
    kept = read_status(folder / "out").evaluations
    assert kept == 2 * 399  # of two runs' games, within their budget of 400
    assert f"last checkpoint: round 10 and {kept} evaluations" in told
    assert told[-1] == f"`crowd-sim run --resume out --trust` goes on from round 10 and {kept} evaluations"
    assert snapshot(folder) == before
    assert call(["run", "--resume", "out", "--trust", *IN_PROCESS]) == 0
    assert read_status(folder / "out").resumed_from == 10


def test_status_of_a_run_of_another_user(folder, monkeypatch, capsys):
    """Whose files may be read, but not written."""
    assert call(arguments(*IN_PROCESS)) == 0
    said = Path("out", "status.json")
    write_sealed(said, {**read_json(said), "state": "running"})
    usual, readable = Path.open, ["out/run.lock", "out/status.json", "out/config.yaml"]

    def as_another_user(path, mode="r", *args, **options):
        if set(mode) & set("wax+") or (str(path).startswith("out/") and str(path) not in readable):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return usual(path, mode, *args, **options)

    monkeypatch.setattr(Path, "open", as_another_user)
    with lock_as_owner(usual):
        assert call(["status", "out"]) == 0
        assert "out: running, process " in capsys.readouterr().out
    assert call(["status", "out"]) == 0
    assert "out: dead: process " in capsys.readouterr().out
    readable.clear()
    assert call(["status", "out"]) == 2
    check_line(capsys.readouterr().err, ["must be a folder that you can read (Permission denied)"])


@contextmanager
def lock_as_owner(usual):
    with usual(Path("out", RUN), "a") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield


def test_a_log_that_cannot_be_written_stops_the_run_in_one_line(folder, capsys):
    Path("out").mkdir()
    assert call(arguments(*IN_PROCESS)) == 0
    Path("out", "status.json").unlink()  # of a run that has finished nothing would be logged
    Path("out", "log.jsonl").unlink()
    Path("out", "log.jsonl").symlink_to("/dev/full")
    capsys.readouterr()
    assert call(arguments(*IN_PROCESS)) == 1
    check_line(capsys.readouterr().err, ["crowd-sim: out/log.jsonl cannot be written (No space left on device)"])


def test_a_log_that_cannot_be_written_hides_no_error(tmp_path):
    log = tmp_path / "log.jsonl"
    (tmp_path / "config.yaml").touch()

    def full(error=None):
        log.unlink(missing_ok=True)
        with RunLog(tmp_path, "print", 1):
            log.unlink()
            log.symlink_to("/dev/full")
            if error:
                raise error

    with pytest.raises(StorageError, match=r"log.jsonl cannot be written \(No space left"):
        full()
    with pytest.raises(ValueError, match="the first"):
        full(ValueError("the first"))


def test_status_of_what_is_no_run(folder, capsys):
    assert call(["status", "."]) == 2
    assert "in which a run has been started" in capsys.readouterr().err


def test_a_shard_killed_for_want_of_memory(tmp_path):
    setup = config("behaviour", 1, crowd__behaviour="tests.faults.trouble:lazy", valuation__method="none")
    ((found, memory, others),) = program("little_memory", str(tmp_path))
    assert found == digest(written(simulated(setup), tmp_path / "plain"))
    # one was planned; the monitor watches the whole machine, and may kill once more before it sees what that has freed
    assert int(memory) >= 1
    assert others == "0"
