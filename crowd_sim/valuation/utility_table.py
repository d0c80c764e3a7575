"""Utilities looked up by coalition: what has been evaluated is not paid for again.

A coalition is a row of bits, ⌈n / 8⌉ bytes, and its number is its place in the order of first asking. A hash table of
numbers finds it: an evaluation takes the packed row, nine bytes a game, and 16 to 32 bytes of table. A dictionary of Python
objects would take ten times that.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

_FEWEST = 64
_EMPTY = -1


@dataclass(frozen=True, eq=False)
class Evaluated:
    """Coalitions of one game with their utilities: what a result carries so that another can continue from it.

    It takes ⌈n / 8⌉ + 8 bytes an evaluation, and pickles as its arrays.

    Attributes:
        n_players: n; of a noisy game 64 more, for the numbers of the draws (`split_draws`).
        coalitions: uint8[m, ⌈n / 8⌉], all different, in the order in which they were first asked for; each a row of bits as
            `numpy.packbits` makes them.
        utilities: float64[m].
        budget: that of the longest valuation they were evaluated for.
        missing: what took the place of utilities that were missing, where it was a number: they are among these.
    """

    n_players: int
    coalitions: NDArray[np.uint8]
    utilities: NDArray[np.float64]
    budget: int
    missing: str | float = "raise"

    def __len__(self) -> int:
        return len(self.utilities)

    def masks(self) -> NDArray[np.bool_]:
        """The coalitions as bool[m, n]."""
        return unpacked(self.coalitions, self.n_players)


class Memory:
    """The utilities of ``n_games`` games of ``n_players`` players, by coalition; it only grows."""

    def __init__(self, n_players: int, n_games: int = 1) -> None:
        self._n_players = n_players
        self._used = 0
        self._rows = np.empty((_FEWEST, packed_bytes(n_players)), dtype=np.uint8)
        self._utilities = np.full((n_games, _FEWEST), np.nan)
        self._asked = np.zeros((n_games, _FEWEST), dtype=np.bool_)
        self._table = np.full(2 * _FEWEST, _EMPTY, dtype=np.int64)

    def __len__(self) -> int:
        """How many coalitions have a number."""
        return self._used

    def numbers(self, rows: NDArray[np.uint8]) -> NDArray[np.int64]:
        """The number of each packed coalition, uint8[m, ⌈n / 8⌉] → int64[m]; new ones get the next in turn."""
        self._make_room(self._used + len(rows))
        numbers = np.empty(len(rows), dtype=np.int64)
        self._used = _find_or_add(self._table, self._rows, self._used, np.ascontiguousarray(rows), numbers)
        return numbers

    def rows(self, numbers: NDArray[np.int64]) -> NDArray[np.uint8]:
        """The packed coalitions with these numbers: int64[m] → uint8[m, ⌈n / 8⌉]."""
        return self._rows[numbers]

    def masks(self, numbers: NDArray[np.int64]) -> NDArray[np.bool_]:
        """The coalitions with these numbers: int64[m] → bool[m, n]."""
        return unpacked(self._rows[numbers], self._n_players)

    def utilities(self, game: int, numbers: NDArray[np.int64]) -> NDArray[np.float64]:
        """Utilities float64[m] of the coalitions with these numbers; NaN where they are not known."""
        return self._utilities[game, numbers]

    def asked(self, game: int, numbers: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of these a game was asked for, bool[m]: also where it had no answer, and the utility is NaN."""
        return self._asked[game, numbers]

    def put(self, numbers: NDArray[np.int64], utilities: NDArray[np.float64]) -> None:
        """Note the utilities float64[G, m] of the coalitions with these numbers, for all games."""
        self._utilities[:, numbers] = utilities
        self._asked[:, numbers] = True

    def put_game(self, game: int, numbers: NDArray[np.int64], utilities: NDArray[np.float64]) -> None:
        """Note the utilities float64[m] of the coalitions with these numbers, for one game."""
        self._utilities[game, numbers] = utilities
        self._asked[game, numbers] = True

    def _make_room(self, wanted: int) -> None:
        capacity = len(self._rows)
        if wanted <= capacity:
            return
        more = max(wanted, 2 * capacity) - capacity
        self._rows = np.concatenate([self._rows, np.empty((more, self._rows.shape[1]), dtype=np.uint8)])
        unknown = np.full((len(self._utilities), more), np.nan)
        self._utilities = np.concatenate([self._utilities, unknown], axis=1)
        self._asked = np.concatenate([self._asked, np.zeros(unknown.shape, dtype=np.bool_)], axis=1)
        slots = 1 << (2 * (capacity + more) - 1).bit_length()  # a power of two, at most half full
        if slots > len(self._table):
            self._table = np.full(slots, _EMPTY, dtype=np.int64)
            _enter_all(self._table, self._rows, self._used)


def packed_bytes(n_players: int) -> int:
    """How many bytes a packed coalition has."""
    return (n_players + 7) // 8


def packed(coalitions: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Coalitions bool[m, n] as rows of bits, uint8[m, ⌈n / 8⌉]."""
    return np.packbits(coalitions, axis=1)


def unpacked(rows: NDArray[np.uint8], n_players: int) -> NDArray[np.bool_]:
    """Rows of bits uint8[m, ⌈n / 8⌉] as coalitions bool[m, n]."""
    return np.unpackbits(rows, axis=1, count=n_players).view(np.bool_)


@numba.njit(cache=True)
def _hash(row: NDArray[np.uint8]) -> np.uint64:
    """FNV-1a, its high bits folded into the low ones, which choose the slot."""
    code = np.uint64(14695981039346656037)
    for byte in row:
        code = (code ^ np.uint64(byte)) * np.uint64(1099511628211)
    return code ^ (code >> np.uint64(32))


@numba.njit(cache=True)
def _find_or_add(
    table: NDArray[np.int64], rows: NDArray[np.uint8], used: int, asked: NDArray[np.uint8], numbers: NDArray[np.int64]
) -> int:
    """Fill ``numbers``; append what is new to ``rows`` and ``table``; how many rows are used then."""
    last = len(table) - 1
    width = rows.shape[1]
    for a in range(len(asked)):
        slot = np.int64(_hash(asked[a]) & np.uint64(last))
        while True:
            number = table[slot]
            if number < 0:
                number = used
                for b in range(width):
                    rows[number, b] = asked[a, b]
                table[slot] = number
                used += 1
                break
            same = True
            for b in range(width):
                if rows[number, b] != asked[a, b]:
                    same = False
                    break
            if same:
                break
            slot = (slot + 1) & last
        numbers[a] = number
    return used


@numba.njit(cache=True)
def _enter_all(table: NDArray[np.int64], rows: NDArray[np.uint8], used: int) -> None:
    last = len(table) - 1
    for number in range(used):
        slot = np.int64(_hash(rows[number]) & np.uint64(last))
        while table[slot] >= 0:
            slot = (slot + 1) & last
        table[slot] = number
