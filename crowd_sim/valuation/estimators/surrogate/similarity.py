"""What scores of similarity are made of: the cosine of a coalition's mean with the target, its length, its distance.

No quadratic of the mean comes near a cosine. Shapley values of these features have no closed form; but they cost no
evaluation, so that all coalitions of up to 16 players are enumerated, and of more many are sampled.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from crowd_sim.linear_algebra import back, orthonormal, product, times, transposed_times
from crowd_sim.valuation.estimators.surrogate.design import all_of_size
from crowd_sim.valuation.estimators.surrogate.residual import contrasts, fresh_pairs, number_of_pairs

_LEAST_PAIRS, _MOST_PAIRS = 1 << 15, 1 << 20  # the former is all of 16 players
_MORE = 64  # pairs to each that is evaluated
_MOST_WORK = 1 << 29  # multiplications
_MOST_ENTRIES = 1 << 26
_ENUMERATED = 0.5  # of a size's pairs: with a share of so many it gets all
_MOST_SQUARED = 8  # directions whose products are controls
_TO_EACH = 24  # pairs of a size to each control: with fewer they explain by chance
_MOST_LEVERAGE = 0.9  # of a pair that is known by itself the regression says next to nothing
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
        sampled: the sizes of which not all pairs are known.
    """

    aim: Vector
    target: Vector
    middle: Vector
    units: Vector
    values: tuple[Vector, ...] = ()
    sampled: tuple[_Sampled, ...] = ()

    def features(self, means: Means) -> tuple[Vector, Vector]:
        """Of pairs whose coalitions have ``means`` float64[m, d] and their complements others: float64[m, 3] and [m, 6]."""
        inside, outside = ((self.plain(mean) - self.middle) / self.units for mean in means)
        row, column = np.triu_indices(3)
        products = inside[:, row] * inside[:, column] - outside[:, row] * outside[:, column]
        return 0.5 * (inside - outside), 0.5 * products

    def uncertainty(self, coefficients: Vector) -> Vector | float:
        """The variances float64[n] of the values of the features times ``coefficients`` float64[9]; 0 of enumerated ones."""
        return sum((one.variance(coefficients) for one in self.sampled), start=0.0)

    def plain(self, mean: Vector) -> Vector:
        """Cosine, length and distance of ``mean`` float64[m, d]: float64[m, 3]."""
        length = np.sqrt(np.square(mean).sum(axis=1))
        cosine = times(mean, self.aim) / np.where(length > 0.0, length, 1.0)
        return np.column_stack([cosine, length, np.sqrt(np.square(mean - self.target).sum(axis=1))])


