"""Games of few players that hundreds of odd Fourier terms all but make: the terms, found batch by batch by least squares.

A prior by relevances expects each of them, so that none stands out of it, and counts for noise what it does not expect.
Orthogonal matching pursuit asks for no prior: a term is tested against what those before it leave (Donoho, Tsaig, Drori and
Starck, "Sparse solution of underdetermined systems of linear equations by stagewise orthogonal matching pursuit", IEEE
Transactions on Information Theory 58, 2012). Characters are orthogonal over all pairs: a pair weighs the root of how many of
its size there are to each that was drawn. One Walsh-Hadamard transform has the inner products of all characters.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crowd_sim.linear_algebra import cholesky, gram, solved, times, transposed_times
from crowd_sim.valuation.estimators.surrogate.fourier import coded, transformed
from crowd_sim.valuation.estimators.surrogate.prior import sizes
from crowd_sim.valuation.estimators.surrogate.residual import number_of_pairs

_STANDS_OUT = 20.0  # squared, in standard deviations
_OF_BEST = 0.25  # of the largest score: smaller ones may be shadows of it
_LEAST_BATCH, _BATCH = 8, 4  # terms at a time, or one to so many that there are
_PAIRS, _MOST = 10, 256  # for each term, and terms
_ALL_BUT = 1e-8  # of the mean square: what leaves less may have all terms of the game, in twice the room

Vector = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Pursuit:
    """Terms of a game, found one batch after the other.

    Attributes:
        members: bool[k, n], of more than one player each, in the order in which they were found.
        missed: the mean square of what they, and level 1, leave of the pairs, by the degrees of freedom left.
    """

    members: NDArray[np.bool_]
    missed: float


def pursued(signs: Vector, columns: Vector, worth: Vector) -> Pursuit:
    """The terms of a game of which no prior is known.

    Args:
        signs: float64[m, n], of the pairs, of at most `fourier.MOST_PLAYERS` players.
        columns: float64[m, p], of the trend; fitted besides.
        worth: float64[m].
    """
    m, n = signs.shape
    codes, size = coded(signs < 0.0), sizes(signs)
    drawn = np.bincount(size, minlength=n + 1).tolist()
    share = np.array([number_of_pairs(n, min(k, n - k)) / max(drawn[k], 1) for k in range(n + 1)])
    weights = np.sqrt(share)[size]
    sets = (np.arange(1 << n)[:, None] >> np.arange(n) & 1).astype(np.bool_)
    untaken = sets.sum(axis=1) % 2 == 1
    terms = (1 << np.arange(n)).astype(np.int64)
    untaken[terms] = False
    columns = columns[:, n:] if columns.shape[1] >= n else columns[:, 1:]  # the others are of level 1
    p = columns.shape[1]
    of_pairs, of_worth = transformed(weights, codes, n), transformed(weights * worth, codes, n)
    of_columns = np.array([transformed(weights * column, codes, n) for column in columns.T]).reshape(p, 1 << n)
    scaled = np.sqrt(weights)[:, None] * columns
    among, along = gram(scaled), transposed_times(columns, weights * worth)
    rest, room, enough = worth, min(m // _PAIRS, _MOST), _ALL_BUT * float(np.square(worth).mean())
    while True:
        normal = np.empty((p + len(terms), p + len(terms)))
        normal[:p, :p], normal[:p, p:] = among, of_columns[:, terms]
        normal[p:, :p], normal[p:, p:] = normal[:p, p:].T, of_pairs[terms[:, None] ^ terms]
        upper, regular = cholesky(normal)
        if not regular:
            break
        coefficients = solved(upper, np.concatenate([along, of_worth[terms]]))
        fitted = transformed(coefficients[p:], terms, n)
        rest = worth - fitted[codes] - times(columns, coefficients[:p])
        noise = float(np.square(weights * rest).sum())
        if noise == 0.0:
            break
        if len(terms) - n >= _MOST // 2 and float(np.square(rest).mean()) <= enough:
            room = min(m // _PAIRS, _MOST) * 2
        score = np.where(untaken, np.square(transformed(weights * rest, codes, n)), 0.0) / noise
        best = np.flatnonzero(score > max(_STANDS_OUT, _OF_BEST * float(score.max())))
        most = min(room - (len(terms) - n), max(_LEAST_BATCH, len(terms) // _BATCH))
        best = best[np.argsort(-score[best], kind="stable")[:most]]
        if len(best) == 0:
            break
        terms = np.append(terms, best)
        untaken[best] = False
    freedom = max(m - len(terms) - p, 1)
    return Pursuit(sets[terms[n:]], float(np.square(rest).sum()) / freedom)
