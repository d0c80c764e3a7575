"""ShapleyEvaluator: a pool that holds games and evaluates coalitions."""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import ray
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from crowd_sim.actors.placement import bundle_options
from crowd_sim.actors.pool import PendingCall, Pool, Work
from crowd_sim.actors.run_metrics import RunMetrics
from crowd_sim.valuation.games import Game, HeartbeatGame
from crowd_sim.valuation.pacing import paced
from crowd_sim.valuation.request import Chunk, in_process

if TYPE_CHECKING:  # importing the configuration costs an actor a second of its start
    from crowd_sim.config import ActorsConfig

_IN_FLIGHT = 2
"""Calls per evaluator at a time: one runs while the next one travels."""

_SECONDS_PER_CALL = 0.1
"""Work in a call that makes its way there and back negligible."""

_MOST_PIECES_PER_CALL = 64


_BUSY = 0.05
"""Share of a core above which an evaluator's process works: one that only waits takes 0.014 for Ray and its heartbeat."""


class ShapleyEvaluator:
    """Holds the games' data once, evaluates coalitions; a thread of its own answers `heartbeat`."""

    def __init__(self, games: Sequence[Game], deadline: float) -> None:
        self._games = games
        self._done = 0
        self._tick = _BUSY * deadline

    @ray.method(concurrency_group="heartbeat")
    def heartbeat(self) -> int:
        """Grows within every deadline in which a piece is finished, a game's own heartbeat grows, or the process is busy."""
        of_games = sum(game.heartbeat() for game in self._games if isinstance(game, HeartbeatGame))
        return self._done + of_games + int(time.process_time() / self._tick)

    def utilities(self, games: Sequence[int], chunks: Sequence[Chunk]) -> tuple[float, list[NDArray[np.float64]]]:
        """Seconds it took, and for each piece of m coalitions the utilities float64[G, m] of the numbered games."""
        start = time.perf_counter()
        with threadpool_limits(1):
            answers = []
            for answer in in_process([self._games[g] for g in games])(chunks):
                answers.append(answer)
                self._done += 1
        return time.perf_counter() - start, answers


class RayEvaluators:
    """The evaluators service: pieces of chunks go round the pool, chunks come back in their order.

    How many coalitions share a call is learnt from how long they take: many chunks of a quick game, a single coalition of one
    that takes seconds, so that the pool has work for all. It does not touch the results, as the utility of a coalition
    depends on nothing else in the call (see `Game`).
    """

    def __init__(self, games: Sequence[Game], actors: ActorsConfig, measures: RunMetrics) -> None:
        # held here as long as an evaluator may have to start anew
        held = ray.put(list(games))
        host = ray.remote(concurrency_groups={"heartbeat": 1})(ShapleyEvaluator)  # type: ignore[call-overload]

        def make(evaluator: int) -> Any:
            return host.options(**bundle_options(actors, "evaluators", evaluator)).remote(
                held, actors.failures.deadline
            )

        self.pool = Pool("evaluator", make, actors.evaluators.number, actors.failures, measures, heartbeat="heartbeat")
        self._coalitions_per_call = 1  # nobody knows yet whether one takes a microsecond or an hour

    def utilities(self, games: Sequence[int], chunks: Iterable[Chunk]) -> Iterator[NDArray[np.float64]]:
        """See `crowd_sim.host.Evaluators`."""
        waiting: deque[tuple[PendingCall, list[_Piece]]] = deque()
        turns = itertools.cycle(range(len(self.pool)))
        begun: list[NDArray[np.float64]] = []
        calls, number = self._calls(chunks), 0
        while True:
            while len(waiting) < _IN_FLIGHT * len(self.pool) and (call := next(calls, None)):
                name = f"chunk {number} of game{'s' * (len(games) > 1)} {', '.join(map(str, games))}"
                arguments = (list(games), [piece.rows for piece in call])
                waiting.append((self.pool.submit(Work(next(turns), "utilities", arguments, name)), call))
                number += 1
            if not waiting:
                return
            ticket, call = waiting.popleft()
            for piece, answer in zip(call, self._answer(ticket, call), strict=True):
                begun.append(answer)
                if piece.last:
                    yield np.concatenate(begun, axis=1)
                    begun = []

    def _calls(self, chunks: Iterable[Chunk]) -> Iterator[list[_Piece]]:
        """The chunks' pieces in their order, as many as the next call shall have."""
        call: list[_Piece] = []
        room = self._coalitions_per_call
        for chunk in chunks:
            start, rest = 0, True
            while rest:  # also an empty chunk has its answer
                stop = min(start + room, len(chunk))
                rest = stop < len(chunk)
                call.append(_Piece(chunk[start:stop], not rest))
                room -= stop - start
                start = stop
                if not room or len(call) == _MOST_PIECES_PER_CALL:
                    yield call
                    call, room = [], self._coalitions_per_call
        if call:
            yield call

    def _answer(self, ticket: PendingCall, call: Sequence[_Piece]) -> list[NDArray[np.float64]]:
        seconds, answers = self.pool.answer(ticket)
        done = sum(len(piece.rows) for piece in call)
        self._coalitions_per_call = paced(self._coalitions_per_call, done, seconds, _SECONDS_PER_CALL)
        return answers

    def close(self) -> None:
        """Give the evaluators' resources back."""
        self.pool.close()


@dataclass(frozen=True, eq=False)
class _Piece:
    """Coalitions of one chunk, and whether they are its last."""

    rows: Chunk
    last: bool