def similarity(vectors: Vector, target: Vector, points: Vector, evaluated: int) -> Similarity:
    """Of a game of the players' ``vectors`` float64[n, d] and ``target`` float64[d].

    What a quadratic of the mean explains of a size needs no sample: values of such are known, by the size. Games of which more
    is ``evaluated``, in pairs, are worth a larger sample.

    Args:
        vectors: the players'.
        target: of the game.
        points: float64[n, r], the vectors less their mean, along their principal directions.
        evaluated: how many pairs of coalitions.
    """
    n, d = vectors.shape
    wanted = _LEAST_PAIRS
    while wanted < min(_MORE * evaluated, _MOST_PAIRS):
        wanted *= 2
    every = 2 ** (n - 1) - 1
    sizes = _drawn(n, max(1, min(every, wanted, _MOST_WORK // (n * d), _MOST_ENTRIES // n)))
    means = [means_of(np.where(members, 1.0, -1.0), vectors) for members in sizes]
    length = max(float(np.sqrt(np.square(target).sum())), 1e-300)
    found = Similarity(target / length, target, np.zeros(3), np.ones(3))
    both = np.concatenate([found.plain(mean) for side in zip(*means, strict=True) for mean in side])
    middle = both.mean(axis=0)
    units = np.sqrt(np.square(both - middle).mean(axis=0))
    units[units <= _LEAST * np.abs(both).max(axis=0)] = 1.0
    found = replace(found, middle=middle, units=units)
    values, sampled = np.zeros((9, n)), []
    for members, pair in zip(sizes, means, strict=True):
        features = np.column_stack(found.features(pair)).T.copy()
        m, size = len(members), int(members[0].sum())
        (inside,), (outside,) = contrasts(np.array([size]), n, {size: m})
        unseen = 1.0 - m / number_of_pairs(n, size)
        if unseen:
            explained, leverage = _explained(features, members, points, m * inside * size / n)
            values += explained
            sampled.append(_Sampled(members, features / (1.0 - leverage), unseen, inside, outside))
        as_numbers = members.astype(np.float64)
        for place, feature in enumerate(features):
            values[place] += (inside - outside) * transposed_times(as_numbers, feature) + outside * feature.sum()
    return replace(found, values=(values[:3], values[3:]), sampled=tuple(sampled))


def _explained(features: Vector, members: NDArray[np.bool_], points: Vector, weight: float) -> tuple[Vector, Vector]:
    """What quadratics of the mean make of the values of ``features`` [f, m], which become what is left: float64[f, n].

    The leverages float64[m] besides: a residual over 1 less its leverage is what the other pairs miss it by.

    Let x_i be the ``points`` [n, r], which sum to 0, and u the mean over S, of size k. Then
    E[u | i in S] − E[u | i not in S] = n / (n − 1) x_i / k. For the products of u with itself it is, but for what all players
    share, (1 − 3 p + 2 p' + q − 2 q') / k² times those of x_i, as one, or two, given others are in S with chances
    p = (k − 1) / (n − 1) and p' = p (k − 2) / (n − 2) beside i, q = k / (n − 1) and q' = q (k − 1) / (n − 2) without.
    """
    (m, n), r, size = members.shape, points.shape[1], int(members[0].sum())
    room = m // _TO_EACH - 1 - r
    if room < 0:
        return np.zeros((len(features), n)), np.zeros(m)
    squared = min(r, _MOST_SQUARED)
    while squared * (squared + 1) // 2 > room:
        squared -= 1
    row, column = np.triu_indices(squared)
    along = product(members.astype(np.float64), points) / size
    found = orthonormal(np.column_stack([np.ones(m), along, along[:, row] * along[:, column]]))
    if found is None:
        return np.zeros((len(features), n)), np.zeros(m)
    p, q, fewer = (size - 1) / (n - 1), size / (n - 1), max(n - 2, 1)
    factor = (1.0 - 3.0 * p + 2.0 * p * (size - 2) / fewer + q - 2.0 * q * (size - 1) / fewer) / size**2
    products = points[:, row] * points[:, column]
    known = weight * np.hstack([points * (n / ((n - 1) * size)), factor * (products - products.mean(axis=0))])
    basis, triangle = found
    values = np.empty((len(features), n))
    for place, feature in enumerate(features):
        within = times(basis, feature)
        values[place] = times(known, back(triangle, within)[1:])
        features[place] -= transposed_times(basis, within)
    return values, np.minimum(np.square(basis).sum(axis=0), _MOST_LEVERAGE)


def means_of(signs: Vector, vectors: Vector) -> Means:
    """Those of the coalitions ``signs`` [m, n] and of their complements, float64[m, d] each."""
    members = (signs > 0).astype(np.float64)
    size = members.sum(axis=1, keepdims=True)
    return product(members, vectors) / size, product(1.0 - members, vectors) / (signs.shape[1] - size)


@lru_cache(maxsize=2)
def _drawn(n: int, n_pairs: int) -> list[NDArray[np.bool_]]:
    """About ``n_pairs`` pairs bool[m, n] of every size of the smaller member, the same for every game.

    Small sizes get more: their features differ more from a quadratic, and weigh more in values.
    """
    sizes = range(1, n // 2 + 1)
    number = {size: number_of_pairs(n, size) for size in sizes}
    if n_pairs >= sum(number.values()):
        return [all_of_size(n, size) for size in sizes]
    whole, counts = set[int](), dict[int, int]()
    while len(whole) < len(sizes):
        share = {size: (0.5 if 2 * size == n else 1.0) / size for size in sizes if size not in whole}
        rate = max(n_pairs - sum(number[size] for size in whole), len(share)) / sum(share.values())
        counts = {size: min(max(2, int(rate * part)), number[size]) for size, part in share.items()}
        new = {size for size, count in counts.items() if count >= _ENUMERATED * number[size]}
        if not new:
            break
        whole |= new
    found = [all_of_size(n, size) for size in sorted(whole)]
    if len(whole) == len(sizes):
        return found
    drawn = np.concatenate([rows[::2] for rows in fresh_pairs(n, counts, 0, 0, np.zeros((0, n), dtype=np.bool_))])
    ends = np.cumsum(list(counts.values()))[:-1]
    return [*found, *np.split(drawn, ends)]


@dataclass(frozen=True, eq=False)
class _Sampled:
    """Pairs of a size that were sampled.

    Attributes:
        members: bool[m, n].
        left: float64[9, m], what is left of the features.
        unseen: the share of the size's pairs that are not among them.
        inside: what a pair weighs in the values of its members, and
        outside: of the others.
    """

    members: NDArray[np.bool_]
    left: Vector
    unseen: float
    inside: float
    outside: float

    def variance(self, coefficients: Vector) -> Vector:
        """Of the values float64[n] of the features times ``coefficients`` float64[9]."""
        squares = self.unseen * np.square(transposed_times(self.left, coefficients))
        inside, outside = self.inside * self.inside, self.outside * self.outside
        return (inside - outside) * transposed_times(self.members.astype(np.float64), squares) + outside * squares.sum()
