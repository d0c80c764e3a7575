"""Means of coalitions: the one kernel that every averaging game stands on."""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

from crowd_sim.valuation.coalition_lists import Lists

_BITS = 6  # players of a block; the sums of all 64 subsets of a block are tabled
_TABLE_ROWS = 128  # coalitions from which a table pays
_TABLE_CELLS = 1 << 22  # numbers that a table may hold
_SCAN = 8  # a list of more than n / 8 players is put in order by a look at every player
_AT_ONCE = 4  # blocks added up in one go
_FEW_PLAYERS = 256  # up to which a table is faster than adding up the members of a list


@numba.njit(cache=True)
def _table(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """The sums of all subsets of each block, by block and code."""
    n, d = vectors.shape
    table = np.zeros(((n + _BITS - 1) // _BITS, 1 << _BITS, d))
    for i in range(n):
        block, bit = divmod(i, _BITS)
        for code in range(1 << bit):
            for j in range(d):
                table[block, code + (1 << bit), j] = table[block, code, j] + vectors[i, j]
    return table


@numba.njit(cache=True)
def _means_by_table(coalitions: NDArray[np.bool_], vectors: NDArray[np.float64], out: NDArray[np.float64]) -> None:
    n, d = vectors.shape
    table = _table(vectors)
    total = np.empty(d)
    for row in range(coalitions.shape[0]):
        size = 0
        total[:] = 0.0
        for block in range(table.shape[0]):
            code = 0
            for bit in range(min(_BITS, n - block * _BITS)):
                code |= int(coalitions[row, block * _BITS + bit]) << bit
                size += coalitions[row, block * _BITS + bit]
            for j in range(d):
                total[j] += table[block, code, j]
        for j in range(d):
            out[row, j] = total[j] / max(size, 1)


@numba.njit(cache=True)
def _means(coalitions: NDArray[np.bool_], vectors: NDArray[np.float64], out: NDArray[np.float64]) -> None:
    n, d = vectors.shape
    total, part = np.empty(d), np.empty(d)
    for row in range(coalitions.shape[0]):
        size = 0
        total[:] = 0.0
        for start in range(0, n, _BITS):
            part[:] = 0.0
            before = size
            for i in range(start, min(start + _BITS, n)):
                if coalitions[row, i]:
                    size += 1
                    for j in range(d):
                        part[j] += vectors[i, j]
            if size > before:
                for j in range(d):
                    total[j] += part[j]
        for j in range(d):
            out[row, j] = total[j] / max(size, 1)


@numba.njit(cache=True)
def _put_in_order(players: NDArray[np.int32], held: NDArray[np.bool_]) -> None:
    """Sort in place; ``held`` bool[n] is all False, before and after."""
    if len(players) * _SCAN < len(held):
        players.sort()
        return
    for player in players:
        held[player] = True
    found = 0
    for player in range(len(held)):
        if held[player]:
            players[found] = player
            found += 1
            held[player] = False


@numba.njit(cache=True)
def _means_of_lists(
    members: NDArray[np.int32], ends: NDArray[np.int64], vectors: NDArray[np.float64], out: NDArray[np.float64]
) -> None:
    n, d = vectors.shape
    total, part = np.empty(d), np.empty(d)
    held = np.zeros(n, dtype=np.bool_)
    start = 0
    for row in range(len(ends)):
        players = members[start : ends[row]].copy()
        _put_in_order(players, held)
        size = len(players)
        total[:] = 0.0
        part[:] = 0.0
        for a in range(size):
            for j in range(d):
                part[j] += vectors[players[a], j]
            if a + 1 == size or players[a + 1] // _BITS != players[a] // _BITS:
                for j in range(d):
                    total[j] += part[j]
                part[:] = 0.0
        for j in range(d):
            out[row, j] = total[j] / max(size, 1)
        start = ends[row]


@numba.njit(cache=True)
def _means_of_lists_by_table(
    members: NDArray[np.int32], ends: NDArray[np.int64], vectors: NDArray[np.float64], out: NDArray[np.float64]
) -> None:
    d = vectors.shape[1]
    table = _table(vectors)
    rows = table.reshape(-1, d)
    codes = np.zeros(len(table), dtype=np.int64)
    used = np.empty(len(table) + _AT_ONCE, dtype=np.int64)
    start = 0
    for row in range(len(ends)):
        end = ends[row]
        for t in range(start, end):
            player = np.uint32(members[t])  # unsigned: quicker to divide
            its_block = player // np.uint32(_BITS)
            codes[its_block] |= 1 << np.int64(player - its_block * np.uint32(_BITS))
        count = 0
        for block in range(len(codes)):  # the blocks in use, without a branch that nobody could foresee
            used[count] = (block << _BITS) + codes[block]
            count += codes[block] > 0
            codes[block] = 0
        used[count : count + _AT_ONCE] = 0  # the sum of nobody
        total = out[row]
        total[:] = 0.0
        for k in range(0, count, _AT_ONCE):
            first, second, third, fourth = rows[used[k]], rows[used[k + 1]], rows[used[k + 2]], rows[used[k + 3]]
            for j in range(d):
                total[j] = (((total[j] + first[j]) + second[j]) + third[j]) + fourth[j]
        size = max(end - start, 1)
        for j in range(d):
            total[j] /= size
        start = end


def list_means(lists: Lists, vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """`coalition_means` of coalitions given as lists: the same bits, at a cost that does not grow with n."""
    out = np.empty((len(lists), vectors.shape[1]))
    tabled = len(vectors) <= _FEW_PLAYERS and _pays(len(lists), *vectors.shape)
    (_means_of_lists_by_table if tabled else _means_of_lists)(lists.members, lists.ends, vectors, out)
    return out


def _pays(m: int, n: int, d: int) -> bool:
    """Whether a table pays for m coalitions."""
    return m >= _TABLE_ROWS and (n // _BITS + 1) * (1 << _BITS) * d <= _TABLE_CELLS


def coalition_means(coalitions: NDArray[np.bool_], vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean of each coalition's vectors: float64[m, d] for ``coalitions`` bool[m, n] and ``vectors`` [n, d].

    The empty coalition's mean is 0. Members are added up in ascending order within blocks of six players, then the
    blocks, with or without a table of the blocks' sums; so a coalition's mean has the same bits whichever others are in
    the call.
    """
    m, (n, d) = len(coalitions), vectors.shape
    out = np.empty((m, d))
    tabled = _pays(m, n, d)
    (_means_by_table if tabled else _means)(np.ascontiguousarray(coalitions, dtype=np.bool_), vectors, out)
    return out
