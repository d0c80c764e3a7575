"""Both tasks stopped and resumed, on the same host or another: identical bytes."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import yaml

from crowd_sim.cli.status import status_lines
from crowd_sim.store.run_log import read_status
from crowd_sim.valuation.utility_table import packed_bytes
from tests.bad_input.command import IN_PROCESS, call
from tests.faults.processes import descendants, gone
from tests.faults.programs import ENVIRONMENT
from tests.invariance.hosts import ON_RAY, events, on_ray, setup, stopping
from tests.runs import TEXTS, tables, written


@pytest.mark.parametrize(("kind", "pieces"), [("vector", 1), ("valued", 2), ("behaviour", 2), *((t, 5) for t in TEXTS)])
def test_stopped_and_resumed_after_every_round_and_in_the_valuation(request, kind, pieces, expected, tmp_path):
    own = setup(request, kind)
    *states, outcome = stopping(own, pieces)
    assert written(outcome, tmp_path) == expected(kind)
    rounds = {state["round"].round for state in states}
    assert rounds | {0} == set(range(own.tournament.rounds + 1))
    in_the_valuation = [state for state in states if "values" in state]
    assert len(in_the_valuation) >= (own.valuation.method != "none")
    evaluated = [state["values"].round for state in in_the_valuation]
    assert evaluated == sorted(set(evaluated))


@ON_RAY
@pytest.mark.parametrize(("kind", "stage"), [("vector", "round"), ("behaviour", "values")])
def test_stopped_in_process_and_resumed_on_ray(request, kind, stage, expected, tmp_path):
    own = setup(request, kind, 2, actors__checkpoints__rounds=3, actors__trainers__number=1)
    late = min(6, own.tournament.rounds)
    state = next(state for state in stopping(own, 1) if stage in state and state["round"].round >= late)
    assert on_ray(own, tmp_path, state.values()) == expected(kind)
    told = [event for event in events(tmp_path) if event["event"] in ("resumed", "first round", "values resumed")]
    assert told[0]["round"] == state["round"].round
    assert [event["event"] for event in told] == ["resumed", "first round" if stage == "round" else "values resumed"]
    if stage == "values":
        assert told[1]["evaluations"] == state["values"].round > 0


@ON_RAY
@pytest.mark.parametrize(("address", "other"), [(IN_PROCESS, ()), ((), IN_PROCESS)], ids=["in process", "on Ray"])
def test_killed_with_9_in_the_valuation_and_resumed_elsewhere(
    request, address, other, expected, tmp_path, monkeypatch, capsys
):
    own = setup(request, "best", actors__checkpoints__seconds=0.0)
    monkeypatch.chdir(tmp_path)
    Path("c.yaml").write_text(yaml.safe_dump(own.model_dump(mode="json")))
    command = [sys.executable, "-m", "crowd_sim.cli.app", "run", "c.yaml", "--out", "out", *address]
    running = subprocess.Popen(command, env={**ENVIRONMENT, "CROWD_SIM_SLOW": "0.3"}, stderr=subprocess.PIPE, text=True)
    patience = time.monotonic() + 200
    while not any(int(path.stem.partition("-")[2]) > 1 for path in Path("out").glob("checkpoints/values-*.checkpoint")):
        assert running.poll() is None, running.stderr.read()
        assert time.monotonic() < patience
        time.sleep(0.02)
    started = descendants(running.pid)
    for pid in (running.pid, *started):  # as with its machine: Ray's processes take a minute to see that they are alone
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    running.communicate()
    assert gone(started, seconds=60)
    status = read_status(Path("out"))
    assert (status.state, status.checkpoint) == ("dead", 2)
    assert 1 < status.evaluations < 16
    *_, last = status_lines(Path("out"))
    assert last == f"`crowd-sim run --resume out --trust` goes on from round 2 and {status.evaluations} evaluations"
    assert call(["run", "--resume", "out", "--trust", *other]) == 0
    found, wanted = tables(Path("out")), expected("best")
    assert {name for name in found if found[name] != wanted[name]} == set()
    (told,) = [event for event in events(Path("out")) if event["event"] == "values resumed"]
    assert told["evaluations"] == status.evaluations
    done = evaluations(Path("out"), own.crowd.n_workers)
    assert len(done) == len(set(done)) == 16


def evaluations(folder, n_workers):
    """The coalitions that were evaluated, whole records of all processes."""
    record = np.dtype([("coalition", np.uint8, packed_bytes(n_workers)), ("rest", np.uint8, 12)])
    logs = [path.read_bytes() for path in folder.glob("utilities/*/*.log")]
    found = [np.frombuffer(log[: len(log) // record.itemsize * record.itemsize], record) for log in logs]
    return [row.tobytes() for row in np.concatenate(found)["coalition"]]
