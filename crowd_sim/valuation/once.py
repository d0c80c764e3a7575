"""No coalition is paid for twice: what was evaluated is looked up, and only the rest goes to the game."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

import numba
import numpy as np
from numpy.typing import NDArray

from crowd_sim.random import philox
from crowd_sim.valuation.request import Request
from crowd_sim.valuation.utility_table import Memory, packed

_LONGEST = 128  # players whose coalitions are kept as rows of bits; those of more by a digest of that length


@dataclass(frozen=True, eq=False)
class Look:
    """A chunk looked up: the numbers of its coalitions, and those that have to be evaluated, with their masks."""

    numbers: NDArray[np.int64]
    missing: NDArray[np.int64]
    masks: NDArray[np.bool_]


def evaluated(
    source: Request,
    looks: Iterator[Look],
    learn: Callable[[Look, NDArray[np.float64]], None],
    answer: Callable[[Look], NDArray[np.float64]],
) -> Iterator[NDArray[np.float64]]:
    """The chunks' answers in their order; ``learn`` is told what ``source`` says of what is missing, before it is asked."""
    look = next(looks, None)
    while look is not None:
        if not len(look.missing):
            yield answer(look)
            look = next(looks, None)
            continue
        waiting: deque[Look] = deque()
        # ends at a chunk that is known: were it passed over, any number of them would pile up unanswered
        rest = _Rest(look, looks)
        for _, utilities in source.utilities(_missing(rest, waiting)):
            answered = waiting.popleft()
            learn(answered, utilities)
            yield answer(answered)
        look = rest.look


@dataclass(eq=False)
class _Rest:
    """The chunks not sent yet: the one looked at, and those behind it."""

    look: Look | None
    looks: Iterator[Look]


def _missing(rest: _Rest, waiting: deque[Look]) -> Iterator[NDArray[np.bool_]]:
    while rest.look is not None and len(rest.look.missing):
        waiting.append(rest.look)
        yield rest.look.masks
        rest.look = next(rest.looks, None)


class Once:
    """Remembers, for as long as an estimator runs, what it has asked of all games.

    Of more than 128 players it keeps digests of 128 bits, so that a coalition takes 16 bytes and 8 a game, however many
    players there are; that two of a billion coalitions have the same has a chance of 1e-21.
    """

    def __init__(self, source: Request) -> None:
        self._source = source
        self._memory = Memory(min(source.width, _LONGEST), len(source.games))

    @property
    def count(self) -> int:
        """How many different coalitions were asked for."""
        return len(self._memory)

    def evaluate(self, chunks: Iterable[NDArray[np.bool_]]) -> Iterator[NDArray[np.float64]]:
        """See `crowd_sim.valuation.request.Evaluate`."""
        return evaluated(self._source, map(self._look, chunks), self._learn, self._answer)

    def _look(self, chunk: NDArray[np.bool_]) -> Look:
        before, short = len(self._memory), chunk.shape[1] <= _LONGEST
        numbers = self._memory.numbers(packed(chunk) if short else digests(chunk))
        missing = np.arange(before, len(self._memory))  # numbers are given in the order of first asking
        _, first = np.unique(numbers, return_index=True)
        return Look(numbers, missing, chunk[np.sort(first[numbers[first] >= before])])

    def _learn(self, look: Look, utilities: NDArray[np.float64]) -> None:
        self._memory.put(look.missing, utilities)

    def _answer(self, look: Look) -> NDArray[np.float64]:
        return np.stack([self._memory.utilities(g, look.numbers) for g in range(len(self._source.games))])


def once(request: Request) -> tuple[Request, Callable[[int], int]]:
    """The request that asks for no coalition twice, and what makes of a number of coalitions that of different ones.

    Stages remember by themselves, and a game with noise is asked for every draw: these are left as they are.
    """
    if request.noisy or request.admit is not None:
        return request, lambda count: count
    memory = Once(request)
    return replace(request, evaluate=memory.evaluate), lambda _: memory.count


def digests(coalitions: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """128 bits of each coalition bool[m, n], uint8[m, 16]: the sum of its members' (Zobrist 1970)."""
    out = np.zeros((len(coalitions), 2), dtype=np.uint64)
    _sum(np.ascontiguousarray(coalitions), _words(coalitions.shape[1]), out)
    return out.view(np.uint8)


@lru_cache(maxsize=2)
def _words(n: int) -> NDArray[np.uint64]:
    words = np.empty((n, 2), dtype=np.uint64)
    _fill(words)
    return words


@numba.njit(cache=True)
def _fill(words: NDArray[np.uint64]) -> None:
    nothing = np.uint64(0)
    for i in range(len(words)):
        one, other, _, _ = philox(nothing, nothing, np.uint64(i), nothing, nothing, nothing)
        words[i, 0], words[i, 1] = one, other


@numba.njit(cache=True)
def _sum(coalitions: NDArray[np.bool_], words: NDArray[np.uint64], out: NDArray[np.uint64]) -> None:
    for row in range(len(coalitions)):
        one = other = np.uint64(0)
        for i in range(coalitions.shape[1]):
            member = np.uint64(coalitions[row, i])
            one += member * words[i, 0]
            other += member * words[i, 1]
        out[row, 0], out[row, 1] = one, other
