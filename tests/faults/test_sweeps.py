"""Sweeps under faults: counts are exact, nothing is lost, nothing is doubled, and what comes out in the end is the same."""

import errno
import io
import json
import os
import re
from collections import Counter
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import ray
from ray.exceptions import NodeDiedError
from rich.console import Console

from crowd_sim import files
from crowd_sim.actors.failure import Failure
from crowd_sim.actors.run_metrics import RunMetrics
from crowd_sim.actors.sweep import _after, _Work
from crowd_sim.cli.status import status_lines
from crowd_sim.cli.sweep import sweep as sweep_command
from crowd_sim.commands import IN_PROCESS
from crowd_sim.commands import sweep as sweeping
from crowd_sim.config import FailureConfig
from crowd_sim.errors import ClusterError, InputError, StorageError
from crowd_sim.store.lock import is_locked, lock
from crowd_sim.sweeps.log import SweepRecord, lock_of
from crowd_sim.sweeps.plan import Sweep
from tests.faults.clock import Clock
from tests.faults.processes import alive, gone

# four batches of four points, each of one size of crowd
CONTENT = {
    "crowd": {"n_workers": 8},
    "tournament": {"rounds": 1, "n_groups": 2, "grouping": "tests.faults.callbacks:grouping"},
    "valuation": {"method": "none"},
    "actors": {"sweep": {"max_runs": 4, "cpus": 1}},
    "sweep": {"seed": [0, 1, 2, 3], "crowd": {"n_workers": [8, 9, 10, 12]}},
}
SIZES = [8, 9, 10, 12]
ONE_BATCH = {**CONTENT, "sweep": {"crowd": {"n_workers": SIZES}}}


def sweep(folder, content=CONTENT, address=None, **options):
    console = Console(file=io.StringIO())
    swept = sweep_command(Sweep.parse(content), "test", folder, address, console, **options)
    return swept, console.file.getvalue()


@pytest.fixture
def on_ray(local_ray, monkeypatch):
    """The session's Ray in the place of one of the sweep's own."""
    monkeypatch.setattr("crowd_sim.actors.cluster.connected", lambda *_: nullcontext())


@pytest.fixture
def losses(monkeypatch):
    """Batches lost and repeated, by kind: what Ray's metrics count."""
    made = Counter()
    lost = RunMetrics.lost

    def counted(self, pool, failure):
        lost(self, pool, failure)
        made.update([failure.name.lower()])

    monkeypatch.setattr(RunMetrics, "lost", counted)
    return made


@pytest.fixture
def whole(tmp_path, script):
    """The tables of sweeps that nothing happened to, by content."""

    def made(content):
        sweep(tmp_path / "whole", content, IN_PROCESS)
        tables = tables_of(tmp_path / "whole")
        script.clear()
        return tables

    return made


@pytest.fixture(autouse=True)
def no_drawing(monkeypatch):
    """Figures are tested elsewhere, and take longer than all else here."""
    monkeypatch.setattr("crowd_sim.report.write_report", lambda _: None)


def tables_of(folder):
    return {path.name: path.read_bytes() for path in folder.glob("*.parquet")}


@pytest.mark.usefixtures("on_ray")
def test_a_sweep_for_which_there_is_no_room_says_so_and_gives_up(tmp_path, monkeypatch, capsys):
    @ray.remote(num_cpus=2)
    class Other:
        pass

    other = Other.remote()
    ray.get(other.__ray_ready__.remote(), timeout=100)
    monkeypatch.setattr("crowd_sim.actors.sweep._POLL", 0.1)
    monkeypatch.setattr("crowd_sim.actors.sweep.SECONDS_BETWEEN_LINES", 0.0)
    # not the scripted grouping: what has been sent here may still run when others write their script
    impatient = {
        **CONTENT,
        "tournament": {"rounds": 1, "n_groups": 2},
        "actors": {**CONTENT["actors"], "failures": {"start": 0.5}, "wait": 0.5},
    }
    free = r"a batch needs 1 CPUs, and 0 CPUs are free"
    says = rf"no batch could begin within 1 s \(actors.failures.start and actors.wait\): {free}.*; wait for the others"
    with pytest.raises(ClusterError, match=says):
        sweep(tmp_path / "s", impatient)
    assert re.match(rf"waiting for the cluster, [01] s left: {free}", capsys.readouterr().err)
    ray.kill(other)


