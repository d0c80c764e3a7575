"""Kernel SHAP as the public `shap` package does it: the paper's estimator, kept for the reproduction.

Lundberg and Lee, "A unified approach to interpreting model predictions", NeurIPS 2017. Design and solution are
those of `shap` 0.51, `KernelExplainer.shap_values(nsamples=budget, l1_reg=False)` with a background of zeros; only the
random numbers are our own, keyed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

from crowd_sim.errors import InputError
from crowd_sim.linear_algebra import cholesky, gram, inverse_of, product, pseudo_inverse, solved, times
from crowd_sim.valuation.estimators.kernel_shap.design import design
from crowd_sim.valuation.request import Request, chunked
from crowd_sim.valuation.result import ShapleyResult

_SINGULAR = 1e-7  # smallest to largest pivot; their squares are to each other as the rounding error of the matrix


def kernel_shap(request: Request) -> list[ShapleyResult]:
    """Values by Kernel SHAP, from ``budget`` coalitions (all where there are fewer), the empty and the grand one.

    Like the package's ``nsamples``, the budget leaves out the empty and the grand coalition; ``n_evaluations``
    counts them.

    Raises:
        InputError: a budget of fewer than two coalitions a player, which cannot tell the players apart.
    """
    n = request.n_players
    smallest = minimum_budget(n)
    if request.budget < smallest:
        raise InputError("budget", request.budget, f"must be at least {smallest} for kernel_shap with {n} players")
    plan = design(n, request.budget, request.seed, request.run)
    ends = np.array([[False] * n, [True] * n])
    rows = np.concatenate([ends, plan.coalitions])
    utilities = np.concatenate([u for _, u in request.utilities(request.admitted(lambda: chunked(rows)))], axis=1)
    solution = solve(
        plan.coalitions, plan.weights, utilities[:, 2:], utilities[:, 0], utilities[:, 1], plan.n_enumerated
    )
    return [ShapleyResult(*row, len(rows), "kernel_shap") for row in zip(*solution, strict=True)]


def minimum_budget(n: int) -> int:
    """The smallest budget for n players: pairs enough for as many unknowns, or all coalitions."""
    return 2 * n if n > 3 else max(2**n - 2, 0)


def solve(
    masks: NDArray[np.bool_],
    weights: NDArray[np.float64],
    utilities: NDArray[np.float64],
    empty: NDArray[np.float64],
    grand: NDArray[np.float64],
    n_enumerated: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Values that fit the utilities best and sum to v(N) − v(∅), for G games on the same coalitions, and their errors.

    Minimises Σ_S w_S (v(S) − v(∅) − Σ_{i∈S} φ_i)² under the constraint, by eliminating the last player; the normal
    equations are factorised once. Where they are singular the minimum-norm solution is taken, as in the package.

    The standard errors are the sandwich A⁻¹ (Σ u uᵀ) A⁻¹ of the drawn coalitions (White, "A heteroskedasticity-consistent
    covariance matrix estimator", Econometrica 1980), where A are the normal equations and u is what a draw, a coalition
    with its complement, adds to their right-hand side at the solution; enumerated coalitions add nothing.

    Args:
        masks: bool[m, n] coalitions, neither empty nor grand.
        weights: float64[m].
        utilities: float64[G, m].
        empty: float64[G], the utility of the empty coalition.
        grand: float64[G], that of the grand one.
        n_enumerated: how many of the rows, from the first, were not drawn.

    Returns:
        Values and standard errors, float64[G, n] each; the errors are 0 where nothing was drawn and NaN where the draws
        do not outnumber the players.
    """
    n = masks.shape[1]
    total = grand - empty
    values, errors = np.empty((len(total), n)), np.zeros((len(total), n))
    if n > 1:
        scale = np.sqrt(weights)
        factors = np.empty((len(masks), n - 1))
        _fill_factors(np.ascontiguousarray(masks), scale, factors)
        rest = scale * (utilities - empty[:, None] - masks[:, -1] * total[:, None])
        right = np.empty((len(total), n - 1))
        _fill_right_hand_sides(factors, rest, right)
        values[:, :-1], inverse = _solutions(_normal(masks, weights), right)
        if n_enumerated < len(masks):
            drawn = slice(n_enumerated, None)
            draws = _Draws.of(masks[drawn], weights[drawn])
            for g in range(len(total)):
                residual = rest[g, drawn] - times(factors[drawn], values[g, :-1])
                errors[g] = draws.errors(factors[drawn], residual, inverse)
    values[:, -1] = total - values[:, :-1].sum(axis=1)
    return values, errors


