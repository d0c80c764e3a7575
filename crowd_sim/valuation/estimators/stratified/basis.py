"""An averaging game seen from the mean of its workers, and the regressors of one stratum of it."""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

from crowd_sim.valuation.coalition_lists import Lists
from crowd_sim.valuation.estimators.stratified.polynomials import N_L1, contrasts_l1, contrasts_l2, moments_l2
from crowd_sim.valuation.estimators.stratified.strata import Stratum

RIDGE = 0.5
"""Weight of the prior, in coalitions; the accuracy hardly depends on it between 0.1 and 5."""

_PENALTY_L1 = RIDGE * np.array([1.0, 3.0, 15.0, 105.0])  # E z², E z⁴, E z⁶, E z⁸ of a normal z
_PENALTY_L2 = RIDGE * np.array([1.0, 1.0, 3.0, 1.0, 3.0, 15.0, 3.0, 105.0])
_NOTHING = 1e-12  # a spread, relative to the vectors, that is rounding


def _projection() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Nodes z [40] and matrix [4, 40]: the powers 1 to 4 in the Hermite projection of a function of a normal z."""
    # LAPACK finds the nodes, by the processor; rounded they are off by less than what the projection neglects
    z, weights = (np.round(found, 12) for found in np.polynomial.hermite_e.hermegauss(40))
    hermite = np.stack([z, z * z - 1.0, z * z * z - 3.0 * z, z * z * (z * z - 6.0) + 3.0])
    h1, h2, h3, h4 = hermite * (weights / weights.sum()) / np.array([[1.0], [2.0], [6.0], [24.0]])
    return z, np.stack([h1 - 3.0 * h3, h2 - 6.0 * h4, h3, h4])


_NODES, _PROJECTION = _projection()


@dataclass(frozen=True, eq=False)
class Crowd:
    """An averaging game around the mean of its workers.

    Attributes:
        l1: whether the score is l1; else it is l2.
        centred: float64[n, d], the vectors less their mean.
        offset: float64[d], the mean less the target.
        direction: float64[d], the offset's, of length 1; 0 where there is none. L and √Q are then in the same unit, without
            which L²Q would be a small difference of large numbers.
        distances: float64[n], how far from the mean each worker is, root mean square over the coordinates in units of
            their spread, and that in units of the mean square over the workers.
        variances: float64[d], of the workers' coordinates.
        scale: the largest absolute number among vectors and target, against which spreads are negligible or not.
        players, totals: see `moments_l2`; empty for l1.
    """

    l1: bool
    centred: NDArray[np.float64]
    offset: NDArray[np.float64]
    direction: NDArray[np.float64]
    distances: NDArray[np.float64]
    variances: NDArray[np.float64]
    scale: float
    players: NDArray[np.float64]
    totals: NDArray[np.float64]

    @staticmethod
    def of(vectors: NDArray[np.float64], target: NDArray[np.float64], l1: bool) -> Crowd:
        """The crowd of vectors float64[n, d] and a target float64[d]."""
        mean = vectors.mean(axis=0)
        centred, offset = vectors - mean, mean - target
        scale = max(float(np.abs(vectors).max()), float(np.abs(target).max()))
        length = float(np.sqrt((offset * offset).sum()))
        direction = offset / length if length > 0.0 else np.zeros_like(offset)
        players, totals = (np.empty((0, 6)), np.empty(9)) if l1 else moments_l2(centred, direction)
        squares = centred * centred
        variances = squares.mean(axis=0)
        relative = np.divide(squares, variances, out=np.zeros_like(squares), where=variances > (_NOTHING * scale) ** 2)
        distances = np.sqrt(relative.mean(axis=1) / max(float(relative.mean()), _NOTHING))
        return Crowd(l1, centred, offset, direction, distances, variances, scale, players, totals)

    def coordinates(self, lists: Lists) -> NDArray[np.float64]:
        """What the regressors are made of: for l1 u [d, m], for l2 L = direction·u and Q = |u|² [2, m]."""
        out = np.empty((len(self.offset) if self.l1 else 2, len(lists)))
        _coordinates(self.l1, lists.members, lists.ends, self.centred, self.direction, out)
        return out

    def contrasts(self, stratum: Stratum) -> NDArray[np.float64]:
        """float64[n, terms × p]: exact contrasts of the raw polynomials, summed over the stratum's sizes."""
        if self.l1:
            return contrasts_l1(self.centred, stratum.low, stratum.high)
        return contrasts_l2(self.players, self.totals, stratum.low, stratum.high)


