"""What a valuation of several games has come to: the results so far, and the utilities of the one that is under way.

An estimator asks for the same chunks in the same order each time, so the utilities are kept in the order of asking, each piece
with a checksum of its coalitions; the first piece that is not asked for again ends what is taken from the log.
"""

from __future__ import annotations

import time
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crowd_sim.arrays import pack, unpack
from crowd_sim.valuation.coalition_lists import Lists
from crowd_sim.valuation.pacing import paced
from crowd_sim.valuation.request import Chunk, Evaluate, ListEvaluate
from crowd_sim.valuation.result import ShapleyResult

_SECONDS_PER_PIECE = 0.1
"""A chunk of a slow game is asked for in pieces that take about this long: what a kill may cost, besides the pause."""


@dataclass(frozen=True, eq=False)
class _Piece:
    """A few coalitions with their utilities float64[G, m]."""

    checksum: int
    utilities: NDArray[np.float64]


class ValuationLog:
    """Results in the order in which they are asked for; keeps those that are made, and gives those that were kept."""

    def __init__(self) -> None:
        self._results: list[list[ShapleyResult]] = []
        self._asked = self._evaluated = 0
        self._pieces: list[_Piece] = []
        self._known: deque[_Piece] = deque()
        self._at_a_time = 1

    @property
    def n_evaluated(self) -> int:
        """How many coalitions were evaluated, for all results together; grows with every piece."""
        return self._evaluated

    def result(
        self,
        value: Callable[[Evaluate], list[ShapleyResult]],
        evaluate: Callable[[Iterable[Chunk]], Iterator[NDArray[np.float64]]],
        after: Callable[[], object],
    ) -> list[ShapleyResult]:
        """The next result: one that was kept, or else what `value` makes of an evaluator; `after` hears of each piece."""
        self._asked += 1
        if self._asked > len(self._results):
            made = value(ListEvaluate(lambda chunks: self._through(chunks, evaluate, after)))
            self._results.append(made)
            self._pieces, self._known = [], deque()
        return self._results[self._asked - 1]

    def _through(
        self,
        chunks: Iterable[Chunk],
        evaluate: Callable[[Iterable[Chunk]], Iterator[NDArray[np.float64]]],
        after: Callable[[], object],
    ) -> Iterator[NDArray[np.float64]]:
        waiting: deque[tuple[int, NDArray[np.float64] | None, bool]] = deque()
        begun: list[NDArray[np.float64]] = []

        def unknown() -> Iterator[Chunk]:
            for chunk in chunks:
                for piece, utilities, last in self._parts(chunk):
                    waiting.append((_checksum(piece), utilities, last))
                    if utilities is None:
                        yield piece

        def taken(answer: NDArray[np.float64] | None) -> Iterator[NDArray[np.float64]]:
            """What is known, up to and with the piece that this is the answer to."""
            while waiting:
                checksum, utilities, last = waiting[0]
                if utilities is None:
                    if answer is None:
                        return
                    utilities, answer = answer, None
                waiting.popleft()
                self._pieces.append(_Piece(checksum, utilities))
                begun.append(utilities)
                if last:
                    yield np.concatenate(begun, axis=1)
                    begun.clear()

        since = time.perf_counter()
        for answer in evaluate(unknown()):
            now = time.perf_counter()
            self._at_a_time = paced(self._at_a_time, answer.shape[1], now - since, _SECONDS_PER_PIECE)
            since = now
            self._evaluated += answer.shape[1]
            yield from taken(answer)
            after()
        yield from taken(None)

    def _parts(self, chunk: Chunk) -> Iterator[tuple[Chunk, NDArray[np.float64] | None, bool]]:
        """A chunk in pieces: with the utilities of those that are known, and whether they are its last."""
        start, last = 0, False
        while not last:
            known = self._known[0] if self._known else None
            stop = start + (known.utilities.shape[1] if known else self._at_a_time)
            piece = chunk[start:stop]
            if known and (stop > len(chunk) or known.checksum != _checksum(piece)):
                self._known.clear()
                continue
            last = stop >= len(chunk)
            start = stop
            yield piece, self._known.popleft().utilities if known else None, last

    def pack(self) -> bytes:
        """All that `unpack` needs; no result may carry its utilities, as one with a stopping rule does."""
        results = [result for made in self._results for result in made]
        arrays = {}
        if results:
            arrays = {
                "values": np.stack([result.values for result in results]),
                "stderr": np.stack([result.stderr for result in results]),
                "n_evaluations": np.array([result.n_evaluations for result in results]),
            }
        pieces = [*self._pieces, *self._known]
        if pieces:
            arrays["utilities"] = np.concatenate([piece.utilities for piece in pieces], axis=1)
            arrays["sizes"] = np.array([piece.utilities.shape[1] for piece in pieces])
            arrays["checksums"] = np.array([piece.checksum for piece in pieces], dtype=np.uint32)
        methods = [[result.method for result in made] for made in self._results]
        return pack(arrays, {"methods": methods, "evaluated": self._evaluated})

    @classmethod
    def unpack(cls, packed: bytes) -> ValuationLog:
        """The log that was packed.

        Raises:
            ValueError: bytes that are no such log's.
        """
        arrays, header = unpack(packed)
        log = cls()
        try:
            row, log._evaluated = 0, int(header.get("evaluated", 0))
            for methods in header["methods"]:
                made = []
                for method in methods:
                    values, stderr = arrays["values"][row], arrays["stderr"][row]
                    made.append(ShapleyResult(values, stderr, int(arrays["n_evaluations"][row]), str(method)))
                    row += 1
                log._results.append(made)
            if "utilities" in arrays:
                ends = np.cumsum(arrays["sizes"])
                parts = np.split(arrays["utilities"], ends[:-1], axis=1)
                log._known.extend(map(_Piece, arrays["checksums"].tolist(), parts))
        except (KeyError, IndexError, TypeError, AttributeError):
            raise ValueError("no results and utilities of a valuation") from None
        return log


def _checksum(coalitions: Chunk) -> int:
    if isinstance(coalitions, Lists):
        return zlib.crc32(coalitions.members.tobytes(), zlib.crc32(coalitions.ends.tobytes()))
    return zlib.crc32(coalitions.tobytes())
