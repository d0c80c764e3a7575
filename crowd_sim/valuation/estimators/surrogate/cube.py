"""The equations of a prior on many pairs of few players: the odd Fourier terms that matter exactly, all others as noise.

The characters of the hypercube are the eigenvectors of the structured covariances. Some of them are features, and what is
left of the variance is white, so that equations have as many unknowns as features and not as pairs (Rasmussen and Williams,
"Gaussian processes for machine learning", 2006, section 8.3). Half of the features are the terms with the largest variance;
the others are those of which the first half's fit expects most. Inner products of features are sums of a character over the
pairs: one Walsh-Hadamard transform has all of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numba
import numpy as np
from numpy.typing import NDArray

from crowd_sim.elementary import exp
from crowd_sim.linear_algebra import back, factorise, forward, gram, orthonormal, product, times
from crowd_sim.valuation.estimators.surrogate.fourier import Codes, coded, transform, transformed
from crowd_sim.valuation.estimators.surrogate.gp import HeldOut, held_out_of
from crowd_sim.valuation.estimators.surrogate.prior import Prior, shares_of, sizes, value_weights
from crowd_sim.valuation.estimators.surrogate.terms import Terms

FEWEST_PAIRS = 1536  # of fewer, a factorisation of all of them is as fast


_FEATURES = 1024
_NEARLY_SINGULAR = 1e-12  # relative

Vector = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Features:
    """B float64[m, r] of m pairs: a character times a root, divided by the pair's spread or not.

    Attributes:
        n: players.
        codes: int64[m], of the pairs: the sum of 2^i over the players i who are out.
        spread: float64[m], of the pairs.
        sets: int64[r], the sum of 2^i over the members i of a term.
        divided: bool[r].
        roots: float64[r], of the terms' variances.
    """

    n: int
    codes: Codes
    spread: Vector
    sets: Codes
    divided: NDArray[np.bool_]
    roots: Vector

    def transposed_times(self, column: Vector) -> Vector:
        """Bᵀ times ``column`` float64[m]."""
        found = transformed(column, self.codes, self.n)[self.sets]
        if self.divided.any():
            found[self.divided] = transformed(column / self.spread, self.codes, self.n)[self.sets[self.divided]]
        return self.roots * found

    def times(self, weights: Vector) -> Vector:
        """B times ``weights`` float64[r]."""
        plain, divided = self._functions(weights)
        return plain[self.codes] + divided[self.codes] / self.spread

    def everywhere(self, weights: Vector, spread: Vector) -> Vector:
        """``spread`` float64[2^n] times B ``weights``, at all codes."""
        plain, divided = self._functions(weights)
        return spread * plain + divided

    def _functions(self, weights: Vector) -> tuple[Vector, Vector]:
        weights, divided = self.roots * weights, self.divided
        plain = transformed(weights[~divided], self.sets[~divided], self.n)
        return plain, transformed(weights[divided], self.sets[divided], self.n) if divided.any() else np.zeros_like(
            plain
        )

    def sums(self) -> Vector:
        """The sums float64[3, 2^n] over the pairs of every character, then divided by the spread once, and twice."""
        weights = np.ones(len(self.codes)), 1.0 / self.spread, 1.0 / np.square(self.spread)
        return np.array([transformed(weight, self.codes, self.n) for weight in weights])


@dataclass(frozen=True, eq=False)
class CubeEquations:
    """The factorised equations of a prior on a set of pairs, used as `Equations` are.

    With D the spread of the pairs, K = D (B Bᵀ + σ²) D, Rᵀ R = Bᵀ B + σ² and b(a) = (RᵀR)⁻¹ Bᵀ D⁻¹ a, what is whitened is
    (D⁻¹ a − B b) / σ, then b: m + r numbers whose inner products are those that K⁻¹ makes.

    Attributes:
        prior: of the game.
        features: B.
        sigma: σ.
        upper: float64[r, r], R.
        basis: float64[p, m + r], orthonormal, and
        triangle: float64[p, p], upper: the whitened trend is their product.
        effects: float64[0, n].
    """

    prior: Prior
    features: Features
    sigma: float
    upper: Vector
    basis: Vector
    triangle: Vector
    effects: Vector

    def whitened(self, columns: Vector) -> Vector:
        """float64[m + r] or [m + r, k] of ``columns`` float64[m] or [m, k]."""
        scaled = np.ascontiguousarray((columns.reshape(len(columns), -1) / self.features.spread[:, None]).T)
        half = forward(self.upper, np.column_stack([self.features.transposed_times(column) for column in scaled]))
        found = []
        for column, right in zip(scaled, np.ascontiguousarray(half.T), strict=True):
            weights = back(self.upper, right)
            found.append(np.concatenate([(column - self.features.times(weights)) / self.sigma, weights]))
        return np.column_stack(found).reshape(-1, *columns.shape[1:])

    def coefficients(self, white: Vector) -> tuple[Vector, Vector]:
        """The trend's coefficients float64[p], and K⁻¹ (y − trend) float64[m], for y ``white``: they predict."""
        return back(self.triangle, times(self.basis, white)), self.pulls(self.off_trend(white[:, None])[:, 0])

    def pulls(self, white: Vector) -> Vector:
        """K⁻¹ a float64[m] for a ``white``."""
        return white[: len(self.features.codes)] / (self.sigma * self.features.spread)

    def off_trend(self, columns: Vector) -> Vector:
        """``columns`` float64[m + r, k], whitened, less their part along the trend."""
        return columns - product(self.basis.T, product(self.basis, columns))

    def held_out(self, white: Vector, count: int) -> HeldOut:
        """The last ``count`` pairs held out, one after the other."""
        features, last = self.features, slice(len(self.features.codes) - count, len(self.features.codes))
        own = self.sigma * features.spread[last]
        rows = _characters(features.sets, features.codes[last]) * features.roots[:, None]
        rows[features.divided] /= features.spread[last]
        along = np.concatenate([forward(self.upper, rows), self.basis[:, last]]) / own
        return held_out_of(np.diag(1.0 / own), along, self.pulls(self.off_trend(white[:, None])[:, 0])[last])

    def of_values(self, signs: Vector) -> tuple[Vector, Vector]:
        """The covariances of d at the pairs and the values less their mean, whitened, [m + r, n]; and what is left of these.

        With g the values' weights on the features' coefficients and h on the noise of each pair, what is left of a variance is
        σ² |R⁻ᵀ (g − Bᵀ h)|² and the noise of pairs that were not seen: a sum, as the difference from the prior's variance
        would lose all digits where little is left.
        """
        features, n = self.features, self.features.n
        spread, weights = by_code(self.prior.spread), [by_code(part) for part in value_weights(n)]
        kept = ~features.divided
        sets, roots = features.sets[kept], features.roots[kept]
        covariances, on_features = np.empty((len(features.codes), n)), np.zeros((len(features.sets), n))
        for i in range(n):
            out = (np.arange(1 << n) >> i & 1).astype(np.bool_)
            weight = spread * np.where(out, weights[1], weights[0])
            transform(weight)
            of_term = roots * weight[sets]
            on_features[: len(sets), i] = of_term
            covariances[:, i] = features.spread * transformed(roots * of_term, sets, n)[features.codes]
        others = replace(self.prior, rates=np.zeros(n), noise=self.sigma * self.sigma)
        moved = self.whitened(covariances + others.with_values(signs))
        on_features[len(sets) :] = features.roots[len(sets) :, None] * self._divided_values()
        size, (inside, outside) = sizes(signs), value_weights(n)
        on_noise = 2.0 * features.spread[:, None] * np.where(signs > 0, inside[size][:, None], outside[size][:, None])
        on_features -= np.column_stack(
            [features.transposed_times(column) for column in np.ascontiguousarray(on_noise.T)]
        )
        of_noise = 2.0 / n * (np.square(self.prior.spread) * (inside - outside))[1:-1].sum()
        unseen = np.maximum(of_noise - np.square(on_noise).sum(axis=0), 0.0)
        return moved, self.sigma * self.sigma * (np.square(forward(self.upper, on_features)).sum(axis=0) + unseen)

    def _divided_values(self) -> Vector:
        """What the features that are divided by a spread add to the values less their mean, each of coefficient 1."""
        n = self.features.n
        found = [2.0 * (np.eye(n) - 1.0 / n)] if self.prior.linear else []
        if isinstance(self.prior.known, Terms):
            found.append(self.prior.known.values[0])
        return np.concatenate([*found, np.zeros((0, n))])

    def tested(self, members: NDArray[np.bool_], signs: Vector, rest: Vector) -> tuple[Vector, Vector]:  # noqa: ARG002
        """As that of `Equations`, with as few numbers as their inner products take: [k + 1, k] and [k + 1]."""
        sets = coded(members)
        features, (_, once, twice) = self.features, self.features.sums()
        both = features.sets[:, None] ^ sets
        half = forward(
            self.upper, features.roots[:, None] * np.where(features.divided[:, None], twice[both], once[both])
        )
        pulls = [transformed(self.pulls(row), features.codes, features.n)[sets] for row in (*self.basis, rest)]
        along = np.concatenate([half / self.sigma, pulls[:-1]])
        inner = np.empty((len(sets) + 1, len(sets) + 1))
        inner[:-1, :-1] = twice[sets[:, None] ^ sets] / (self.sigma * self.sigma) - gram(along)
        inner[-1, :-1] = inner[:-1, -1] = pulls[-1]
        inner[-1, -1] = np.square(rest).sum()
        length = np.sqrt(np.maximum(inner.diagonal(), 1e-300))
        inner /= length[:, None] * length
        inner[np.diag_indices(len(inner))] += _NEARLY_SINGULAR
        if not factorise(inner):
            return np.zeros((1, len(sets))), np.zeros(1)
        inner *= length
        return np.ascontiguousarray(inner[:, :-1]), inner[:, -1].copy()

    def predicted(self, white: Vector) -> Vector:
        """What ``white`` [m + r] makes of d at pairs that were not fitted: float64[2^n], by the code of those who are out.

        The features' coefficients are the last of what is whitened. Bᵀ D K⁻¹ a is the same, less all digits but those that σ²
        leaves: of games that are all but solved, none.
        """
        weights = self.off_trend(white[:, None])[len(self.features.codes) :, 0]
        return self.features.everywhere(weights, by_code(self.prior.spread))


