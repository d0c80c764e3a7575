"""Which chains of coalitions are asked for: strata of sizes, chains, and the draws behind them.

A chain's draws depend on its stratum, turn and place alone, so that a larger budget asks for what a smaller one has.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

from crowd_sim.random import Purpose
from crowd_sim.valuation.complements import with_complements
from crowd_sim.valuation.request import Request, chunk_rows
from crowd_sim.valuation.shuffle import shuffle

TURNS = 8
"""Measurements in every stratum of each of those who are measured by themselves."""
_RATIO = 3  # of a stratum's last size to its first
_LONGEST = 128  # chain
_GOLDEN, _ROOT = 0x9E3779B97F4A7C15, 0x6A09E667F3BCC908  # 2^64 times the fractions of the golden ratio and of √2
_A_SWEEPS_ORDER, _A_SWEEPS_CHAIN, _ALONE = 1, 2, 3  # kinds of streams, besides orders of all players

_Players = NDArray[np.int64]


@dataclass(frozen=True)
class Stratum:
    """Additions to coalitions of the sizes ``low`` to ``high`` − 1; ``number`` counts from 0."""

    number: int
    low: int
    high: int

    @property
    def length(self) -> int:
        """Of a chain."""
        return min(self.high - self.low, _LONGEST)

    @property
    def cost(self) -> float:
        """Pairs of evaluations per addition: a chain has one coalition more, but the empty one is known."""
        return 1.0 + (1.0 / self.length if self.low else 0.0)


def strata_of(n: int) -> list[Stratum]:
    """The sizes up to a half of n players, as complements are evaluated too, in strata."""
    last, bounds = (n + 1) // 2, [0, 1]
    while bounds[-1] < last:
        bounds.append(min(_RATIO * bounds[-1], last))
    if len(bounds) > 3 and bounds[-1] - bounds[-2] < bounds[-2] - bounds[-3]:  # too short for one of its own
        del bounds[-2]
    return [Stratum(b, low, high) for b, (low, high) in enumerate(itertools.pairwise(bounds))]


@dataclass(frozen=True, eq=False)
class Chain:
    """``players`` join a random coalition of ``size`` others one by one; ``stream`` is that of its draws."""

    stratum: Stratum
    size: int
    players: _Players
    stream: np.uint64


def cost_of(plan: Sequence[Chain]) -> int:
    """Pairs of evaluations."""
    return sum(len(chain.players) + (chain.size > 0) for chain in plan)


def order_of(request: Request, n: int, number: int) -> _Players:
    """Order ``number`` of all players: int64[n]."""
    order = np.empty(n, dtype=np.int64)
    shuffle(*_key(request), np.uint64(number), n, order)
    return order


def sweep(request: Request, stratum: Stratum, people: _Players, turn: int, first: int = 0) -> list[Chain]:
    """Chains in which each of some people joins once, of a turn that has ``first`` chains already."""
    return chained(stratum, turned(request, stratum, people, turn, first), turn, first)


def turned(request: Request, stratum: Stratum, people: _Players, turn: int, first: int = 0) -> _Players:
    """Some people in the order in which they join, in a turn that has ``first`` chains already."""
    return _shuffled(request, people, _stream(_A_SWEEPS_ORDER, turn, stratum.number, first))


def chained(stratum: Stratum, people: _Players, turn: int, first: int = 0) -> list[Chain]:
    """People in their order, cut into chains."""
    found = []
    for c, start in enumerate(range(0, len(people), stratum.length)):
        players = people[start : start + stratum.length]
        # chains shorter than the stratum are spread over it, however many they are (Weyl 1916), in every turn and stratum from
        # another place on: a player's measurements must not be of alike sizes
        room = stratum.high - stratum.low - len(players)
        place = ((first + c) * _GOLDEN + (64 * turn + stratum.number) * _ROOT) % 2**64
        offset = (place * (room + 1)) >> 64
        stream = _stream(_A_SWEEPS_CHAIN, turn, stratum.number, first + c)
        found.append(Chain(stratum, stratum.low + offset, players, stream))
    return found


def alone(stratum: Stratum, people: _Players, turn: int) -> list[Chain]:
    """A chain of its own for each of some people who were not chosen by chance; turns spread over the stratum's sizes."""
    size = stratum.low + int((turn + 0.5) / TURNS * (stratum.high - stratum.low))
    return [
        Chain(stratum, size, people[c : c + 1], _stream(_ALONE, turn, stratum.number, int(people[c])))
        for c in range(len(people))
    ]


def rows_of(request: Request, plan: Sequence[Chain]) -> Iterator[NDArray[np.bool_]]:
    """The chains' coalitions, each followed by its complement, in chunks of whole chains."""
    n = request.n_players
    step = max(1, chunk_rows(n) // 2)
    some: list[NDArray[np.bool_]] = []
    count = 0
    for chain in plan:
        rows = np.zeros((len(chain.players) + (chain.size > 0), n), dtype=np.bool_)
        _fill(*_key(request), chain.stream, chain.size, chain.players, rows)
        some.append(rows)
        count += len(rows)
        if count >= step:
            yield with_complements(np.concatenate(some))
            some, count = [], 0
    if some:
        yield with_complements(np.concatenate(some))


def _shuffled(request: Request, people: _Players, stream: np.uint64) -> _Players:
    order = np.empty(len(people), dtype=np.int64)
    shuffle(*_key(request), stream, len(people), order)
    return people[order]


def _key(request: Request) -> tuple[np.uint64, np.uint64, np.uint64]:
    return np.uint64(request.seed), np.uint64(request.run), np.uint64(Purpose.CHAINS)


def _stream(kind: int, turn: int, stratum: int, place: int) -> np.uint64:
    """The number of a stream of draws."""
    return np.uint64(kind << 60 | turn << 32 | stratum << 24 | place)


@numba.njit(cache=True)
def _fill(
    seed: np.uint64,
    run: np.uint64,
    purpose: np.uint64,
    stream: np.uint64,
    size: int,
    players: NDArray[np.int64],
    out: NDArray[np.bool_],
) -> None:
    """The rows of a chain: ``size`` others, then the players one by one."""
    n = out.shape[1]
    row = np.zeros(n, dtype=np.bool_)
    if size > 0:
        order = np.empty(n, dtype=np.int64)
        shuffle(seed, run, purpose, stream, min(size + len(players), n), order)
        for player in players:
            row[player] = True  # for now: these are no others
        chosen = np.empty(size, dtype=np.int64)
        found = 0
        for other in order:
            if found < size and not row[other]:
                chosen[found] = other
                found += 1
        row[:] = False
        for other in chosen:
            row[other] = True
        out[0] = row
    for t in range(len(players)):
        row[players[t]] = True
        out[t + (1 if size > 0 else 0)] = row
