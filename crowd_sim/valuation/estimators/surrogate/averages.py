"""What a surrogate may know of an averaging game: the score is a function of the mean of the members' vectors and the target.

Three kinds of features are quadratics of that mean, whose Shapley values are known: its projection on the target, the
square of that and its own square, as scores of similarity and distance need; its coordinates; and their products. Whether
a game is near one is for the likelihood to say, which gives each kind a variance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

from crowd_sim.valuation.quadratic_of_mean import QuadraticOfMean

_MOST_DIRECTIONS = 20  # 230 features; further principal components count as unexplained

Vector = NDArray[np.float64]
Three = tuple[Vector, Vector, Vector]


@dataclass(frozen=True, eq=False)
class Averages:
    """Odd parts of the features of a coalition's mean, in units of this object.

    Attributes:
        vectors: float64[n, d], the players'.
        target: float64[d].
        points: float64[n, r], the players' vectors along their principal directions.
        units: float64[3], of the features of the first kind.
        values: float64[f, n] for each kind, the Shapley values less their mean of every feature.
    """

    vectors: Vector
    target: Vector
    points: Vector
    units: Vector
    values: Three

    def features(self, signs: Vector) -> Three:
        """Of the pairs ``signs`` [m, n]: float64[m, f] for each kind."""
        return (_aimed(signs, self.vectors, self.target) / self.units, *_of_mean(signs, self.points))


def averages(vectors: Vector, target: Vector) -> Averages | None:
    """Of a game of the players' ``vectors`` float64[n, d] and ``target`` float64[d]; ``None`` where all are the same."""
    centre = vectors.mean(axis=0)
    size = np.abs(vectors - centre).max()
    if size == 0.0:
        return None
    vectors, target = vectors / size, target / max(float(np.linalg.norm(target)), 1e-300)
    left, lengths, _ = scipy.linalg.svd(vectors - centre / size, full_matrices=False, check_finite=False)
    r = min(_MOST_DIRECTIONS, int((lengths > 1e-6 * lengths[0]).sum()))
    points = left[:, :r] * (lengths[:r] * np.sqrt(len(vectors)) / lengths[0])
    outer = np.outer(target, target)
    aimed = [(target, 0.0 * outer), (0.0 * target, outer), (0.0 * target, np.eye(len(target)))]
    coordinates = [(unit, np.zeros((r, r))) for unit in np.eye(r)]
    products = []
    for row, column in zip(*np.triu_indices(r), strict=True):
        matrix = np.zeros((r, r))
        matrix[row, column] = 1.0 if row == column else np.sqrt(2.0)
        products.append((np.zeros(r), matrix))
    first = _values(vectors, aimed)
    units = np.sqrt((first**2).sum(axis=1))
    units[units == 0.0] = 1.0
    values = (first / units[:, None], _values(points, coordinates), _values(points, products))
    return Averages(vectors, target, points, units, values)


def _values(vectors: Vector, quadratics: list[tuple[Vector, Vector]]) -> Vector:
    """The values less their mean, float64[f, n], of quadratics with these linear terms and matrices."""
    found = [QuadraticOfMean(vectors, 0.0, linear, matrix, 0.0).shapley_values() for linear, matrix in quadratics]
    return np.array(found) - np.mean(found, axis=1, keepdims=True)


def _means(signs: Vector, vectors: Vector) -> tuple[Vector, Vector]:
    """Those of the coalitions and of their complements, float64[m, d] each."""
    members = signs > 0
    size = members.sum(axis=1, keepdims=True)
    return (members @ vectors) / size, (~members @ vectors) / (signs.shape[1] - size)


def _aimed(signs: Vector, vectors: Vector, target: Vector) -> Vector:
    found = []
    for mean in _means(signs, vectors):
        along = mean @ target
        found.append(np.column_stack([along, along**2, (mean**2).sum(axis=1)]))
    return 0.5 * (found[0] - found[1])


def _of_mean(signs: Vector, points: Vector) -> tuple[Vector, Vector]:
    inside, outside = _means(signs, points)
    row, column = np.triu_indices(points.shape[1])
    weight = np.where(row == column, 0.5, np.sqrt(0.5))
    products = inside[:, row] * inside[:, column] - outside[:, row] * outside[:, column]
    return 0.5 * (inside - outside), weight * products
