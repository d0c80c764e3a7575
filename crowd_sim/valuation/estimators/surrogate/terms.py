"""Few odd Fourier terms of three players that stand out of a game, as the interactions of boosted trees: added to the prior.

A relevance per player says which players interact, and not with whom. Terms are chosen by how the likelihood would grow with
them, and their variances found as in sparse Bayesian learning (Tipping, JMLR 1, 2001; MacKay's fixed point). Whether they stay,
pairs say that had no part in the choice: that is OddSHAP's and PolySHAP's question, asked of the game at hand.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numba
import numpy as np
from numpy.typing import NDArray

from crowd_sim.linear_algebra import cholesky, forward, gram, inverse_of, times, transposed_times
from crowd_sim.valuation.estimators.surrogate.gp import Equations, equations
from crowd_sim.valuation.estimators.surrogate.prior import Prior

_FEWEST_PAIRS, _MOST_PLAYERS = 96, 100
_MOST_TERMS, _PAIRS_A_TERM = 256, 4  # candidates
_TRAINED, _TESTED = 1000, 512  # pairs at most, of those that say whether terms stay
_BETTER = 0.95  # than without, in squares: terms that explain less than this are left out
_STEPS, _OPEN_STEPS = 12, 3
_NOTHING = 1e-9  # a variance, relative to the data's

Vector = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Terms:
    """Terms Π_{i∈T} x_i, each times its standard deviation a priori: `Features` of one kind.

    Attributes:
        players: int64[k, 3].
        deviations: float64[k], in units of the prior's.
        values: float64[k, n], what they make of the values less their mean.
        freedom: how many of them the data determine.
    """

    players: NDArray[np.int64]
    deviations: Vector
    values: tuple[Vector]
    freedom: float

    def features(self, signs: Vector) -> tuple[Vector]:
        """Of the pairs ``signs`` [m, n]: float64[m, k]."""
        return (_columns(signs, self.players) * self.deviations,)


def with_terms(
    prior: Prior, found: Equations, signs: Vector, columns: Vector, worth: Vector, order: NDArray[np.int64]
) -> tuple[Prior, Equations, float]:
    """``prior`` and equations with the terms that stand out of ``worth`` float64[m], and how many of these the data determine.

    As they are where no term does.

    Args:
        prior: learnt, without features.
        found: of all pairs.
        signs: float64[m, n].
        columns: float64[m, p], the trend.
        worth: float64[m].
        order: a permutation of the pairs.
    """
    m, n = signs.shape
    if m < _FEWEST_PAIRS or n > _MOST_PLAYERS or not _hold(prior, signs, columns, worth, order):
        return prior, found, 0.0
    terms = _standing_out(found, signs, worth)
    if terms is None:
        return prior, found, 0.0
    told = replace(prior, known=terms, variances=(1.0,))
    again = equations(told, signs, columns)
    return (prior, found, 0.0) if again is None else (told, again, terms.freedom)


def _hold(prior: Prior, signs: Vector, columns: Vector, worth: Vector, order: NDArray[np.int64]) -> bool:
    """Whether terms that stand out of some pairs predict others better than the prior without them does."""
    m = len(signs)
    trained = np.sort(order[: min(2 * m // 3, _TRAINED)])
    tested = np.sort(order[len(trained) :][:_TESTED])
    plain = equations(prior, signs[trained], columns[trained])
    terms = None if plain is None else _standing_out(plain, signs[trained], worth[trained])
    if plain is None or terms is None:
        return False
    told = replace(prior, known=terms, variances=(1.0,))
    misses = []
    for tried, fit in ((prior, plain), (told, equations(told, signs[trained], columns[trained]))):
        if fit is None:
            return False
        slopes, pulls = fit.coefficients(fit.whitened(worth[trained]))
        expected = times(columns[tested], slopes) + times(tried.between(signs[tested], signs[trained]), pulls)
        misses.append(float(np.square(worth[tested] - expected).sum()))
    return misses[1] < _BETTER * misses[0]


def _standing_out(found: Equations, signs: Vector, worth: Vector) -> Terms | None:
    """Of all terms of three players those that ``worth`` float64[m] of the pairs ``signs`` [m, n] asks for."""
    m, n = signs.shape
    white = found.whitened(worth)
    _, pulls = found.coefficients(white)
    players = _likeliest(signs, pulls, min(_MOST_TERMS, m // _PAIRS_A_TERM))
    rest = found.off_trend(white[:, None])[:, 0]
    along = found.off_trend(forward(found.upper, _columns(signs, players)))
    squares, pulled = gram(along), transposed_times(along, rest)
    total, freedom = float(np.square(rest).sum()), m - len(found.basis)
    scale = total / freedom
    own = squares.diagonal()
    variances = np.maximum(np.square(pulled) - scale * own, 0.0) / (4.0 * np.square(own))
    kept = np.flatnonzero(variances > _NOTHING * scale)
    used = 0.0
    for step in range(_STEPS):
        if len(kept) == 0:
            return None
        inner = squares[np.ix_(kept, kept)]
        inner[np.diag_indices(len(kept))] += scale / variances[kept]
        upper, regular = cholesky(inner)
        if not regular:
            return None
        inverse = inverse_of(upper)
        means = times(inverse, pulled[kept])
        after = scale * inverse.diagonal()
        told = np.maximum(1.0 - after / variances[kept], 1e-6)
        used = float(told.sum())
        more = np.square(means) + after if step < _OPEN_STEPS else np.square(means) / told
        variances = np.zeros_like(variances)
        variances[kept] = more
        scale = max((total - float((pulled[kept] * means).sum())) / freedom, 1e-12 * total / freedom)
        kept = np.flatnonzero(variances > _NOTHING * scale)
    if len(kept) == 0:
        return None
    chosen, deviations = players[kept], np.sqrt(variances[kept] / scale)
    values = np.zeros((len(kept), n))
    np.put_along_axis(values, chosen, 2.0 / 3.0, axis=1)
    values = (values - 2.0 / n) * deviations[:, None]
    return Terms(chosen, deviations, (values,), used)


def _columns(signs: Vector, players: NDArray[np.int64]) -> Vector:
    return np.ascontiguousarray(signs[:, players[:, 0]] * signs[:, players[:, 1]] * signs[:, players[:, 2]])


def _likeliest(signs: Vector, pulls: Vector, count: int) -> NDArray[np.int64]:
    """The ``count`` sets of three players int64[k, 3] with the largest |Σ pulls Π x|."""
    n = signs.shape[1]
    sums = np.abs(_sums(np.ascontiguousarray(signs.T), pulls))
    chosen = np.sort(np.argsort(-sums, kind="stable")[:count])
    first, second = np.triu_indices(n - 1, 1)
    starts = np.cumsum(n - 1 - second) - (
        n - 1 - second
    )  # of the pairs (first, second), with thirds second + 1 … n − 1
    pair = np.searchsorted(starts, chosen, side="right") - 1
    return np.column_stack([first[pair], second[pair], second[pair] + 1 + chosen - starts[pair]])


@numba.njit(cache=True)
def _sums(turned: Vector, pulls: Vector) -> Vector:
    """Σ pulls x_a x_b x_c for all a < b < c, in that order, of ``turned`` [n, m]."""
    n, m = turned.shape
    out = np.empty(n * (n - 1) * (n - 2) // 6)
    both, parts = np.empty(m), np.empty(8)
    place = 0
    for a in range(n - 2):
        for b in range(a + 1, n - 1):
            for j in range(m):
                both[j] = pulls[j] * turned[a, j] * turned[b, j]
            for c in range(b + 1, n):
                parts[:] = 0.0
                whole = m - m % 8
                for j in range(0, whole, 8):
                    for k in range(8):
                        parts[k] += both[j + k] * turned[c, j + k]
                total = 0.0
                for j in range(whole, m):
                    total += both[j] * turned[c, j]
                for k in range(8):
                    total += parts[k]
                out[place] = total
                place += 1
    return out
