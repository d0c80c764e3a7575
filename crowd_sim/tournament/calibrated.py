"""Calibrated points: what each worker adds to a coalition, learnt from the scores that the tournament gives anyway.

**The function.** Model and candidates are mixtures of the initial model and the workers with known shares z (`compositions`).
So all scores of a run, of candidates that won and of those that lost, are values of one function f at known places, and
where tuning is exactly such a mixture (`learners.vector`) they are free of noise. f is estimated by kernel ridge
(`kernel_ridge`), with penalty and family by leaving one out in closed form.

**The value.** Worker i, joining a coalition of k − 1 average others, moves its mean from u = (1/n, …, 1/n) to
u + (e_i − u)/k. What this adds, f(u + (e_i − u)/k) − f(u), summed over k = 1 … n with equal weights, as Shapley's are, is
i's value but for a constant; only k = 1, …, n on a short geometric grid are computed, the others lie on straight lines in 1/k
between them.

**The points** are exp(`SPREAD` × standardised value), above 0 whatever the sign of the value, in the order of the values, 1
for all as long as nothing is known, and of a spread that does not depend on the score's unit. Their squares weight the
centroids: at 0.1, two standard deviations weigh e^0.4 = 1.5 times the average. More would lower the distance further, but lead
the models away from the average of the crowd, where coalitions are, and cost correlation.

**Why not** plainly regress the gains, centred within their round, on the members' weights by ridge, round by round? Centring
compares only candidates of one round, and a gain at one place is not the gain at another unless f is linear: what a worker
far from the others adds to a small crowd with `l1` or `l2` is no multiple of its weight. Here no round is centred, because the
model's own composition explains what a round's candidates have in common, and features of a kernel let gains depend on the
place. The ridge that is linear in the shares is still there, as the family `lin`; it is taken where it leaves clearly smaller
errors, as for `dot`, and there its penalty is but for rounding: where workers outnumber scores, it gives the smallest
solution that fits them all. For `arc`, the penalty is chosen of four by leaving one out. What the points reach over the
paper's sweep is printed by `python -m experiments.paper.calibrated_table`.

Points change after the rounds R, R/2, R/4, … (each rounded up, to the first that is at most `FIRST`), the last from up to
`WINDOW` scores and the others, which only steer, from up to `EARLY`: a fit costs their cube. In between points
stand; each fit is made anew, from the scores that are remembered.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numba
import numpy as np
from numpy.typing import NDArray

from crowd_sim.elementary import exp
from crowd_sim.tournament.fitted_scores import FIRST, fitted_scores
from crowd_sim.tournament.kernel_ridge import Fit, arc
from crowd_sim.tournament.mixture_weights import Rounds, remember
from crowd_sim.tournament.posterior import Posterior
from crowd_sim.tournament.state import Memory, Round

SPREAD = 0.1
"""Standard deviation of the points' logarithms."""

WINDOW, EARLY = 224, 96
"""Scores, the latest ones, that the last fit and earlier fits see."""

_N_SIZES = 5
"""Coalition sizes k at which values are computed."""

_LARGEST = 300.0
"""Standardised values are cut here, so that points, their squares and sums stay finite for crowds of millions."""


@dataclass(frozen=True)
class Calibration:
    """What may be asked of it beyond what it does by itself.

    Attributes:
        window: scores, the latest ones, that every fit sees; absent: `WINDOW` and `EARLY`.
        half_life: rounds after which half of what a score says is forgotten, where a fit that forgets leaves smaller errors;
            absent: workers are taken to stay as they are.
        errors: whether the points' standard errors are kept, as ``ERRORS`` in the memory.
    """

    window: int | None = None
    half_life: float | None = None
    errors: bool = False


ERRORS = "calibrated_errors"