@pytest.mark.usefixtures("on_ray")
@pytest.mark.parametrize("fault", ["exit", "kill"])
def test_a_batch_whose_process_dies_once_runs_again(tmp_path, script, whole, fault):
    expected = whole(CONTENT)
    script.add(f"{fault}-1")
    swept, _ = sweep(tmp_path / "s")
    assert (swept.done, swept.failed, swept.left) == (16, 0, 0)
    assert script.count("done") == [fault]
    assert len(script.count("calls")) == 16 + 4  # all points, and those of the batch that died
    assert tables_of(tmp_path / "s") == expected


@pytest.mark.usefixtures("on_ray")
def test_two_batches_that_die_at_once_both_run_again(tmp_path, script, whole):
    expected = whole(CONTENT)
    script.add("exit-1", "kill-1")
    assert sweep(tmp_path / "s")[0].done == 16
    assert script.count("done") == ["exit", "kill"]
    assert len(script.count("calls")) == 16 + 2 * 4
    assert tables_of(tmp_path / "s") == expected


@pytest.mark.usefixtures("on_ray")
def test_a_point_that_kills_its_process_is_found_named_and_left_out(tmp_path, script, whole):
    expected = whole(ONE_BATCH)
    script.add("always-exit-12")
    swept, _ = sweep(tmp_path / "s", ONE_BATCH)
    assert (swept.done, swept.failed, swept.left) == (3, 1, 0)
    # the batch twice, its half once, the point alone twice
    assert script.count("done") == ["exit"] * 5
    failures = pd.read_parquet(tmp_path / "s" / "failures.parquet")
    assert failures.to_dict("records") == [
        {"crowd.n_workers": 12, "error": "the process that ran it died, 2 times", "traceback": "", "attempts": 1}
    ]
    assert pd.read_parquet(tmp_path / "s" / "points.parquet")["crowd.n_workers"].tolist() == [8, 9, 10]

    script.clear()
    assert sweep(tmp_path / "s", ONE_BATCH)[0].failed == 1  # given up until one asks
    assert script.count("calls") == []
    swept, _ = sweep(tmp_path / "s", ONE_BATCH, retry_failed=True)
    assert (swept.done, swept.failed) == (4, 0)
    assert script.count("calls") == ["12"]
    assert tables_of(tmp_path / "s") == expected


def passing(script, alone=lambda: True):
    """A clock that runs on from look to look while a process hangs alone, whenever its batch is seen to have begun."""
    looks = 0

    def met():
        nonlocal looks
        looks += alone() and any(map(alive, script.processes()))
        return looks / 50

    return Clock(met)


@pytest.mark.usefixtures("on_ray")
def test_a_batch_that_hangs_once_is_ended_and_runs_again_in_halves(tmp_path, script, whole, losses, monkeypatch):
    expected = whole(ONE_BATCH)
    script.add("hang-1")
    monkeypatch.setattr("crowd_sim.actors.sweep.time", passing(script))
    monkeypatch.setattr("crowd_sim.actors.sweep._POLL", 0.5)
    swept, _ = sweep(tmp_path / "s", ONE_BATCH)
    assert (swept.done, swept.failed, swept.left) == (4, 0, 0)
    assert script.count("done") == ["hang"]
    assert gone(script.processes(), seconds=60)
    assert len(script.count("calls")) == 4 + 1  # all points, and the one at which the batch hung
    assert losses == {"hang": 1}
    assert tables_of(tmp_path / "s") == expected


@pytest.mark.usefixtures("on_ray")
def test_a_point_that_always_hangs_is_named_and_left_out(tmp_path, script, losses, monkeypatch):
    two = {**CONTENT, "sweep": {"crowd": {"n_workers": [8, 12]}}}
    script.add("always-hang-12")
    parts = tmp_path / "s" / "parts" / "points"
    # once the batch is halved, 8 has its time
    monkeypatch.setattr(
        "crowd_sim.actors.sweep.time",
        passing(script, alone=lambda: len(script.count("done")) == 1 or any(parts.glob("*"))),
    )
    monkeypatch.setattr("crowd_sim.actors.sweep._POLL", 0.5)
    swept, _ = sweep(tmp_path / "s", two)
    assert (swept.done, swept.failed, swept.left) == (1, 1, 0)
    assert script.count("done") == ["hang"] * 3  # the batch, and the point alone twice
    assert losses == {"hang": 2}
    assert gone(script.processes(), seconds=60)
    says = "the process that ran it missed its deadline of 600 s (actors.failures.deadline), 2 times"
    assert swept.first_failure["error"] == says


