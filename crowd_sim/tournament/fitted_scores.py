"""What a run's scores say of mixtures: one function f of compositions, fitted to those that were scored.

Why that may be done is told by `crowd_sim.tournament.calibrated`, how by `kernel_ridge`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
from numpy.typing import NDArray

from crowd_sim.linear_algebra import gram as products
from crowd_sim.tournament.kernel_ridge import Fading, Fit, fit_scores
from crowd_sim.tournament.mixture_weights import Rounds, ages, compositions, scores

FIRST = 4
"""Rounds before the first fit, unless there are fewer."""

_NOISE = 1e-12
"""Scores that differ by less than this part of themselves are equal but for rounding."""

_BLOCK = 4096
"""Workers whose compositions are in memory at a time."""


@dataclass(frozen=True, eq=False)
class FittedScores:
    """A run's fit.

    Attributes:
        fit: of the N latest scores, standardised.
        totals: float64[N], what of each composition is the workers', Σ_i z_i.
        gram: float64[N, N], inner products of the compositions, the initial model's share included.
        fading: how f changes with time, where it may.
        cuts: the workers in pieces, each from one to before another.
        shares: of a piece, float64[m, N], a row a worker.
    """

    fit: Fit
    totals: NDArray[np.float64]
    gram: NDArray[np.float64]
    fading: Fading | None
    cuts: Sequence[tuple[int, int]]
    shares: Callable[[int, int], NDArray[np.float64]]

    def pieces(self) -> Iterator[tuple[slice, NDArray[np.float64]]]:
        """The workers and their `shares`, piece by piece."""
        for cut in self.cuts:
            yield slice(*cut), self.shares(*cut)


def fitted_scores(memory: Rounds, run: int, last: int, half_life: float | None = None) -> FittedScores | None:
    """The fit of a run's `last` scores; None where they tell nothing apart, or no matrix can be factorised.

    Args:
        memory: what happened.
        run: which of its runs.
        last: scores, the latest, that are looked at.
        half_life: rounds after which half of what a score says is forgotten, where a fit that forgets leaves smaller errors.
    """
    observed = scores(memory, run, last)
    if np.ptp(observed) <= _NOISE * np.abs(observed).max():
        return None
    n = memory.before.shape[1]
    # a crowd of one piece is composed once, a larger one twice, and never held as a whole
    shares = lru_cache(maxsize=1)(partial(compositions, memory, run, last))
    cuts = [(start, min(start + _BLOCK, n)) for start in range(0, n, _BLOCK)]
    totals = np.zeros(len(observed))
    gram = np.zeros((len(observed), len(observed)))
    for cut in cuts:
        piece = shares(*cut)
        totals += piece.sum(axis=0)
        gram += products(piece)
    gram += np.outer(1 - totals, 1 - totals)
    y = (observed - observed.mean()) / observed.std()
    fading = None if half_life is None else Fading(ages(memory, last), half_life)
    fit = fit_scores(gram, y, fading)
    return None if fit is None else FittedScores(fit, totals, gram, fading, cuts, shares)
