"""Points that steer: multiplied, round by round, by what a little more of each worker would do to the model as it is.

**The update.** Scores of candidates are values of one function f of compositions (`fitted_scores`). With q the model's
composition, a candidate of worker i alone is (1 − δ) q + δ e_i, and f of it, standardised over the workers, is v_i. Then

    points_i ← points_i · exp(η v_i / 2),

so that weights, the points' squares, follow an exponentiated gradient on the simplex of mixtures (Kivinen and Warmuth,
"Exponentiated gradient versus gradient descent for linear predictors", Information and Computation 132, 1997), with steps of
constant size: its fixed points are mixtures from which no worker's more would help.

**Not a payment.** `calibrated` asks what a worker adds to coalitions of average others, which is what a Shapley value is the
mean of; powers of it make those heavy who are good alone. Here the question is who helps the mixture that there is. A worker
whose like is in it already earns nothing more, however good: these points steer well and share badly. Who pays lets a mechanism
that is fair watch the same rounds (`tournament.observe`).

η and the window were chosen on MovieLens (seeds 11 to 14, 10, 50 and 100 workers), of 0.05, 0.1 and more, and of 120, 224 and
400 scores (96 is what `calibrated` steers by). What comes of it: `python -m experiments.crowds.exploiting`.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

from crowd_sim.elementary import exp
from crowd_sim.tournament.fitted_scores import FIRST, FittedScores, fitted_scores
from crowd_sim.tournament.kernel_ridge import arc
from crowd_sim.tournament.mixture_weights import Rounds, model_shares, remember
from crowd_sim.tournament.state import Memory, Round

RATE = 0.05
"""η: by what part a worker's weight grows in a round that finds it one standard deviation above the others."""

WINDOW = 96
"""Scores, the latest ones, that a fit sees."""

_LEAST = 1e-4
"""Of the largest points: nobody has less, so that who helps later can come back."""

_MOST = 30.0
"""Standardised values are cut here, for crowds of millions."""


def exponentiated(points: NDArray[np.float64], memory: Memory, played: Round) -> tuple[NDArray[np.float64], Memory]:
    """Points by who would help the model as it is; see the module.

    Every run is fitted by itself. The largest has 1, and all have it until the fourth round, or the last of fewer,
    and as long as scores tell nothing apart: where every round has one candidate they never do.
    """
    n_observed = played.selection.candidate_scores.shape[1] + played.audited.shape[1]
    known = remember(Rounds.of(memory) if memory else None, played, max((WINDOW - 1) // n_observed, 1))
    if played.round >= min(FIRST, played.rounds):
        models = model_shares(known)
        points = np.stack([_points(points[run], models[run], known, run) for run in range(len(points))])
    return points, known.arrays()


def _points(points: NDArray[np.float64], model: NDArray[np.float64], memory: Rounds, run: int) -> NDArray[np.float64]:
    found = fitted_scores(memory, run, WINDOW)
    if found is None:
        return points
    values = _values(found, model, memory.step[run])
    values -= values.mean()
    spread = values.std()
    if not spread:
        return points
    points = points * exp(RATE / 2 * np.clip(values / spread, -_MOST, _MOST))
    return np.maximum(points / points.max(), _LEAST)


def _values(found: FittedScores, model: NDArray[np.float64], step: float) -> NDArray[np.float64]:
    """What f is a step from the model, shares float64[n], towards each worker: float64[n], up to a constant and a factor."""
    alpha = found.fit.alpha
    if found.fit.family == "lin":
        return np.concatenate([(own * alpha).sum(axis=1) for _, own in found.pieces()])
    rest = 1 - model.sum()
    common, square = rest * (1 - found.totals), rest * rest
    for workers, own in found.pieces():
        common += (own * model[workers, None]).sum(axis=0)
        square += (model[workers] ** 2).sum()
    values = np.empty(len(model))
    for workers, own in found.pieces():
        _sum_towards(
            own, model[workers], (1 - step) * common, square, 1 + found.gram.diagonal(), alpha, step, values[workers]
        )
    return values


@numba.njit(cache=True, error_model="numpy")
def _sum_towards(
    shares: NDArray[np.float64],
    model: NDArray[np.float64],
    common: NDArray[np.float64],
    model_square: float,
    squares: NDArray[np.float64],
    alpha: NDArray[np.float64],
    step: float,
    values: NDArray[np.float64],
) -> None:
    """f((1 − δ) q + δ e_i); `squares`: of each observation 1 + z · z, `common`: (1 − δ) q · z."""
    kept = 1.0 - step
    kernel = np.empty(len(alpha))
    for i in range(len(values)):
        square = 1.0 + kept * kept * model_square + 2.0 * kept * step * model[i] + step * step
        for o in range(len(alpha)):  # apart from the sum, so that it runs on several o at once
            kernel[o] = arc(common[o] + step * shares[i, o], square * squares[o])
        f = 0.0
        for o in range(len(alpha)):
            f += alpha[o] * kernel[o]
        values[i] = f