def cube_equations(
    prior: Prior, signs: Vector, columns: Vector, worth: Vector, most: int = _FEATURES
) -> CubeEquations | None:
    """Factorise for the pairs ``signs`` [m, n] with trend ``columns`` [m, p]; ``None`` where rounding makes it singular.

    ``worth`` float64[m] tells which terms, ``most`` of them, are features.
    """
    variances = of_terms(prior)
    count = most // 2
    likely = np.argsort(-variances, kind="stable")[:count]
    found = _equations(prior, signs, columns, variances, likely)
    if found is None:
        return None
    pulls = found.coefficients(found.whitened(worth))[1]
    sums = transformed(found.features.spread * pulls, found.features.codes, signs.shape[1])
    expected = np.abs(variances * sums) / np.maximum(by_code(np.arange(signs.shape[1], -1.0, -1.0)), 1.0)
    expected[likely] = np.inf
    return _equations(prior, signs, columns, variances, np.argsort(-expected, kind="stable")[: 2 * count])


def _equations(prior: Prior, signs: Vector, columns: Vector, variances: Vector, terms: Codes) -> CubeEquations | None:
    n = signs.shape[1]
    terms = terms[variances[terms] > 0.0]
    white = prior.noise + max(float(variances.sum() - variances[terms].sum()), 0.0)
    sets, roots = [terms], [np.sqrt(variances[terms])]
    if prior.linear:
        sets.append(1 << np.arange(n))
        roots.append(np.full(n, np.sqrt(prior.linear / n)))
    if isinstance(prior.known, Terms):
        sets.append(coded(prior.known.members))
        roots.append(np.full(len(prior.known.members), np.sqrt(prior.variances[0])))
    of_all = np.concatenate(sets)
    spread = prior.spread[sizes(signs)]
    features = Features(
        n, coded(signs < 0.0), spread, of_all, np.arange(len(of_all)) >= len(terms), np.concatenate(roots)
    )
    upper = _gram(features.sets, features.divided, features.roots, features.sums(), white)
    if not factorise(upper):
        return None
    nothing = np.zeros((0, 0))
    found = CubeEquations(prior, features, math.sqrt(white), upper, nothing, nothing, np.zeros((0, n)))
    of_trend = orthonormal(found.whitened(columns))
    return of_trend and replace(found, basis=of_trend[0], triangle=of_trend[1])


