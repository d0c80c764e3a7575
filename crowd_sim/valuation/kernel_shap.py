"""Kernel SHAP as the public `shap` package does it: the paper's estimator, kept for the reproduction.

Lundberg and Lee, "A unified approach to interpreting model predictions", NeurIPS 2017. Design and solution are
those of `shap` 0.51, `KernelExplainer.shap_values(nsamples=budget, l1_reg=False)` with a background of zeros; only the
random numbers are our own, keyed.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache

import numba
import numpy as np
from numpy.typing import NDArray
from scipy import linalg
from threadpoolctl import ThreadpoolController

from crowd_sim.errors import InputError
from crowd_sim.valuation.evaluation import Request, chunked
from crowd_sim.valuation.kernel_shap_design import design
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
    utilities = np.concatenate([u for _, u in request.utilities(chunked(rows))], axis=1)
    values = solve(plan.coalitions, plan.weights, utilities[:, 2:], utilities[:, 0], utilities[:, 1])
    stderr = np.full(n, 0.0 if plan.n_enumerated == len(plan.coalitions) else np.nan)
    return [ShapleyResult(row, stderr.copy(), len(rows), "kernel_shap") for row in values]


def minimum_budget(n: int) -> int:
    """The smallest budget for n players: pairs enough for as many unknowns, or all coalitions."""
    return 2 * n if n > 3 else max(2**n - 2, 0)


def solve(
    masks: NDArray[np.bool_],
    weights: NDArray[np.float64],
    utilities: NDArray[np.float64],
    empty: NDArray[np.float64],
    grand: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Values float64[G, n] that fit the utilities best and sum to v(N) − v(∅), for G games on the same coalitions.

    Minimises Σ_S w_S (v(S) − v(∅) − Σ_{i∈S} φ_i)² under the constraint, by eliminating the last player; the normal
    equations are factorised once. Where they are singular the minimum-norm solution is taken, as in the package.

    Args:
        masks: bool[m, n] coalitions, neither empty nor grand.
        weights: float64[m].
        utilities: float64[G, m].
        empty: float64[G], the utility of the empty coalition.
        grand: float64[G], that of the grand one.
    """
    n = masks.shape[1]
    total = grand - empty
    values = np.empty((len(total), n))
    if n > 1:
        scale = np.sqrt(weights)
        factors = np.empty((len(masks), n - 1))
        _fill_factors(np.ascontiguousarray(masks), scale, factors)
        rest = utilities - empty[:, None] - masks[:, -1] * total[:, None]
        right = np.empty((len(total), n - 1))
        _fill_right_hand_sides(factors, scale * rest, right)
        with _one_thread():
            values[:, :-1] = _solutions(factors.T @ factors, right)
    values[:, -1] = total - values[:, :-1].sum(axis=1)
    return values


def _solutions(normal: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    """One solution a row, each found on its own, so that its bits do not depend on the other games."""
    try:
        factor = linalg.cho_factor(normal, check_finite=False)
        pivots = factor[0].diagonal()
        singular = pivots.min() < _SINGULAR * pivots.max()  # rounding can hide a zero pivot
    except linalg.LinAlgError:
        singular = True
    if singular:
        inverse = linalg.pinvh(normal)
        return np.array([inverse @ row for row in right])
    return np.array([linalg.cho_solve(factor, row, check_finite=False) for row in right])


def _one_thread() -> AbstractContextManager[object]:
    """BLAS and LAPACK on one thread: the order of their sums, and so the last bits, depends on the thread count."""
    return _threadpools().limit(limits=1)


@cache
def _threadpools() -> ThreadpoolController:
    return ThreadpoolController()  # looking for the libraries takes longer than solving; numpy's and scipy's are loaded


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
