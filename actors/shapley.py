"""ShapleyEvaluator: a pool that holds games and evaluates coalitions."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import ray
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from actors.failure import fetch, survivable
from crowd_sim.config import PoolConfig
from crowd_sim.services import evaluate_chunk
from crowd_sim.valuation import Game

_IN_FLIGHT = 2
"""Calls per evaluator at a time: one runs while the next one travels."""


class ShapleyEvaluator:
    """Holds the games' data once, evaluates chunks of coalitions."""

    def __init__(self, games: Sequence[Game]) -> None:
        self._games = games

    def utilities(self, games: Sequence[int], coalitions: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Utilities float64[G, m] of coalitions bool[m, n] under the games with these numbers."""
        with threadpool_limits(1):
            return evaluate_chunk([self._games[g] for g in games], coalitions)


class RayEvaluators:
    """The evaluators service: chunks go round the pool, results come back in the chunks' order."""

    def __init__(self, games: Sequence[Game], pool: PoolConfig) -> None:
        # held here as long as an evaluator may have to start anew
        self._held = ray.put(list(games))
        options = {"num_cpus": pool.cpus, "num_gpus": pool.gpus, **survivable()}
        self._evaluators: list[Any] = [
            ray.remote(ShapleyEvaluator).options(**options).remote(self._held) for _ in range(pool.number)
        ]

    def utilities(self, games: Sequence[int], chunks: Iterable[NDArray[np.bool_]]) -> Iterator[NDArray[np.float64]]:
        """See `crowd_sim.services.Evaluators`."""
        waiting: deque[Any] = deque()
        for number, coalitions in enumerate(chunks):
            evaluator = self._evaluators[number % len(self._evaluators)]
            waiting.append(evaluator.utilities.remote(list(games), coalitions))
            if len(waiting) >= _IN_FLIGHT * len(self._evaluators):
                yield from fetch([waiting.popleft()], "the evaluators")
        while waiting:
            yield from fetch([waiting.popleft()], "the evaluators")

    def close(self) -> None:
        """Give the evaluators' resources back."""
        for evaluator in self._evaluators:
            ray.kill(evaluator)