def calibrated(
    points: NDArray[np.float64], memory: Memory, played: Round, options: Calibration = Calibration()
) -> tuple[NDArray[np.float64], Memory]:
    """Points by what each worker is estimated to add to a coalition; see the module.

    Every run is fitted by itself, so none depends on which are beside it. A run whose scores tell nothing apart keeps its
    points.
    """
    n_observed = played.selection.candidate_scores.shape[1] + played.audited.shape[1]
    window, early = (options.window, options.window) if options.window else (WINDOW, EARLY)
    known = remember(Rounds.of(memory) if memory else None, played, max((window - 1) // n_observed, 1))
    errors = memory[ERRORS] if memory and ERRORS in memory else np.full(points.shape, np.nan)
    if is_due(played.round, played.rounds):
        last = window if played.round == played.rounds else early
        found = [_points(points[run], errors[run], known, run, last, options) for run in range(len(points))]
        points, errors = np.stack([row for row, _ in found]), np.stack([own for _, own in found])
    return points, known.arrays() | ({ERRORS: errors} if options.errors else {})


def is_due(number: int, rounds: int) -> bool:
    """Whether points change after this round of so many."""
    while rounds > max(number, FIRST):
        rounds = -(-rounds // 2)
    return number == rounds


def _points(
    points: NDArray[np.float64],
    errors: NDArray[np.float64],
    memory: Rounds,
    run: int,
    last: int,
    options: Calibration,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A run's points and their standard errors: float64[n] each."""
    found = fitted_scores(memory, run, last, options.half_life)
    if found is None:
        return points, errors
    n, squares = len(points), found.gram.diagonal()
    values = np.concatenate([_values(found.fit, own, found.totals, squares, n) for _, own in found.pieces()])
    if values.min() == values.max():
        return np.ones(n), errors
    values -= values.mean()
    spread = values.std()
    points = exp(SPREAD * np.clip(values / spread, -_LARGEST, _LARGEST))
    if options.errors:
        posterior, above = Posterior.of(found.fit, found.gram, found.fading), 1 + squares
        unsure = np.concatenate(
            [posterior.errors(own, found.totals, above, n, *size_grid(n)) for _, own in found.pieces()]
        )
        errors = points * SPREAD * (unsure / spread)
    return points, errors


def _values(
    found: Fit,
    shares: NDArray[np.float64],
    totals: NDArray[np.float64],
    squares: NDArray[np.float64],
    n_workers: int,
) -> NDArray[np.float64]:
    """Values float64[m], up to a common constant and factor, of workers with `shares` float64[m, N].

    No BLAS: workers whose shares are equal must have equal values, to the last bit.
    """
    if found.family == "lin":  # f is linear: all k say the same
        return (shares * found.alpha).sum(axis=1)
    values = np.empty(len(shares))
    sizes, weights = size_grid(n_workers)
    _sum_over_sizes(shares, totals, 1 + squares, found.alpha, n_workers, sizes, weights, values)
    return values


@lru_cache(maxsize=16)
def size_grid(n: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sizes k_j from 1 to n and w_j with Σ_k f(1/k) = Σ_j w_j f(1/k_j) for f piecewise linear between the 1/k_j."""
    sizes = np.unique(np.round(np.geomspace(1, n, _N_SIZES)))
    near = 1 / np.arange(n, 0, -1)
    knots = 1 / sizes[::-1]
    weights = np.array([np.interp(near, knots, hat).sum() for hat in np.eye(len(knots))])
    return sizes, weights[::-1].copy()


@numba.njit(cache=True, error_model="numpy")
def _sum_over_sizes(
    shares: NDArray[np.float64],
    totals: NDArray[np.float64],
    squares: NDArray[np.float64],
    alpha: NDArray[np.float64],
    n_workers: int,
    sizes: NDArray[np.float64],
    weights: NDArray[np.float64],
    values: NDArray[np.float64],
) -> None:
    """Σ_j w_j f(u + (e_i − u)/k_j); `totals` and `squares`: of each observation Σ_i z_i and 1 + z · z."""
    kernel = np.empty(len(alpha))
    for i in range(len(values)):
        value = 0.0
        for j in range(len(sizes)):
            own = 1.0 / sizes[j]
            common = (1.0 - own) / n_workers
            square = 1.0 + n_workers * common * common + 2.0 * common * own + own * own
            for o in range(len(alpha)):  # apart from the sum, so that it runs on several o at once
                kernel[o] = arc(common * totals[o] + own * shares[i, o], square * squares[o])
            f = 0.0
            for o in range(len(alpha)):
                f += alpha[o] * kernel[o]
            value += weights[j] * f
        values[i] = value