def test_a_batch_that_loses_too_many_nodes_ends_the_sweep(losses):
    limits, measures = FailureConfig(nodes=1), RunMetrics("test")
    lost = partial(_after, Failure.NODE, NodeDiedError("gone"), limits=limits, measures=measures)
    (again,) = lost(work=_Work(np.arange(4)))
    assert again.numbers.tolist() == [0, 1, 2, 3]
    with pytest.raises(ClusterError, match=r"a batch lost its node 2 times .* actors.failures.nodes = 1 \(gone\)"):
        lost(work=again)
    assert losses == {"node": 1}


@pytest.mark.parametrize("address", [IN_PROCESS, None])
@pytest.mark.usefixtures("on_ray")
def test_a_users_bug_fails_its_points_and_no_other(tmp_path, script, whole, address):
    expected = whole(CONTENT)
    script.add("always-raise-9")
    swept, said = sweep(tmp_path / "s", address=address)
    assert (swept.done, swept.failed, swept.left) == (12, 4, 0)
    assert "4 failed" in said
    failures = pd.read_parquet(tmp_path / "s" / "failures.parquet")
    assert failures[["seed", "crowd.n_workers", "attempts"]].to_numpy().tolist() == [[seed, 9, 1] for seed in range(4)]
    place = "tournament.grouping = 'tests.faults.callbacks:grouping' failed (round 1)"
    assert set(failures["error"]) == {f'StrategyError: {place}: ZeroDivisionError("a bug of the user\'s own")'}
    assert failures["traceback"].str.contains("callbacks.py").all()
    assert swept.first_failure["error"] == failures["error"][0]

    script.clear()
    script.add("always-raise-9")
    assert sweep(tmp_path / "s", address=address, retry_failed=True)[0].failed == 4
    assert pd.read_parquet(tmp_path / "s" / "failures.parquet")["attempts"].tolist() == [2, 2, 2, 2]
    assert script.count("calls") == ["9"] * (4 + 2 * 2 + 4 * 1)  # halved, and halved again
    script.clear()
    assert sweep(tmp_path / "s", address=address, retry_failed=True)[0].done == 16
    assert script.count("calls") == ["9"] * 4
    assert tables_of(tmp_path / "s") == expected


def test_where_all_points_fail_there_is_a_table_of_failures_only(tmp_path, script):
    script.add(*(f"always-raise-{n}" for n in SIZES))
    swept, _ = sweep(tmp_path / "s", address=IN_PROCESS)
    assert (swept.done, swept.failed) == (0, 16)
    assert {path.name for path in tmp_path.joinpath("s").glob("*.parquet")} == {"failures.parquet"}


@pytest.mark.parametrize("which", range(4))
def test_a_full_disk_ends_in_one_line_and_costs_the_batch_in_hand(tmp_path, script, whole, monkeypatch, which):
    expected = whole(CONTENT)
    sync, calls = os.fsync, []

    def full(handle):
        if "/parts/" in str(Path(f"/proc/self/fd/{handle}").readlink()):
            calls.append(handle)
            if len(calls) == 5 + which:  # the second of four batches
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(handle)

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(StorageError, match=r"parts.* cannot be written \(No space left on device\); what is finished"):
        sweep(tmp_path / "s", address=IN_PROCESS)
    monkeypatch.undo()
    assert not [path for path in (tmp_path / "s").rglob("*") if path.name.startswith(".")]
    played = len(script.count("calls"))
    there = len(list((tmp_path / "s" / "parts" / "points").glob("*")))
    assert sweep(tmp_path / "s", address=IN_PROCESS)[0].done == 16
    # what has its part is not played again
    assert len(script.count("calls")) - played == 16 - 4 * there
    assert tables_of(tmp_path / "s") == expected