@dataclass(frozen=True, eq=False)
class _Draws:
    """Which rows were drawn together, and how often.

    Attributes:
        first: int64[p], the first row of each draw.
        times: float64[p], how often each draw came up.
    """

    first: NDArray[np.int64]
    times: NDArray[np.float64]

    @classmethod
    def of(cls, masks: NDArray[np.bool_], weights: NDArray[np.float64]) -> _Draws:
        # a draw has at most half of the players; its complement, where there is one, follows it and has more
        first = np.flatnonzero(2 * masks.sum(axis=1) <= masks.shape[1])
        return cls(first, np.rint(weights[first] / weights.min()))

    def errors(
        self, factors: NDArray[np.float64], residual: NDArray[np.float64], inverse: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Standard errors float64[n] from the drawn rows' factors float64[m, n − 1] and residuals float64[m]."""
        n_draws, n_free = self.times.sum(), factors.shape[1]
        if len(self.first) <= n_free + 1:
            return np.full(n_free + 1, np.nan)
        centred = np.zeros((len(self.first), n_free))
        _fill_centred(factors, residual, self.first, np.sqrt(self.times), centred)
        squares, total = gram(centred), inverse.sum(axis=1)
        variance = np.append((inverse * product(squares, inverse)).sum(axis=0), (total * times(squares, total)).sum())
        return np.sqrt(np.maximum(variance, 0.0) * n_draws / (n_draws - n_free - 1))


def _normal(masks: NDArray[np.bool_], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """The normal equations' matrix Σ w x xᵀ, [n − 1, n − 1], x being a coalition's members less its last.

    Of rows of the same weight the sums are of whole numbers, which any BLAS adds up to the same bits; there are few weights.
    """
    kind = np.float32 if len(masks) < 1 << 24 else np.float64  # holds these whole numbers exactly
    signs = np.subtract(masks[:, :-1], masks[:, -1:], dtype=kind)
    total = np.zeros((signs.shape[1], signs.shape[1]))
    for weight in np.unique(weights):
        same = signs[weights == weight]
        total += weight * (same.T @ same).astype(np.float64)  # of whole numbers
    return total


def _solutions(
    normal: NDArray[np.float64], right: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """One solution a row, each found on its own, so that its bits do not depend on the other games; and the inverse."""
    upper, definite = cholesky(normal)
    pivots = upper.diagonal()
    if not definite or pivots.min() < _SINGULAR * pivots.max():  # rounding can hide a zero pivot
        inverse = pseudo_inverse(normal)
        return np.array([times(inverse, row) for row in right]), inverse
    return np.array([solved(upper, row) for row in right]), inverse_of(upper)


@numba.njit(cache=True)
def _fill_factors(masks: NDArray[np.bool_], scale: NDArray[np.float64], out: NDArray[np.float64]) -> None:
    for row in range(out.shape[0]):
        # Of three possible factors the row has two: 0 and ±scale
        if masks[row, out.shape[1]]:
            for i in range(out.shape[1]):
                out[row, i] = scale[row] * (np.float64(masks[row, i]) - 1.0)
        else:
            for i in range(out.shape[1]):
                out[row, i] = scale[row] * np.float64(masks[row, i])


@numba.njit(cache=True)
def _fill_right_hand_sides(factors: NDArray[np.float64], rest: NDArray[np.float64], out: NDArray[np.float64]) -> None:
    """Σ over coalitions of factors × what is to be explained, in plain order: bits that no other game changes."""
    out[:] = 0.0
    for g in range(out.shape[0]):
        for row in range(factors.shape[0]):
            for i in range(factors.shape[1]):
                out[g, i] += rest[g, row] * factors[row, i]


@numba.njit(cache=True)
def _fill_centred(
    factors: NDArray[np.float64],
    residual: NDArray[np.float64],
    first: NDArray[np.int64],
    root: NDArray[np.float64],
    out: NDArray[np.float64],
) -> None:
    """√times × what one draw adds to the right-hand side, less its mean over all draws; into zeroed float64[p, n − 1]."""
    mean = np.zeros(factors.shape[1])
    for p in range(len(first)):
        stop = first[p + 1] if p + 1 < len(first) else len(residual)
        for row in range(first[p], stop):
            for i in range(factors.shape[1]):
                out[p, i] += residual[row] * factors[row, i]
        for i in range(factors.shape[1]):
            mean[i] += out[p, i]
            out[p, i] /= root[p]
    mean /= (root * root).sum()
    for p in range(len(first)):
        for i in range(factors.shape[1]):
            out[p, i] -= root[p] * mean[i]
