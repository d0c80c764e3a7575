"""Same bits however the crowd is cut into shards, and wherever a run is stopped and resumed."""

import pickle
from contextlib import nullcontext

import pytest

from crowd_sim.actors.round_manager import run_on_ray
from crowd_sim.config import CheckpointConfig
from crowd_sim.crowd.reduction import fold_shards
from crowd_sim.host import InProcess
from crowd_sim.store.checkpointer import Checkpointer
from crowd_sim.store.run_folder import open_run, write_run
from crowd_sim.store.run_log import Record
from crowd_sim.tasks.load import load_task
from tests.runs import KINDS, config, digest, simulated, tables, written


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


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    return {kind: written(simulated(config(kind)), tmp_path_factory.mktemp(kind)) for kind in KINDS}


@pytest.mark.parametrize("number", range(1, 6))
@pytest.mark.parametrize("kind", KINDS)
def test_one_to_five_shards(kind, number, expected, tmp_path):
    assert written(simulated(config(kind), Cut(number)), tmp_path) == expected[kind]


@pytest.mark.usefixtures("local_ray")
@pytest.mark.parametrize("number", [1, 2, 4])
@pytest.mark.parametrize("kind", KINDS)
def test_actors(kind, number, expected, tmp_path):
    setup = config(kind, number)
    assert written(run_on_ray(setup, load_task(setup)), tmp_path) == expected[kind]


def quiet(*_, **__):
    """For events that nobody reads."""


@pytest.mark.parametrize("kind", KINDS)
def test_stopped_and_resumed_at_every_third_round(kind, expected, tmp_path):
    checkpoints = []
    cadence = CheckpointConfig(seconds=1e6, rounds=3)
    whole = simulated(config(kind), saving=Checkpointer([], cadence, checkpoints.append, quiet))
    assert written(whole, tmp_path / "whole") == expected[kind]
    checkpoints = [checkpoint for checkpoint in checkpoints if checkpoint.stage == "round"]
    assert [checkpoint.round for checkpoint in checkpoints] == [3, 6, 9, 12]
    for checkpoint in checkpoints:
        later = []
        resumed = simulated(config(kind), saving=Checkpointer([checkpoint], cadence, later.append, quiet))
        assert written(resumed, tmp_path / str(checkpoint.round)) == expected[kind]
        assert [further.round for further in later if further.stage == "round"] == [3, 6, 9, 12][
            checkpoint.round // 3 :
        ]


@pytest.mark.usefixtures("local_ray")
@pytest.mark.parametrize("stopped", [3, 6, 9])
def test_stopped_in_process_and_resumed_on_ray(expected, tmp_path, stopped):
    """By way of the folder, as the command line does it."""
    setup = config("behaviour", 2, actors__checkpoints__rounds=3)
    people = load_task(setup)
    with open_run(tmp_path, setup, people) as print_of, Record(tmp_path, print_of, 120) as record:
        for checkpoint in _first(setup, stopped):
            record.keep(checkpoint)
        events = []
        record.tell = lambda event, **details: events.append((event, details.get("round")))
        write_run(tmp_path, run_on_ray(setup, people, record=record), print_of)
        assert [checkpoint.round for checkpoint in record.checkpoints()][:1] == [12]
    assert digest(tables(tmp_path)) == digest(expected["behaviour"])
    assert events[:2] == [("resumed", stopped), ("first round", stopped + 1)]


def _first(setup, last):
    found = []
    simulated(setup, saving=Checkpointer([], CheckpointConfig(seconds=1e6, rounds=3), found.append, quiet))
    return [checkpoint for checkpoint in found if checkpoint.stage == "round" and checkpoint.round <= last]
