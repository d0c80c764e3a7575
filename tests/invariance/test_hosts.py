"""Both tasks on every host, whatever fails or stops on the way: identical bytes.

Runs of vectors meet every host; of texts, which are slow to start, each search meets some and each host one.
"""

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import nullcontext, suppress
from pathlib import Path

import numpy as np
import pytest
import yaml

from crowd_sim.cli.status import status_lines
from crowd_sim.config import CheckpointConfig
from crowd_sim.crowd.reduction import fold_shards
from crowd_sim.host import InProcess
from crowd_sim.store.checkpoint import Checkpoints
from crowd_sim.store.checkpointer import Checkpointer
from crowd_sim.store.run_folder import open_run, write_run
from crowd_sim.store.run_log import RunLog, read_status
from crowd_sim.tasks.load import load_task
from crowd_sim.valuation.utility_table import packed_bytes
from tests.bad_input.command import IN_PROCESS, call
from tests.faults import trouble
from tests.faults.processes import descendants, gone
from tests.faults.programs import ENVIRONMENT, program
from tests.faults.watched import MortalManager, Watched
from tests.llm.small import make_parts
from tests.on_ray import run_on_ray
from tests.runs import KINDS, TEXTS, config, digest, simulated, tables, written

ON_RAY = pytest.mark.usefixtures("local_ray")


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    return make_parts(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def expected(request, tmp_path_factory):
    """The tables of each kind, in process; of texts they are made when asked for."""
    made = {}

    def of(kind):
        if kind not in made:
            made[kind] = written(simulated(setup(request, kind)), tmp_path_factory.mktemp(kind))
        return made[kind]

    return of


def setup(request, kind, n_actors=1, **changes):
    if kind not in TEXTS:
        return config(kind, n_actors, **changes)
    for package in ("torch", "peft"):
        pytest.importorskip(package, reason="needs the extra llm")
    return config(kind, n_actors, request.getfixturevalue("parts"), **changes)


class Cut(InProcess):
    """In process, but each shard is built of what would travel, and answers come in the opposite order."""

    def __init__(self, number):
        self.number = number

    def crowd(self, cohort):
        shards = [(members, pickle.loads(pickle.dumps(o)).build()) for members, o in cohort.shards(self.number)]
        assert len(shards) == self.number
        self.group_sums = lambda call: fold_shards(
            [shard.group_sums(call.of(members)) for members, shard in reversed(shards)], cohort.n_chunks
        )
        return nullcontext(self)


@pytest.mark.parametrize("number", [1, 3, 5])
@pytest.mark.parametrize("kind", KINDS)
def test_shards(request, kind, number, expected, tmp_path):
    assert written(simulated(setup(request, kind), Cut(number)), tmp_path) == expected(kind)


@ON_RAY
@pytest.mark.parametrize(
    ("kind", "number"),
    # 1, 2 and 4 actors for vectors and for texts: what they are asked does not depend on the kind of run
    [("vector", 1), ("behaviour", 2), ("valued", 4), ("best", 1), ("merge", 2), ("halving", 4)],
)
def test_actors(request, kind, number, expected, tmp_path):
    own = setup(request, kind, number)
    assert written(run_on_ray(own, load_task(own)), tmp_path) == expected(kind)


def test_three_nodes_one_of_which_is_lost_in_the_end(request, expected, parts, tmp_path):
    kinds = [*KINDS, "merge"]
    *calm, (shaken, found, on_it, failed, replaced) = program("three_nodes", str(tmp_path), str(parts), "merge")
    assert calm == [[kind, digest(expected(kind)), "3"] for kind in kinds]
    assert (shaken, found) == ("shaken", digest(expected("behaviour")))
    assert int(on_it) >= 1
    assert on_it == failed == replaced


@ON_RAY
@pytest.mark.parametrize(
    ("kind", "kill"),
    [
        ("vector", [("crowd", "before", 5), ("trainer", "before", 9)]),
        ("valued", [("crowd", "during", 8), ("trainer", "during", 3), ("evaluator", "during", 1)]),
        (
            "behaviour",
            [
                ("crowd", "after", "round 3 of crowd shard 0"),
                ("crowd", "after", "round 7 of crowd shard 0"),
                ("evaluator", "before", 2),
            ],
        ),
        ("best", [("trainer", "during", "tune candidates 1"), ("evaluator", "during", 5)]),
    ],
)
def test_actors_killed(request, kind, kill, expected, tmp_path):
    own = setup(request, kind, 2, actors__evaluators__number=1)
    host = Watched(own, kill)
    assert written(simulated(own, host), tmp_path) == expected(kind)
    assert host.measures.failures == {"death": len(kill)}
    events = [event.name for event in host.measures.take_events()]
    assert events == ["actor failed", "actor replaced"] * len(kill)


def on_ray(own, folder, before=()):
    """By way of the folder, as the command line does it; what lies there before."""
    task = load_task(own)
    n_workers = own.runs * own.crowd.n_workers
    with open_run(folder, own, task) as fingerprint, RunLog(folder, fingerprint, n_workers) as record:
        for checkpoint in before:
            Checkpoints(folder, fingerprint).write(checkpoint)
        write_run(folder, run_on_ray(own, task, record=record), fingerprint)
    return tables(folder)


def events(folder):
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


@ON_RAY
@pytest.mark.parametrize(("kind", "after"), [("valued", 8), ("behaviour", 8), ("best", 1)])
def test_the_manager_killed(request, kind, after, expected, tmp_path, monkeypatch):
    monkeypatch.setattr("crowd_sim.actors.round_manager.RoundManager", MortalManager)
    trouble.plan("manager", after)
    assert on_ray(setup(request, kind, actors__checkpoints__rounds=3), tmp_path) == expected(kind)
    assert trouble.left() == []
    told = Counter(
        event["event"] for event in events(tmp_path) if event.get("pool", "round manager") == "round manager"
    )
    assert told["actor failed"] == 1
    assert told["resumed"] <= 1  # it was told of the rounds before, or had died too early to tell
    assert read_status(tmp_path).failures == {"death": 1}


class Stopped(Exception):
    """The process ended here."""


def quiet(*_, **__):
    """For events that nobody reads."""


def stopping(own, pieces):
    """The states in which a run stops: whenever one of the rounds is kept, and with every so many-th of the valuation.

    Each time it goes on from there; last comes the outcome.
    """
    kept = {}

    def keep(checkpoint):
        if kept.get(checkpoint.stage) == checkpoint:
            return
        kept[checkpoint.stage] = checkpoint
        told.append(checkpoint)
        if checkpoint.stage == "round" or len(told) == pieces:
            raise Stopped

    while True:
        told = []
        saving = Checkpointer(list(kept.values()), CheckpointConfig(seconds=0.0, rounds=1), keep, quiet)
        try:
            outcome = simulated(own, saving=saving)
        except Stopped:
            yield dict(kept)
        else:
            yield outcome
            return


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
@pytest.mark.parametrize(("kind", "stage"), [("vector", "round"), ("behaviour", "values"), ("best", "values")])
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
@pytest.mark.parametrize("address", [IN_PROCESS, ()], ids=["in process", "on Ray"])
def test_killed_with_9_in_the_valuation_and_resumed(request, address, expected, tmp_path, monkeypatch, capsys):
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
    assert call(["run", "--resume", "out", "--trust", *address]) == 0
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
