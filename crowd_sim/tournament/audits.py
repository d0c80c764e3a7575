"""Audits: candidates of single workers, scored beside a round's and never selected (`tournament.audits`)."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from crowd_sim.random import Purpose, uniforms
from crowd_sim.tournament.streams import RoundStreams


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