def test_shards_together_are_the_whole(tmp_path, script, whole):
    expected = whole(CONTENT)
    script.add("always-raise-9")
    sweep(tmp_path / "failing", address=IN_PROCESS)
    script.clear()
    for number, folder in ((1, "a"), (2, "b"), (3, "b"), (4, "c")):
        shard = sweeping.Shard(number, 4)
        for _ in range(2):  # what a shard has done it does not do again
            swept, _ = sweep(tmp_path / folder, address=IN_PROCESS, shard=shard)
            assert swept.left > 0
            assert not list((tmp_path / folder).glob("*.parquet"))
    assert script.count("calls") == sorted(str(n) for n in SIZES * 4)
    with_gap = sweeping.merge(tmp_path / "merged", [tmp_path / "c", tmp_path / "a"])
    assert (with_gap.done, with_gap.left) == (8, 8)
    for _ in range(2):  # merging twice, or a folder twice, doubles nothing
        folders = [tmp_path / name for name in ("c", "a", "b", "a")]
        assert sweeping.merge(tmp_path / "merged", folders).done == 16
        assert tables_of(tmp_path / "merged") == expected
    assert len(script.count("calls")) == 16
    # the last shard to end in a common folder makes the tables
    for number in (1, 2, 3):
        swept, _ = sweep(tmp_path / "common", address=IN_PROCESS, shard=sweeping.Shard(number, 3))
    assert swept.done == 16
    assert tables_of(tmp_path / "common") == expected


def test_the_status_of_a_folder_that_shards_share(tmp_path, script):
    script.add("always-raise-9")
    for number in (2, 1):
        sweep(tmp_path / "s", address=IN_PROCESS, shard=sweeping.Shard(number, 4))
    said = [line.partition("points/s")[0] for line in status_lines(tmp_path / "s")]
    counts = re.fullmatch(r".*: (\d+) of 16 points done, (\d+) failed, 8 left", said[0])
    assert sum(map(int, counts.groups())) == 8
    assert said[1] == "shard 1/4:"
    assert said[2].startswith("finished, ")
    with lock(lock_of(tmp_path / "s", sweeping.WHOLE)), SweepRecord(tmp_path / "s", sweeping.WHOLE, 16, 8):
        assert list(status_lines(tmp_path / "s"))[1].startswith(f"running, process {os.getpid()}")
        with pytest.raises(InputError, match="in which nobody is at work"):
            sweep(tmp_path / "s", address=IN_PROCESS)


def test_failures_are_merged_like_results(tmp_path, script):
    script.add("always-raise-9")
    sweep(tmp_path / "whole", address=IN_PROCESS)
    for number in (1, 2):
        sweep(tmp_path / str(number), address=IN_PROCESS, shard=sweeping.Shard(number, 2))
    swept = sweeping.merge(tmp_path / "merged", [tmp_path / "1", tmp_path / "2"])
    assert (swept.done, swept.failed, swept.left) == (12, 4, 0)
    assert tables_of(tmp_path / "merged") == tables_of(tmp_path / "whole")


def test_partial_results_can_be_read_while_a_sweep_runs(tmp_path, script, monkeypatch):
    seen = []
    write = sweeping.SweepFolder.write

    def watched(self, *args):
        write(self, *args)
        seen.append(len(pd.read_parquet(tmp_path / "s" / "parts" / "points")))

    monkeypatch.setattr(sweeping.SweepFolder, "write", watched)
    sweep(tmp_path / "s", address=IN_PROCESS)
    assert seen == [4, 8, 12, 16]


def test_shards_that_end_together_make_the_tables_once(tmp_path, script, whole, monkeypatch):
    """The second one begins and ends when the first one has done its points and not yet looked who else is through."""
    expected = whole(CONTENT)
    first, second = (sweeping.Shard(number, 2) for number in (1, 2))
    run, left, drawn, turns = sweeping._run, [], [], []

    def inside(*args):
        run(*args)
        monkeypatch.setattr(sweeping, "_run", run)
        left.append(sweep(tmp_path / "s", address=IN_PROCESS, shard=second)[0].left)

    monkeypatch.setattr(sweeping, "_run", inside)
    monkeypatch.setattr("crowd_sim.report.write_report", drawn.append)
    assert sweep(tmp_path / "s", address=IN_PROCESS, shard=first)[0].left == 0
    assert left == [0]
    assert drawn == [tmp_path / "s"]  # the second one has seen all points, the first one that it was done
    assert tables_of(tmp_path / "s") == expected
    # whoever comes later may want them anew
    assert sweep(tmp_path / "s", address=IN_PROCESS, shard=first)[0].done == 16
    assert len(drawn) == 2

    turn = sweeping.SweepFolder.turn

    def watched(self):
        context = turn(self)
        turns.append(is_locked(tmp_path / "s" / "tables.lock"))
        return context

    monkeypatch.setattr(sweeping.SweepFolder, "turn", watched)
    sweep(tmp_path / "s", address=IN_PROCESS, shard=second)
    assert turns == [True, True]  # when it looks what is there, and when it ends