@dataclass(frozen=True, eq=False)
class Basis:
    """The regressors of one stratum, standardised: polynomials of z = (coordinate − centre) × inverse.

    Attributes:
        centre, inverse: float64[c], per coordinate; inverse 0 where it does not vary.
        prior: float64[terms, p], the coefficients expected before anything is drawn.
        penalty: float64[p], the ridge.
    """

    centre: NDArray[np.float64]
    inverse: NDArray[np.float64]
    prior: NDArray[np.float64]
    penalty: NDArray[np.float64]

    @staticmethod
    def of(crowd: Crowd, stratum: Stratum) -> Basis:
        """The basis of a stratum, from the mean and the spread of the coordinates over its coalitions."""
        n, k = len(crowd.centred), stratum.sizes
        shrink = float((stratum.chances * (n - k) / (k * (n - 1.0))).sum())  # variance of a mean to that of a player
        if crowd.l1:
            spread = np.sqrt(crowd.variances * shrink)
            inverse, prior = _inverse_of(spread, crowd.scale), np.zeros((len(spread), N_L1))
            _projected(crowd.offset, spread, inverse > 0.0, _NODES, _PROJECTION, prior)
            return Basis(np.zeros_like(inverse), inverse, prior, _PENALTY_L1)
        along = float(np.sqrt(crowd.totals[0] / n * shrink))
        middle = float(crowd.totals[3] / n * shrink)
        inverse = _inverse_of(np.array([along, 0.5 * middle]), np.array([crowd.scale, _NOTHING * crowd.scale**2]))
        # the square root's Taylor series at the mean of |m + u|²
        square = float((crowd.offset * crowd.offset).sum())
        a = 2.0 * np.sqrt(square) * along
        square += middle
        a, b = (a / square, 0.5 * middle / square) if square > 0.0 else (0.0, 0.0)
        series = [
            a / 2,
            b / 2,
            -a * a / 8,
            -a * b / 4,
            -b * b / 8,
            a * a * a / 16,
            3 * a * a * b / 16,
            -5 * a * a * a * a / 128,
        ]
        prior = -np.sqrt(square) * np.array([series])
        return Basis(np.array([0.0, middle]), inverse, prior, _PENALTY_L2)

    def standardised(self, contrasts: NDArray[np.float64], l1: bool) -> NDArray[np.float64]:
        """Contrasts of the standardised regressors, from those of the raw ones."""
        if l1:
            return contrasts * np.cumprod(np.repeat(self.inverse[:, None], N_L1, axis=1), axis=1).ravel()
        (s, t), q0 = self.inverse, self.centre[1]
        x = contrasts
        shifted = [x[:, 0], x[:, 1], x[:, 2], x[:, 3] - q0 * x[:, 0], x[:, 4] - 2.0 * q0 * x[:, 1], x[:, 5]]
        shifted += [x[:, 6] - q0 * x[:, 2], x[:, 7]]
        return np.stack(shifted, axis=1) * np.array([s, t, s * s, s * t, t * t, s * s * s, s * s * t, s * s * s * s])


def _inverse_of(spread: NDArray[np.float64], scale: float | NDArray[np.float64]) -> NDArray[np.float64]:
    varies = spread > _NOTHING * scale
    return np.where(varies, 1.0 / np.where(varies, spread, 1.0), 0.0)


@numba.njit(cache=True)
def _projected(
    offset: NDArray[np.float64],
    spread: NDArray[np.float64],
    varies: NDArray[np.bool_],
    nodes: NDArray[np.float64],
    projection: NDArray[np.float64],
    out: NDArray[np.float64],
) -> None:
    """Each addend −|offset + u| projected as if its u were normal; into zeroed float64[d, 4]."""
    for j in range(len(offset)):
        if varies[j]:
            for node in range(len(nodes)):
                addend = -abs(offset[j] + spread[j] * nodes[node])
                for power in range(len(projection)):
                    out[j, power] += addend * projection[power, node]


@numba.njit(cache=True)
def _coordinates(
    l1: bool,
    members: NDArray[np.int32],
    ends: NDArray[np.int64],
    centred: NDArray[np.float64],
    direction: NDArray[np.float64],
    out: NDArray[np.float64],
) -> None:
    d = centred.shape[1]
    mean = np.empty(d)
    start = 0
    for row in range(len(ends)):
        mean[:] = 0.0
        first = start
        end = ends[row]
        while start + 3 < end:  # four at once: mean is read and written as often as all of them
            one, two = centred[np.uint32(members[start])], centred[np.uint32(members[start + 1])]
            three, four = centred[np.uint32(members[start + 2])], centred[np.uint32(members[start + 3])]
            for j in range(d):
                mean[j] = (((mean[j] + one[j]) + two[j]) + three[j]) + four[j]
            start += 4
        while start < end:
            one = centred[np.uint32(members[start])]  # unsigned: no wrapping round to look out for
            for j in range(d):
                mean[j] += one[j]
            start += 1
        share = 1.0 / max(end - first, 1)
        along = square = 0.0
        for j in range(d):
            u = mean[j] * share
            if l1:
                out[j, row] = u
            along += direction[j] * u
            square += u * u
        if not l1:
            out[0, row], out[1, row] = along, square
