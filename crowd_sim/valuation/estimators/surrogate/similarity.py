"""What scores of similarity are made of: the cosine of a coalition's mean with the target, its length, its distance.

No quadratic of the mean comes near a cosine. Shapley values of these features have no closed form; but they cost no
evaluation, so that all coalitions of up to 16 players are enumerated, and of more many are sampled.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from crowd_sim.linear_algebra import back, orthonormal, product, times, transposed_times
from crowd_sim.valuation.estimators.surrogate.design import draw_pairs
from crowd_sim.valuation.estimators.surrogate.residual import contrasts, number_of_pairs

_MOST_PAIRS = 1 << 15  # all of 16 players
_MOST_WORK = 1 << 29  # multiplications
_MOST_ENTRIES = 1 << 22
_LEAST = 1e-9  # relative; what varies less is constant

Vector = NDArray[np.float64]
Means = tuple[Vector, Vector]


@dataclass(frozen=True, eq=False)
class Similarity:
    """Odd parts of three features of a coalition's mean, and of their squares and products.

    Attributes:
        aim: float64[d], the target's direction.
        target: float64[d].
        middle: float64[3], what the features are centred at.
        units: float64[3], what they are divided by.
        values: float64[3, n] and float64[6, n], the Shapley values less their mean.
        sampled: where not all pairs are known, what is left of the features at those of sizes that were sampled, float64[9, s],
            and the variances float64[n, s] of the values per square of it.
    """

    aim: Vector
    target: Vector
    middle: Vector
    units: Vector
    values: tuple[Vector, ...] = ()
    sampled: tuple[Vector, Vector] | None = None

    def features(self, means: Means) -> tuple[Vector, Vector]:
        """Of pairs whose coalitions have ``means`` float64[m, d] and their complements others: float64[m, 3] and [m, 6]."""
        inside, outside = ((self.plain(mean) - self.middle) / self.units for mean in means)
        row, column = np.triu_indices(3)
        products = inside[:, row] * inside[:, column] - outside[:, row] * outside[:, column]
        return 0.5 * (inside - outside), 0.5 * products

    def uncertainty(self, coefficients: Vector) -> Vector | float:
        """The variances float64[n] of the values of the features times ``coefficients`` float64[9]; 0 of enumerated ones."""
        if self.sampled is None:
            return 0.0
        left, squares = self.sampled
        return times(squares, np.square(transposed_times(left, coefficients)))

    def plain(self, mean: Vector) -> Vector:
        """Cosine, length and distance of ``mean`` float64[m, d]: float64[m, 3]."""
        length = np.sqrt(np.square(mean).sum(axis=1))
        cosine = times(mean, self.aim) / np.where(length > 0.0, length, 1.0)
        return np.column_stack([cosine, length, np.sqrt(np.square(mean - self.target).sum(axis=1))])


def similarity(
    vectors: Vector, target: Vector, controls: Callable[[Vector], Vector], of_controls: Vector
) -> Similarity:
    """Of a game of the players' ``vectors`` float64[n, d] and ``target`` float64[d].

    ``controls`` makes of signs [m, n] features [m, f] whose values less their mean are known, ``of_controls`` float64[f, n]:
    what they explain needs no sample.
    """
    n, d = vectors.shape
    every = 2 ** (n - 1) - 1
    signs, weights = _sampled(n, max(1, min(every, _MOST_PAIRS, _MOST_WORK // (n * d), _MOST_ENTRIES // n)))
    means = means_of(signs, vectors)
    length = max(float(np.sqrt(np.square(target).sum())), 1e-300)
    found = Similarity(target / length, target, np.zeros(3), np.ones(3))
    both = np.concatenate([found.plain(mean) for mean in means])
    middle = both.mean(axis=0)
    units = np.sqrt(np.square(both - middle).mean(axis=0))
    units[units <= _LEAST * np.abs(both).max(axis=0)] = 1.0
    found = replace(found, middle=middle, units=units)
    features = np.column_stack(found.features(means)).T.copy()
    values = np.zeros((len(features), n))
    solvable = orthonormal(controls(signs)) if len(signs) < every else None
    for place, feature in enumerate(features):
        if solvable is not None:
            basis, triangle = solvable
            explained = times(basis, feature)
            values[place] = transposed_times(of_controls, back(triangle, explained))
            features[place] -= transposed_times(basis, explained)
        values[place] += times(weights, features[place])
    sampled = None
    if len(signs) < every:
        missed = _missed(signs)
        some = missed > 0.0
        sampled = np.ascontiguousarray(features[:, some]), np.square(weights[:, some]) * missed[some]
    return replace(found, values=(values[:3], values[3:]), sampled=sampled)


def means_of(signs: Vector, vectors: Vector) -> Means:
    """Those of the coalitions ``signs`` [m, n] and of their complements, float64[m, d] each."""
    members = (signs > 0).astype(np.float64)
    size = members.sum(axis=1, keepdims=True)
    return product(members, vectors) / size, product(1.0 - members, vectors) / (signs.shape[1] - size)


def _missed(signs: Vector) -> Vector:
    """Of the pairs of each one's size, the share that is not among ``signs`` [m, n]: float64[m]."""
    size = (signs > 0).sum(axis=1)
    drawn = np.bincount(size)
    return np.array([1.0 - drawn[k] / number_of_pairs(signs.shape[1], int(k)) for k in np.unique(size)])[size - size[0]]


@lru_cache(maxsize=2)
def _sampled(n: int, n_pairs: int) -> tuple[Vector, Vector]:
    """Pairs float64[m, n], the same for every game, and what each weighs in the values, float64[n, m]."""
    signs = np.where(draw_pairs(n, n_pairs, 0, 0), 1.0, -1.0)
    size = (signs > 0).sum(axis=1)
    drawn = {int(k): int((size == k).sum()) for k in np.unique(size)}
    inside, outside = contrasts(size, n, drawn)
    weights = np.where(signs > 0, inside[:, None], outside[:, None])
    return signs, np.ascontiguousarray(weights.T)
