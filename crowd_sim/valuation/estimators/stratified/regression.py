"""Regression of a stratum's utilities on polynomials of the coalitions' means.

The score −‖m + u‖ (l2) is regressed as a whole on the eight polynomials of `polynomials.contrasts_l2`; the score
−Σ_j |m_j + u_j| (l1) coordinate by coordinate, each addend on the four powers of its own u_j, since a coalition that
was paid for shows all its addends. Least squares with an intercept, shrunk by a small ridge towards an analytic prior.
Plain loops throughout: the bits depend on no BLAS.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

from crowd_sim.valuation.estimators.stratified.basis import Basis, Crowd

_SAMPLED = 64  # coalitions from which the variance of the fitted part is estimated
_SMALLEST_REST = 0.05  # of 1 − leverage


@dataclass(frozen=True, eq=False)
class Fit:
    """A stratum's regression.

    Attributes:
        coefficients: float64[terms, p].
        lacking: float64[terms, p], what the coefficients lack in the mean because of few coalitions, by the jackknife: few
            show rare workers, and all strata err alike. Without it the values of crowds with rare workers are biased.
        inverse: float64[terms, p, p], of the centred normal matrices, the ridge included.
        means: float64[terms, p + 1], of the regressors and of the term.
        residuals: float64[m], ordinary ones.
        deleted: float64[m], each from a fit to the other coalitions: r / (1 − h), h the leverage.
    """

    coefficients: NDArray[np.float64]
    lacking: NDArray[np.float64]
    inverse: NDArray[np.float64]
    means: NDArray[np.float64]
    residuals: NDArray[np.float64]
    deleted: NDArray[np.float64]


def fit(
    crowd: Crowd,
    basis: Basis,
    points: NDArray[np.float64],
    utilities: NDArray[np.float64],
    weights: NDArray[np.float64],
) -> Fit:
    """Regress utilities float64[m] of coalitions whose coordinates are ``points``, weighted by float64[m] about 1."""
    terms, p = basis.prior.shape
    coefficients, lacking = np.empty((terms, p)), np.empty((terms, p))
    inverse, means = np.empty((terms, p, p)), np.empty((terms, p + 1))
    residuals, deleted = utilities.copy(), utilities.copy()
    arrays = basis.prior, basis.penalty, points, weights, coefficients, lacking, inverse, means, residuals, deleted
    if crowd.l1:
        _fit_l1(crowd.offset, basis.inverse, *arrays)
    else:
        _fit_l2(utilities, basis.centre, basis.inverse, *arrays)
    return Fit(coefficients, lacking, inverse, means, residuals, deleted)


def fitted_variance(
    crowd: Crowd,
    basis: Basis,
    points: NDArray[np.float64],
    utilities: NDArray[np.float64],
    weights: NDArray[np.float64],
    found: Fit,
    contrasts: NDArray[np.float64],
) -> tuple[NDArray[np.float64], float]:
    """Variances float64[n] of contrasts · coefficients by the leave-one-out sandwich, from some of the coalitions.

    Besides, the relative variance of the mean of these variances, as of a mean over those coalitions.
    """
    m = points.shape[1]
    count = min(m, _SAMPLED)
    rows = np.arange(count) * (m - 1) // max(count - 1, 1)
    influence, out, shares = np.empty((contrasts.shape[1], count)), np.empty(len(contrasts)), np.zeros(count)
    arrays = rows, weights, found.coefficients, found.inverse, found.means, influence
    if crowd.l1:
        _influence_l1(crowd.offset, basis.inverse, points, *arrays)
    else:
        _influence_l2(utilities, basis.centre, basis.inverse, points, *arrays)
    _squares(contrasts, influence, out, shares)
    return out * (m / count), relative_variance(shares)


@numba.njit(cache=True)
def relative_variance(values: NDArray[np.float64]) -> float:
    """That of the mean of independent ``values`` that are at least 0, estimated from them; 0 where all are 0."""
    total = squares = 0.0
    for value in values:
        total += value
        squares += value * value
    return max(squares / (total * total) - 1.0 / len(values), 0.0) if total > 0.0 else 0.0


@numba.njit(cache=True)
def _fit_l1(
    offset: NDArray[np.float64],
    scale: NDArray[np.float64],
    prior: NDArray[np.float64],
    penalty: NDArray[np.float64],
    points: NDArray[np.float64],
    weights: NDArray[np.float64],
    coefficients: NDArray[np.float64],
    lacking: NDArray[np.float64],
    inverse: NDArray[np.float64],
    means: NDArray[np.float64],
    residuals: NDArray[np.float64],
    deleted: NDArray[np.float64],
) -> None:
    """For each coordinate a polynomial of degree 4: sums of powers are its normal equations.

    ``residuals`` and ``deleted`` come in as the utilities. What the addends do not explain of a utility is rounding,
    and stays in them.
    """
    m = points.shape[1]
    whole = weights.sum()
    sums, right, leverage = np.empty(9), np.empty(4), np.empty(9)
    for j in range(len(points)):
        # less the first one: standardised powers lose no digits in raw moments, addends might
        first = -abs(offset[j] + points[j, 0])
        y0 = _moments_l1(points[j], offset[j], scale[j], first, weights, sums, right)
        sums[0] = whole
        for a in range(4):
            means[j, a] = sums[a + 1] / whole
            right[a] -= means[j, a] * y0
            for b in range(4):
                inverse[j, a, b] = sums[a + b + 2] - sums[a + 1] * sums[b + 1] / whole
        means[j, 4] = y0 / whole + first
        _solve(inverse[j], right, prior[j], penalty, coefficients[j])
        constant = means[j, 4]
        leverage[:] = 0.0  # a polynomial of degree 8
        leverage[0] = 1.0 / whole
        for a in range(4):
            constant -= coefficients[j, a] * means[j, a]
            for b in range(4):
                leverage[0] += inverse[j, a, b] * means[j, a] * means[j, b]
                leverage[a + 1] -= 2.0 * inverse[j, a, b] * means[j, b]
                leverage[a + b + 2] += inverse[j, a, b]
        moved = _leave_out_l1(
            points[j], offset[j], scale[j], constant, coefficients[j], leverage, weights, residuals, deleted, right
        )
        for a in range(4):
            right[a] -= means[j, a] * moved
        _times(inverse[j], right, (m - 1.0) / m, lacking[j])


@numba.njit(cache=True)
def _moments_l1(
    points: NDArray[np.float64],
    shift: float,
    factor: float,
    first: float,
    weights: NDArray[np.float64],
    powers: NDArray[np.float64],
    products: NDArray[np.float64],
) -> float:
    """Weighted sums of z to z⁸, into powers[1:], of y z to y z⁴, into products, and of y, given back; y less ``first``."""
    s1 = s2 = s3 = s4 = s5 = s6 = s7 = s8 = 0.0
    y0 = y1 = y2 = y3 = y4 = 0.0
    for s in range(len(points)):
        weight = weights[s]
        y = weight * (-abs(shift + points[s]) - first)
        z = points[s] * factor
        z2 = z * z
        z3 = z2 * z
        z4 = z2 * z2
        w4 = weight * z4
        s1 += weight * z
        s2 += weight * z2
        s3 += weight * z3
        s4 += w4
        s5 += w4 * z
        s6 += w4 * z2
        s7 += w4 * z3
        s8 += w4 * z4
        y0 += y
        y1 += z * y
        y2 += z2 * y
        y3 += z3 * y
        y4 += z4 * y
    powers[1:] = s1, s2, s3, s4, s5, s6, s7, s8
    products[:] = y1, y2, y3, y4
    return y0


@numba.njit(cache=True)
def _leave_out_l1(
    points: NDArray[np.float64],
    shift: float,
    factor: float,
    constant: float,
    coefficients: NDArray[np.float64],
    leverage: NDArray[np.float64],
    weights: NDArray[np.float64],
    residuals: NDArray[np.float64],
    deleted: NDArray[np.float64],
    products: NDArray[np.float64],
) -> float:
    """One coordinate's residuals in place of its addends; weighted sums of the deleted ones, as `_moments_l1` gives y's."""
    c1, c2, c3, c4 = coefficients
    h0, h1, h2, h3, h4, h5, h6, h7, h8 = leverage
    moved = np.empty(len(points))
    for s in range(len(points)):  # apart from the sums, so that it runs on several coalitions at once
        z = points[s] * factor
        addend = -abs(shift + points[s])
        residual = addend - (constant + z * (c1 + z * (c2 + z * (c3 + z * c4))))
        h = h0 + z * (h1 + z * (h2 + z * (h3 + z * (h4 + z * (h5 + z * (h6 + z * (h7 + z * h8)))))))
        rest = 1.0 - weights[s] * h
        alone = residual / (rest if rest > _SMALLEST_REST else _SMALLEST_REST)
        residuals[s] += residual - addend
        deleted[s] += alone - addend
        moved[s] = weights[s] * alone
    d0 = d1 = d2 = d3 = d4 = 0.0
    for s in range(len(points)):
        z = points[s] * factor
        z2 = z * z
        d0 += moved[s]
        d1 += z * moved[s]
        d2 += z2 * moved[s]
        d3 += z2 * z * moved[s]
        d4 += z2 * z2 * moved[s]
    products[:] = d1, d2, d3, d4
    return d0


@numba.njit(cache=True)
def _fit_l2(
    utilities: NDArray[np.float64],
    centre: NDArray[np.float64],
    scale: NDArray[np.float64],
    prior: NDArray[np.float64],
    penalty: NDArray[np.float64],
    points: NDArray[np.float64],
    weights: NDArray[np.float64],
    coefficients: NDArray[np.float64],
    lacking: NDArray[np.float64],
    inverse: NDArray[np.float64],
    means: NDArray[np.float64],
    residuals: NDArray[np.float64],
    deleted: NDArray[np.float64],
) -> None:
    m, p = points.shape[1], prior.shape[1]
    x, right = np.empty(p), np.zeros(p)
    normal, mean = inverse[0], means[0]
    normal[:] = 0.0
    mean[:] = 0.0
    whole = weights.sum()
    for s in range(m):
        _polynomials((points[0, s] - centre[0]) * scale[0], (points[1, s] - centre[1]) * scale[1], x)
        y = utilities[s] - utilities[0]
        mean[p] += weights[s] * y
        for a in range(p):
            weighted = weights[s] * x[a]
            mean[a] += weighted
            right[a] += weighted * y
            for b in range(a + 1):
                normal[a, b] += weighted * x[b]
    mean /= whole
    for a in range(p):
        right[a] -= whole * mean[a] * mean[p]
        for b in range(a + 1):
            normal[a, b] -= whole * mean[a] * mean[b]
            normal[b, a] = normal[a, b]
    mean[p] += utilities[0]
    _solve(normal, right, prior[0], penalty, coefficients[0])
    right[:] = 0.0
    for s in range(m):
        _polynomials((points[0, s] - centre[0]) * scale[0], (points[1, s] - centre[1]) * scale[1], x)
        residual = utilities[s] - mean[p]
        h = 1.0 / whole
        for a in range(p):
            x[a] -= mean[a]
            residual -= coefficients[0, a] * x[a]
            half = 0.5 * normal[a, a] * x[a]
            for b in range(a):
                half += normal[a, b] * x[b]
            h += 2.0 * half * x[a]
        residuals[s] = residual
        deleted[s] = residual / max(1.0 - weights[s] * h, _SMALLEST_REST)
        for a in range(p):
            right[a] += weights[s] * deleted[s] * x[a]
    _times(normal, right, (m - 1.0) / m, lacking[0])


@numba.njit(cache=True)
def _polynomials(z: float, q: float, out: NDArray[np.float64]) -> None:
    """The regressors of l2, as `polynomials.contrasts_l2` orders them."""
    out[0], out[1], out[2], out[3], out[4] = z, q, z * z, z * q, q * q
    out[5], out[6], out[7] = out[2] * z, out[2] * q, out[2] * out[2]


@numba.njit(cache=True)
def _solve(
    matrix: NDArray[np.float64],
    right: NDArray[np.float64],
    prior: NDArray[np.float64],
    penalty: NDArray[np.float64],
    coefficients: NDArray[np.float64],
) -> None:
    """Ridge towards the prior; ``matrix`` becomes the inverse (Gauss and Jordan: positive definite needs no pivots)."""
    p = len(right)
    for a in range(p):
        for b in range(p):
            right[a] -= matrix[a, b] * prior[b]
    for c in range(p):
        matrix[c, c] += penalty[c]
    for c in range(p):
        pivot = 1.0 / matrix[c, c]
        matrix[c, c] = 1.0
        for b in range(p):
            matrix[c, b] *= pivot
        for a in range(p):
            if a != c:
                factor = matrix[a, c]
                matrix[a, c] = 0.0
                for b in range(p):
                    matrix[a, b] -= factor * matrix[c, b]
    for a in range(p):
        coefficients[a] = prior[a]
        for b in range(p):
            coefficients[a] += matrix[a, b] * right[b]


@numba.njit(cache=True)
def _times(matrix: NDArray[np.float64], vector: NDArray[np.float64], factor: float, out: NDArray[np.float64]) -> None:
    for a in range(len(vector)):
        total = 0.0
        for b in range(len(vector)):
            total += matrix[a, b] * vector[b]
        out[a] = factor * total


@numba.njit(cache=True)
def _influence_l1(
    offset: NDArray[np.float64],
    scale: NDArray[np.float64],
    points: NDArray[np.float64],
    rows: NDArray[np.int64],
    weights: NDArray[np.float64],
    coefficients: NDArray[np.float64],
    inverse: NDArray[np.float64],
    means: NDArray[np.float64],
    out: NDArray[np.float64],
) -> None:
    """out[4 × coordinate + power − 1, row]: how much each of some coalitions moved the coefficients."""
    whole = weights.sum()
    for j in range(len(points)):
        shift, factor = offset[j], scale[j]
        x1, x2, x3, x4, y = means[j]
        c1, c2, c3, c4 = coefficients[j]
        (v11, v12, v13, v14), (_, v22, v23, v24), (_, _, v33, v34), (_, _, _, v44) = inverse[j]
        o1, o2, o3, o4 = out[4 * j], out[4 * j + 1], out[4 * j + 2], out[4 * j + 3]
        for s in range(len(rows)):
            u = points[j, rows[s]]
            z = u * factor
            square = z * z
            z1, z2, z3, z4 = z - x1, square - x2, square * z - x3, square * square - x4
            residual = -abs(shift + u) - y - c1 * z1 - c2 * z2 - c3 * z3 - c4 * z4
            i1 = v11 * z1 + v12 * z2 + v13 * z3 + v14 * z4
            i2 = v12 * z1 + v22 * z2 + v23 * z3 + v24 * z4
            i3 = v13 * z1 + v23 * z2 + v33 * z3 + v34 * z4
            i4 = v14 * z1 + v24 * z2 + v34 * z3 + v44 * z4
            weight = weights[rows[s]]
            leverage = weight * (1.0 / whole + i1 * z1 + i2 * z2 + i3 * z3 + i4 * z4)
            moved = weight * residual / max(1.0 - leverage, _SMALLEST_REST)
            o1[s], o2[s], o3[s], o4[s] = i1 * moved, i2 * moved, i3 * moved, i4 * moved


@numba.njit(cache=True)
def _influence_l2(
    utilities: NDArray[np.float64],
    centre: NDArray[np.float64],
    scale: NDArray[np.float64],
    points: NDArray[np.float64],
    rows: NDArray[np.int64],
    weights: NDArray[np.float64],
    coefficients: NDArray[np.float64],
    inverse: NDArray[np.float64],
    means: NDArray[np.float64],
    out: NDArray[np.float64],
) -> None:
    """out[regressor, row]: how much each of some coalitions moved the coefficients."""
    whole, p = weights.sum(), coefficients.shape[1]
    x = np.empty(p)
    for s in range(len(rows)):
        row = rows[s]
        _polynomials((points[0, row] - centre[0]) * scale[0], (points[1, row] - centre[1]) * scale[1], x)
        residual = utilities[row] - means[0, p]
        for a in range(p):
            x[a] -= means[0, a]
            residual -= coefficients[0, a] * x[a]
        leverage = 1.0 / whole
        for a in range(p):
            image = 0.0
            for b in range(p):
                image += inverse[0, a, b] * x[b]
            out[a, s] = image
            leverage += image * x[a]
        for a in range(p):
            out[a, s] *= weights[row] * residual / max(1.0 - weights[row] * leverage, _SMALLEST_REST)


@numba.njit(cache=True)
def _squares(
    contrasts: NDArray[np.float64],
    influence: NDArray[np.float64],
    out: NDArray[np.float64],
    shares: NDArray[np.float64],
) -> None:
    """out[i] = Σ_s (Σ_c contrasts_ic influence_cs)², four regressors at a time: there are 8, or 4 for each coordinate.

    What each coalition adds, over all players, is added to ``shares``.
    """
    moved = np.empty(influence.shape[1])
    for i in range(len(contrasts)):
        moved[:] = 0.0
        weights = contrasts[i]
        for c in range(0, len(influence), 4):
            w1, w2, w3, w4 = weights[c], weights[c + 1], weights[c + 2], weights[c + 3]
            r1, r2, r3, r4 = influence[c], influence[c + 1], influence[c + 2], influence[c + 3]
            for s in range(len(moved)):
                moved[s] += w1 * r1[s] + w2 * r2[s] + w3 * r3[s] + w4 * r4[s]
        total = 0.0
        for s in range(len(moved)):
            square = moved[s] * moved[s]
            total += square
            shares[s] += square
        out[i] = total
