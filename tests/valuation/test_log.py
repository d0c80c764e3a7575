"""A valuation that is stopped repeats no finished evaluation, and ends in the same bytes."""

import numpy as np
import pytest

from crowd_sim.config import CheckpointConfig
from crowd_sim.engine import simulate
from crowd_sim.host import InProcess
from crowd_sim.store.checkpoint import Checkpoint
from crowd_sim.store.checkpointer import Checkpointer
from crowd_sim.tasks.load import load_task
from crowd_sim.valuation import log as module
from crowd_sim.valuation.log import ValuationLog
from tests.runs import config, simulated, written

COUNT = {"scores": 0, "limit": None}


def counting(x, target):
    """The distance, counted; raises beyond a limit."""
    if x.ndim == 2 and len(x) and target.ndim == 1:  # in a valuation, not in a round
        if COUNT["limit"] is not None and COUNT["scores"] + len(x) > COUNT["limit"]:
            raise KeyboardInterrupt
        COUNT["scores"] += len(x)
    return -np.sqrt(((x - target) ** 2).sum(axis=-1))


def setup():
    return config("valued", tournament__score="tests.valuation.test_log:counting")


def run(limit, earlier=(), kept=None):
    COUNT.update(scores=0, limit=limit)
    cadence = CheckpointConfig(seconds=0.0, rounds=0)
    keep = (lambda _: None) if kept is None else kept.append
    saving = Checkpointer(list(earlier), cadence, keep, lambda *_, **__: None)
    try:
        return simulate([setup()], load_task(setup()), InProcess(), saving=saving)[0]
    except KeyboardInterrupt:
        return None


def latest(kept):
    return [[c for c in kept if c.stage == stage][-1] for stage in ("round", "values")]


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    COUNT.update(scores=0, limit=None)
    return written(simulated(setup()), tmp_path_factory.mktemp("whole")), COUNT["scores"]


@pytest.mark.parametrize("share", [0.1, 0.4, 0.6, 0.95])
def test_a_stopped_valuation_repeats_nothing(share, expected, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_SECONDS_PER_PIECE", 0.0)  # one coalition at a time
    tables, total = expected
    kept = []
    assert run(int(share * total), kept=kept) is None
    before = COUNT["scores"]
    assert before == int(share * total)
    outcome = run(None, latest(kept))
    assert written(outcome, tmp_path) == tables
    assert before + COUNT["scores"] == total


def test_a_valuation_that_is_over_evaluates_nothing(expected, tmp_path):
    kept = []
    assert written(run(None, kept=kept), tmp_path / "first") == expected[0]
    assert COUNT["scores"] == expected[1]
    assert written(run(None, latest(kept)), tmp_path / "again") == expected[0]
    assert COUNT["scores"] == 0


def test_what_was_asked_for_otherwise_is_not_taken(expected, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_SECONDS_PER_PIECE", 0.0)
    kept = []
    run(int(0.6 * expected[1]), kept=kept)
    rounds, values = latest(kept)
    log = ValuationLog.unpack(values.content)
    for piece in log._known:
        object.__setattr__(piece, "checksum", piece.checksum ^ 1)
        object.__setattr__(piece, "utilities", piece.utilities + 1)
    assert log._known
    outcome = run(None, [rounds, Checkpoint(values.round, log.pack(), "values")])
    assert written(outcome, tmp_path) == expected[0]


@pytest.mark.parametrize("content", [b"", b"of another version"])
def test_bytes_of_something_else_are_refused(content):
    with pytest.raises(ValueError, match=r"arrays|head"):
        ValuationLog.unpack(content)
