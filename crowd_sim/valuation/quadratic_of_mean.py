"""Closed-form Shapley values of any linear or quadratic function of a coalition's mean."""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import ArrayLike, NDArray

from crowd_sim.errors import InputError
from crowd_sim.valuation.coalition_means import coalition_means
from crowd_sim.valuation.validation import finite


@dataclass(frozen=True, eq=False)
class QuadraticOfMean:
    """The game v(S) = constant + linear · m + mᵀ matrix m, with m the mean of the vectors of S, and v(∅) = empty.

    Attributes:
        vectors: float64[n, d], one row a player.
        constant: the constant term.
        linear: float64[d].
        matrix: float64[d, d]; only its symmetric part matters.
        empty: the utility of the empty coalition, which the quadratic says nothing about.

    Raises:
        InputError: an array that is not finite or has the wrong shape, or no players.
    """

    vectors: NDArray[np.float64]
    constant: float
    linear: NDArray[np.float64]
    matrix: NDArray[np.float64]
    empty: float

    def __post_init__(self) -> None:
        vectors = finite("vectors", self.vectors, (None, None))
        d = vectors.shape[1]
        object.__setattr__(self, "vectors", vectors)
        object.__setattr__(self, "linear", finite("linear", self.linear, (d,)))
        matrix = finite("matrix", self.matrix, (d, d))
        object.__setattr__(self, "matrix", 0.5 * (matrix + matrix.T))
        for name in ("constant", "empty"):
            value: ArrayLike = getattr(self, name)
            object.__setattr__(self, name, float(finite(name, value, ())))
        if len(vectors) == 0:
            raise InputError("vectors", vectors.shape, "needs at least one player")

    @property
    def n_players(self) -> int:
        """Number of players."""
        return len(self.vectors)

    def __call__(self, coalitions: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Utilities float64[m] of ``coalitions`` bool[m, n], each independent of the others in the call."""
        utilities = np.empty(len(coalitions))
        _quadratic(coalition_means(coalitions, self.vectors), self.constant, self.linear, self.matrix, utilities)
        utilities[~np.any(coalitions, axis=1)] = self.empty
        return utilities

    def shapley_values(self) -> NDArray[np.float64]:
        """Shapley values float64[n], exact, in O(n d²).

        Write every vector as the grand mean plus y_i. The game is then a constant, plus the mean of a_i = b'·y_i over
        S, plus (1/k²) Σ_{j,l∈S} q_jl with q_jl = y_jᵀ Q y_l, and the rows of q sum to 0.

        - Constant against v(∅): the same share (constant − v(∅)) / n for all.
        - Mean of a (whose own mean is 0): φ_i = a_i/n + (H_n − 1) a_i/(n − 1), with H_n = 1 + 1/2 + … + 1/n.
        - Quadratic: when i joins a uniform coalition S of k others, with P = Σ_{j,l∈S} q_jl and R = Σ_{j∈S} q_ij, the
          utility rises by (P + 2R + q_ii)/(k+1)² − P/k². With p_k the chance that a given other is in S, p_k = k/(n−1),
          and p'_k that two given others are, p'_k = k(k−1)/((n−1)(n−2)), and D = Σ_j q_jj,
          E[R] = −p_k q_ii and E[P] = p_k (D − q_ii) + p'_k (2 q_ii − D),
          since the other n − 1 players' q sum to q_ii in all, D − q_ii of it on the diagonal.
          φ_i is the mean over k = 0 … n − 1.

        Centring at the grand mean is what keeps the last digits: no large sums are left to cancel.
        """
        n = self.n_players
        mean = self.vectors.mean(axis=0)
        centred = self.vectors - mean
        gradient = self.linear + 2.0 * (self.matrix * mean).sum(axis=1)
        constant = self.constant + (self.linear * mean).sum() + (np.outer(mean, mean) * self.matrix).sum()
        share = (constant - self.empty) / n
        if n == 1:
            return np.array([share])
        a = _quadratic_terms(centred, gradient, np.zeros_like(self.matrix))
        q = _quadratic_terms(centred, np.zeros_like(gradient), self.matrix)
        k = np.arange(1.0, n)
        after = 1.0 / (k + 1.0) ** 2
        change = -(2.0 * k + 1.0) / (k * (k + 1.0)) ** 2  # 1/(k+1)² − 1/k²
        one = k / (n - 1.0)
        two = k * (k - 1.0) / ((n - 1.0) * max(n - 2.0, 1.0))
        own = 1.0 + (after * (1.0 - 2.0 * one) + change * (2.0 * two - one)).sum()
        shared = (change * (one - two)).sum()
        harmonic = (1.0 / (k + 1.0)).sum()  # H_n − 1
        return share + a * (1.0 / n + harmonic / (n - 1.0)) + (own * q + shared * q.sum()) / n


def _quadratic_terms(
    points: NDArray[np.float64], linear: NDArray[np.float64], matrix: NDArray[np.float64]
) -> NDArray[np.float64]:
    out = np.empty(len(points))
    _quadratic(points, 0.0, linear, matrix, out)
    return out


@numba.njit(cache=True)
def _quadratic(
    points: NDArray[np.float64],
    constant: float,
    linear: NDArray[np.float64],
    matrix: NDArray[np.float64],
    out: NDArray[np.float64],
) -> None:
    """Plain loops and no BLAS: a point's result has the same bits whichever others are in the call."""
    d = len(linear)
    image = np.empty(d)
    for row in range(points.shape[0]):
        image[:] = linear
        for j in range(d):
            x = points[row, j]
            for l in range(d):  # noqa: E741
                image[l] += x * matrix[j, l]
        total = 0.0
        for j in range(d):
            total += image[j] * points[row, j]
        out[row] = constant + total
