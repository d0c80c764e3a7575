"""Audits: candidates of single workers, scored beside a round's and never selected (`tournament.audits`)."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from crowd_sim.random import Purpose, uniforms
from crowd_sim.tournament.learner import Learner, PointLearner
from crowd_sim.tournament.request import RoundRequest
from crowd_sim.tournament.rules import Rules
from crowd_sim.tournament.streams import RoundStreams


class Audits(NamedTuple):
    """Of a round.

    Attributes:
        workers: int64[B, a].
        scores: float64[B, a], of their candidates.
    """

    workers: NDArray[np.int64]
    scores: NDArray[np.float64]


def audit(rules: Rules, learner: Learner, asked: RoundRequest, streams: RoundStreams) -> Audits:
    """The audits that the rules ask for; none of learners of anything but points, see `config.checks.tournament`."""
    n_runs, n_workers = asked.weights.shape
    if not rules.audits:
        return Audits(np.empty((n_runs, 0), dtype=np.int64), np.empty((n_runs, 0)))
    workers = audited(streams, n_workers, rules.audits)
    return Audits(workers, cast("PointLearner", learner).audit(asked, workers))


def audited(streams: RoundStreams, n_workers: int, number: int) -> NDArray[np.int64]:
    """Whom a round audits, `number` workers of every run: int64[B, a].

    Those with the fewest audits so far; of equally many, whom a keyed draw says. So all are audited in a random order before
    anyone is again, and a round's workers follow from its number alone.
    """
    first = (streams.round - 1) * number
    turns = range(first // n_workers, (first + number - 1) // n_workers + 1)
    orders = [_order(streams.seeds.tobytes(), streams.runs.tobytes(), turn, n_workers) for turn in turns]
    start = first - turns[0] * n_workers
    return np.concatenate(orders, axis=1)[:, start : start + number]


@lru_cache(maxsize=2)
def _order(seeds: bytes, runs: bytes, turn: int, n_workers: int) -> NDArray[np.int64]:
    found, own = np.frombuffer(seeds, dtype=np.uint64), np.frombuffer(runs, dtype=np.uint64)
    return np.argsort(uniforms(found, own, turn, Purpose.AUDIT, n_workers), axis=1, kind="stable")
