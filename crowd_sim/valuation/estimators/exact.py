"""Shapley values by enumerating every coalition."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numba
import numpy as np
from numpy.typing import NDArray

from crowd_sim.errors import InputError
from crowd_sim.valuation.request import Request
from crowd_sim.valuation.result import ShapleyResult

MAX_PLAYERS = 20
_CHUNK = 1 << 13


def exact(request: Request) -> list[ShapleyResult]:
    """Exact values from all 2^n utilities; the budget does not bound it.

    φ_i = Σ_S v(S) w_i(S), with w_i(S) = (s−1)! (n−s)! / n! where i is in S and −s! (n−s−1)! / n! where it is not
    (s = |S|): the definition, summed over coalitions instead of over marginals, so that no table of utilities is kept.

    Raises:
        InputError: more than 20 players.
    """
    n, n_games = request.n_players, len(request.games)
    if n > MAX_PLAYERS:
        raise InputError("method", "exact", f"enumerates at most {MAX_PLAYERS} players; this game has {n}")
    inside = np.array([0.0] + [1.0 / (n * math.comb(n - 1, s - 1)) for s in range(1, n + 1)])
    outside = np.array([1.0 / (n * math.comb(n - 1, s)) for s in range(n)] + [0.0])
    values = np.zeros((n_games, n))
    empty: NDArray[np.float64] | None = None
    for coalitions, utilities in request.utilities(all_coalitions(n)):
        if empty is None:
            empty = utilities[:, 0].copy()  # of the first chunk's first row
        _fold(coalitions, utilities, empty, inside, outside, values)
    return [ShapleyResult(values[g], np.zeros(n), 2**n, "exact") for g in range(n_games)]


def all_coalitions(n: int) -> Iterator[NDArray[np.bool_]]:
    """Every coalition of n players, in fixed chunks bool[m, n]; number c holds player i where bit i of c is set."""
    players = np.arange(n)
    for start in range(0, 2**n, _CHUNK):
        codes = np.arange(start, min(start + _CHUNK, 2**n))
        yield (codes[:, None] >> players) & 1 == 1


@numba.njit(cache=True)
def _fold(
    coalitions: NDArray[np.bool_],
    utilities: NDArray[np.float64],
    empty: NDArray[np.float64],
    inside: NDArray[np.float64],
    outside: NDArray[np.float64],
    values: NDArray[np.float64],
) -> None:
    m, n = coalitions.shape
    n_games = utilities.shape[0]
    part = np.zeros((n_games, n))  # a sum of short sums loses fewer digits than one long sum
    for row in range(m):
        size = 0
        for i in range(n):
            size += coalitions[row, i]
        for g in range(n_games):
            utility = utilities[g, row] - empty[g]  # a constant takes no part, to the last digit
            joined = utility * inside[size]
            left = -utility * outside[size]
            for i in range(n):
                part[g, i] += joined if coalitions[row, i] else left
    values += part
