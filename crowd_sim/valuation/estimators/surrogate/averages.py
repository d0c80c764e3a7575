"""What a surrogate may know of an averaging game: the score is a function of the mean of the members' vectors and the target.

Three kinds of features are quadratics of that mean, whose Shapley values are known: its projection on the target, the
square of that and its own square; its coordinates; and their products. Two more are those of `similarity`, which few
quadratics come near. Whether a game is near one is for the likelihood to say, which gives each kind a variance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crowd_sim.linear_algebra import eigenvectors, gram, product, times, transposed_times
from crowd_sim.valuation.estimators.surrogate.similarity import Means, Similarity, means_of, similarity
from crowd_sim.valuation.quadratic_of_mean import QuadraticOfMean

_MOST_DIRECTIONS = 20  # 230 features; further principal components count as unexplained
_LEAST_SQUARE = 1e-12  # of a direction's deviations, relative

Vector = NDArray[np.float64]
Kinds = tuple[Vector, ...]


@dataclass(frozen=True, eq=False)
class Averages:
    """Odd parts of the features of a coalition's mean, in units of this object.

    Attributes:
        vectors: float64[n, d], the players'.
        target: float64[d].
        points: float64[n, r], the players' vectors along their principal directions.
        units: float64[3], of the features of the first kind.
        similar: the features of similarity.
        values: float64[f, n] for each kind, the Shapley values less their mean of every feature.
    """

    vectors: Vector
    target: Vector
    points: Vector
    units: Vector
    similar: Similarity
    values: Kinds

    def features(self, signs: Vector) -> Kinds:
        """Of the pairs ``signs`` [m, n]: float64[m, f] for each kind."""
        means = means_of(signs, self.vectors)
        quadratics = _of_mean(means_of(signs, self.points))
        return (_aimed(means, self.target) / self.units, *quadratics, *self.similar.features(means))

    def uncertainty(self, signs: Vector, pulls: Vector, variances: Sequence[float]) -> Vector | float:
        """The variances float64[n] that sampled features leave in values, where ``pulls`` [m] of ``signs`` are predictions."""
        features = self.similar.features(means_of(signs, self.vectors))
        kinds = zip(variances[-2:], features, strict=True)
        return self.similar.uncertainty(np.concatenate([each * transposed_times(part, pulls) for each, part in kinds]))


def averages(vectors: Vector, target: Vector, evaluated: int) -> Averages | None:
    """Of a game of the players' ``vectors`` float64[n, d] and ``target`` float64[d]; ``None`` where all are the same.

    How many pairs of coalitions are ``evaluated`` says how closely values of features are to be known.
    """
    centre = vectors.mean(axis=0)
    size = np.abs(vectors - centre).max()
    if size == 0.0:
        return None
    vectors, end = vectors / size, target / size
    target = target / max(float(np.sqrt(np.square(target).sum())), 1e-300)
    points = _along_principal_directions(vectors - centre / size)
    r = points.shape[1]
    outer = np.outer(target, target)
    aimed = [(target, 0.0 * outer), (0.0 * target, outer), (0.0 * target, np.eye(len(target)))]
    coordinates = [(unit, np.zeros((r, r))) for unit in np.eye(r)]
    products = []
    for row, column in zip(*np.triu_indices(r), strict=True):
        matrix = np.zeros((r, r))
        matrix[row, column] = 1.0 if row == column else np.sqrt(2.0)
        products.append((np.zeros(r), matrix))
    first = _values(vectors, aimed)
    units = np.sqrt(np.square(first).sum(axis=1))
    units[units == 0.0] = 1.0
    values = (first / units[:, None], _values(points, coordinates), _values(points, products))

    similar = similarity(vectors, end, points, evaluated)
    return Averages(vectors, target, points, units, similar, (*values, *similar.values))


def _along_principal_directions(deviations: Vector) -> Vector:
    """float64[n, r] of ``deviations`` [n, d] from a mean; in units in which the first direction's have a mean square of 1."""
    n, d = deviations.shape
    turned = np.ascontiguousarray(deviations.T)
    squares, directions = eigenvectors(gram(deviations if d <= n else turned))
    largest = np.argsort(-squares, kind="stable")[:_MOST_DIRECTIONS]
    largest = largest[squares[largest] > _LEAST_SQUARE * squares[largest[0]]]
    lengths = np.sqrt(squares[largest])
    directions = np.ascontiguousarray(directions[:, largest])
    found = product(deviations, directions) if d <= n else directions * lengths
    return found * (np.sqrt(n) / lengths[0])


def _values(vectors: Vector, quadratics: list[tuple[Vector, Vector]]) -> Vector:
    """The values less their mean, float64[f, n], of quadratics with these linear terms and matrices."""
    found = [QuadraticOfMean(vectors, 0.0, linear, matrix, 0.0).shapley_values() for linear, matrix in quadratics]
    return np.array(found) - np.mean(found, axis=1, keepdims=True)


def _aimed(means: Means, target: Vector) -> Vector:
    found = []
    for mean in means:
        along = times(mean, target)
        found.append(np.column_stack([along, np.square(along), np.square(mean).sum(axis=1)]))
    return 0.5 * (found[0] - found[1])


def _of_mean(means: Means) -> tuple[Vector, Vector]:
    inside, outside = means
    row, column = np.triu_indices(inside.shape[1])
    weight = np.where(row == column, 0.5, np.sqrt(0.5))
    products = inside[:, row] * inside[:, column] - outside[:, row] * outside[:, column]
    return 0.5 * (inside - outside), weight * products
