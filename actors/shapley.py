"""ShapleyEvaluator: a pool that holds games and evaluates coalitions."""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import ray
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from actors.failure import fetch, survivable
from crowd_sim.valuation.evaluation import in_process
from crowd_sim.valuation.games import Game

if TYPE_CHECKING:  # importing the configuration costs an actor a second of its start
    from crowd_sim.config import PoolConfig

_IN_FLIGHT = 2
"""Calls per evaluator at a time: one runs while the next one travels."""

_SECONDS_PER_CALL = 0.1
"""Work in a call that makes its way there and back negligible."""

_MOST_CHUNKS_PER_CALL = 64


class ShapleyEvaluator:
    """Holds the games' data once, evaluates chunks of coalitions."""

    def __init__(self, games: Sequence[Game]) -> None:
        self._games = games

    def utilities(
        self, games: Sequence[int], chunks: Sequence[NDArray[np.bool_]]
    ) -> tuple[float, list[NDArray[np.float64]]]:
        """Seconds it took, and for each chunk bool[m, n] the utilities float64[G, m] of the games with these numbers."""
        start = time.perf_counter()
        with threadpool_limits(1):
            answers = list(in_process([self._games[g] for g in games])(chunks))
        return time.perf_counter() - start, answers


class RayEvaluators:
    """The evaluators service: chunks go round the pool, results come back in the chunks' order.

    How many chunks share a call is learnt from how long they take; it does not touch the results, as each chunk is evaluated
    by itself.
    """

    def __init__(self, games: Sequence[Game], pool: PoolConfig) -> None:
        # held here as long as an evaluator may have to start anew
        self._held = ray.put(list(games))
        options = {"num_cpus": pool.cpus, "num_gpus": pool.gpus, **survivable()}
        host = ray.remote(ShapleyEvaluator).options(**options)
        self._evaluators: list[Any] = [host.remote(self._held) for _ in range(pool.number)]
        self._chunks_per_call = 1

    def utilities(self, games: Sequence[int], chunks: Iterable[NDArray[np.bool_]]) -> Iterator[NDArray[np.float64]]:
        """See `crowd_sim.services.Evaluators`."""
        waiting: deque[tuple[Any, int]] = deque()
        turns = itertools.cycle(self._evaluators)
        rest = iter(chunks)
        while call := list(itertools.islice(rest, self._chunks_per_call)):
            waiting.append((next(turns).utilities.remote(list(games), call), len(call)))
            if len(waiting) >= _IN_FLIGHT * len(self._evaluators):
                yield from self._answer(*waiting.popleft())
        while waiting:
            yield from self._answer(*waiting.popleft())

    def _answer(self, call: Any, n_chunks: int) -> list[NDArray[np.float64]]:
        ((seconds, answers),) = fetch([call], "the evaluators")
        fitting = int(_SECONDS_PER_CALL * n_chunks / max(seconds, 1e-9))
        self._chunks_per_call = min(max(fitting, 1), _MOST_CHUNKS_PER_CALL, 2 * self._chunks_per_call)
        return answers

    def close(self) -> None:
        """Give the evaluators' resources back."""
        for evaluator in self._evaluators:
            ray.kill(evaluator)
