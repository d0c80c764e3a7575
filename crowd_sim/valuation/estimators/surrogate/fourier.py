"""Products of signs over sets of players, the characters of the hypercube, and sums of them over pairs.

A set of players, or those who are out of a coalition, has a code: the sum of 2^i over them. The product over a set T at a
coalition is −1 to the number of the members of T who are out, and the product of two sets' characters is that of the code
`one ^ other`.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

from crowd_sim.linear_algebra import gram

# whose 2^n characters are all looked at: of 16, in `cube`, sums of large unanimity games lose a third in error
MOST_PLAYERS = 15

_AT_ONCE = 8  # sets, whose products stand side by side

Vector = NDArray[np.float64]
Codes = NDArray[np.int64]


def coded(members: NDArray[np.bool_]) -> Codes:
    """The sum of 2^i over the members i: int64[m] of bool[m, n]."""
    return members.astype(np.int64) @ (1 << np.arange(members.shape[1]))  # of whole numbers


def transformed(weights: Vector, codes: Codes, n: int) -> Vector:
    """The sums float64[2^n] of ``weights`` [m] times every character at ``codes`` [m]."""
    out = np.zeros(1 << n)
    _add(out, codes, weights)
    transform(out)
    return out


def products(members: NDArray[np.bool_], signs: Vector) -> Vector:
    """The products float64[m, k] of ``signs`` [m, n] over the sets ``members`` bool[k, n]."""
    return _products(np.ascontiguousarray(members), np.ascontiguousarray((signs < 0.0).T))


@numba.njit(cache=True)
def _products(members: NDArray[np.bool_], minus: NDArray[np.bool_]) -> Vector:
    n, m = minus.shape
    out, odd = np.empty((m, len(members))), np.empty((_AT_ONCE, m), dtype=np.bool_)
    for first in range(0, len(members), _AT_ONCE):
        last = min(first + _AT_ONCE, len(members))
        odd[:] = False
        for place in range(first, last):
            of_set = odd[place - first]
            for player in range(n):
                if members[place, player]:
                    row = minus[player]
                    for j in range(m):
                        of_set[j] ^= row[j]
        for j in range(m):
            for place in range(first, last):
                out[j, place] = -1.0 if odd[place - first, j] else 1.0
    return out


def sums(members: NDArray[np.bool_], signs: Vector, weights: Vector) -> Vector:
    """The sums float64[k] of ``weights`` [m] times the products of ``signs`` [m, n] over the sets ``members`` bool[k, n]."""
    n = signs.shape[1]
    if n <= MOST_PLAYERS:
        return transformed(weights, coded(signs < 0.0), n)[coded(members)]
    return _sums(members, np.ascontiguousarray(signs.T), weights)


@numba.njit(cache=True)
def _sums(members: NDArray[np.bool_], turned: Vector, weights: Vector) -> Vector:
    out, parts = np.empty(len(members)), np.empty(len(weights))
    for place in range(len(members)):
        parts[:] = weights
        for player in range(len(turned)):
            if members[place, player]:
                row = turned[player]
                for j in range(len(parts)):
                    parts[j] *= row[j]
        total = 0.0
        for j in range(len(parts)):
            total += parts[j]
        out[place] = total
    return out


def gram_of(members: NDArray[np.bool_], signs: Vector) -> Vector:
    """Inner products [k, k] of the products of ``signs`` [m, n] over the sets ``members`` bool[k, n]: of whole numbers."""
    used = members.any(axis=0)
    if used.sum() > MOST_PLAYERS:
        return gram(products(members, signs))
    sets = coded(members[:, used])
    return transformed(np.ones(len(signs)), coded(signs[:, used] < 0.0), int(used.sum()))[sets[:, None] ^ sets]


@numba.njit(cache=True)
def _add(out: Vector, codes: Codes, weights: Vector) -> None:
    for j in range(len(codes)):
        out[codes[j]] += weights[j]


@numba.njit(cache=True)
def transform(values: Vector) -> None:
    """The Walsh-Hadamard transform of ``values`` float64[2^n], in place."""
    half = 1
    while half < len(values):
        for first in range(0, len(values), 2 * half):
            for j in range(first, first + half):
                one, two = values[j], values[j + half]
                values[j], values[j + half] = one + two, one - two
        half *= 2