def test_points_that_came_since_are_in_the_tables(tmp_path, script, monkeypatch):
    """Tables that another command has made on_idle count only if they are made of all that is there now."""
    script.add("always-raise-9")
    sweep(tmp_path / "s", address=IN_PROCESS)
    script.clear()
    run = sweeping._run

    def inside(*args):
        monkeypatch.setattr(sweeping, "_run", run)
        sweep(tmp_path / "s", address=IN_PROCESS, shard=sweeping.Shard(1, 2))  # all points tried: makes tables
        run(*args)

    monkeypatch.setattr(sweeping, "_run", inside)
    assert sweep(tmp_path / "s", address=IN_PROCESS, retry_failed=True)[0].done == 16
    assert len(pd.read_parquet(tmp_path / "s" / "points.parquet")) == 16


def test_a_refused_command_leaves_the_configuration_as_it_was(tmp_path, script):
    sweep(tmp_path / "s", ONE_BATCH, IN_PROCESS)
    before = (tmp_path / "s" / "config.yaml").read_bytes()
    others = {**ONE_BATCH, "actors": {"sweep": {"max_runs": 1}}}
    with lock(lock_of(tmp_path / "s", sweeping.WHOLE)), pytest.raises(InputError, match="nobody is at work"):
        sweep(tmp_path / "s", others, IN_PROCESS)
    assert (tmp_path / "s" / "config.yaml").read_bytes() == before


def log_of(folder, name="log-1-of-1.jsonl"):
    return [json.loads(line) for line in (folder / name).read_text().splitlines()]


def test_the_log_of_a_sweep(tmp_path, script):
    script.add("always-raise-9")
    for number in (1, 2):
        sweep(tmp_path / "s", address=IN_PROCESS, shard=sweeping.Shard(number, 2))
    logs = [log_of(tmp_path / "s", f"log-{number}-of-2.jsonl") for number in (1, 2)]
    for number, log in enumerate(logs, 1):
        assert {(line["run"], line["shard"]) for line in log} == {("s", f"{number}/2")}
        assert [line["event"] for line in (log[0], log[-1])] == ["started", "finished"]
        assert (log[0]["points"], log[0]["there"]) == (8, 0)
    failed = [line for log in logs for line in log[1:-1]]
    assert {line["event"] for line in failed} == {"point failed"}
    says = "StrategyError: tournament.grouping = 'tests.faults.callbacks:grouping' failed (round 1): ZeroDivisionError("
    assert [line["error"].startswith(says) for line in failed] == [True] * 4
    assert sum(log[-1]["done"] for log in logs) == 12


def test_the_log_of_a_sweep_tells_of_losses_and_why_it_ended(tmp_path):
    def stopped(error):
        with SweepRecord(tmp_path, sweeping.WHOLE, 16, 8) as record:
            record.progress([], Counter(death=1))
            record.progress([], Counter(death=2, node=1))
            raise error

    for error in (KeyboardInterrupt(), ValueError("no")):
        with pytest.raises(type(error)):
            stopped(error)
    log = [(line["event"], line.get("failure"), line.get("error")) for line in log_of(tmp_path)]
    lost = [("batch lost", kind, None) for kind in ("death", "death", "node")]
    begun = ("started", None, None)
    assert log == [begun, *lost, ("interrupted", None, None), begun, *lost, ("failed", None, "ValueError: no")]


def test_a_log_that_cannot_be_written_is_told_of_in_one_line_and_hides_nothing(tmp_path):
    log = tmp_path / "log-1-of-1.jsonl"

    def full(error=None):
        log.unlink(missing_ok=True)
        with SweepRecord(tmp_path, sweeping.WHOLE, 16, 8):
            log.unlink()
            log.symlink_to("/dev/full")
            if error:
                raise error

    says = r"log-1-of-1.jsonl cannot be written \(No space left"
    with pytest.raises(StorageError, match=says):
        full()
    with pytest.raises(StorageError, match=says), SweepRecord(tmp_path, sweeping.WHOLE, 16, 8):
        pass
    with pytest.raises(ValueError, match="the first"):
        full(ValueError("the first"))