def by_code(by_size: Vector) -> Vector:
    """What ``by_size`` float64[n + 1] has for the coalitions with 2^n codes of those who are out."""
    out = np.zeros(1, dtype=np.int64)
    for _ in range(len(by_size) - 1):
        out = np.concatenate([out, out + 1])
    return by_size[::-1][out]


def of_terms(prior: Prior) -> Vector:
    """The variances float64[2^n] of the structured part's terms by the code of their members: 0 of the even ones."""
    found, odd = np.full(1, math.prod((0.5 + 0.5 * exp(-prior.rates)).tolist())), np.zeros(1, dtype=np.bool_)
    for share in shares_of(prior.rates):
        found, odd = np.concatenate([found, share * found]), np.concatenate([odd, ~odd])
    return np.where(odd, found, 0.0)


@numba.njit(cache=True)
def _gram(sets: Codes, divided: NDArray[np.bool_], roots: Vector, sums: Vector, white: float) -> Vector:
    """The upper triangle of Bᵀ B + σ²."""
    out = np.empty((len(sets), len(sets)))
    for i in range(len(sets)):
        for j in range(i, len(sets)):
            out[i, j] = roots[i] * roots[j] * sums[int(divided[i]) + int(divided[j]), sets[i] ^ sets[j]]
        out[i, i] += white
    return out


@numba.njit(cache=True)
def _characters(sets: Codes, codes: Codes) -> Vector:
    """The characters float64[k, m] of ``sets`` [k] at ``codes`` [m]."""
    out = np.empty((len(sets), len(codes)))
    for i in range(len(sets)):
        for j in range(len(codes)):
            bits = sets[i] & codes[j]
            bits ^= bits >> 8  # of up to 16 players
            bits ^= bits >> 4
            bits ^= bits >> 2
            bits ^= bits >> 1
            out[i, j] = 1.0 - 2.0 * (bits & 1)
    return out
