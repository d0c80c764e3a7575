"""Selection: which candidate becomes the base of the next round. Source: Crowd-SFT (arXiv 2506.04063)."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numba
import numpy as np
from numpy.typing import NDArray

from crowd_sim.random import Purpose
from crowd_sim.tournament.streams import RoundStreams


@dataclass(frozen=True)
class Selection:
    """The outcome of one round for B runs with K candidates each.

    Attributes:
        model_scores: float64[B], the score of the model the round started from.
        candidate_scores: float64[B, K].
        ranks: int64[B, K], 0 for the candidate ranked first, after mistakes.
        accepted: bool[B], whether the best candidate, or a merged one, beat the model; where not, the round changes nothing.
        mistake: bool[B], whether the first of the ranking changed places with another.
        winner: int64[B], the candidate that becomes the model, −1 where not accepted, K where it is a merged one.
    """

    model_scores: NDArray[np.float64]
    candidate_scores: NDArray[np.float64]
    ranks: NDArray[np.int64]
    accepted: NDArray[np.bool_]
    mistake: NDArray[np.bool_]
    winner: NDArray[np.int64]

    def of(self, runs: slice) -> Selection:
        """The selection of some of the runs."""
        return Selection(**{field.name: getattr(self, field.name)[runs] for field in fields(self)})

    def with_scores(
        self, incumbents: NDArray[np.float64], candidates: NDArray[np.float64], winner: NDArray[np.int64]
    ) -> Selection:
        """As reward mechanisms see it: with scores as measured; a candidate whose tuning diverged has the lowest of its round.

        Args:
            incumbents: float64[B].
            candidates: float64[B, K]; NaN where tuning diverged.
            winner: int64[B], who became the model in the end.
        """
        if not np.isfinite(candidates).all():
            both = np.column_stack([candidates, incumbents])
            lowest = np.where(np.isfinite(both), both, np.inf).min(axis=1)
            lowest = np.where(np.isfinite(lowest), lowest, np.nan)[:, None]
            candidates = np.where(np.isfinite(candidates), candidates, lowest)
        return Selection(incumbents, candidates, self.ranks, winner >= 0, self.mistake, winner)


def select(
    model_scores: NDArray[np.float64],
    candidate_scores: NDArray[np.float64],
    mistake_probability: NDArray[np.float64],
    draws: RoundStreams,
) -> Selection:
    """Rank the candidates of a round (equal scores in order of group) and let the first one replace the model.

    A candidate whose score is not finite is ranked last, and cannot replace the model, not by mistake either.

    Args:
        model_scores: float64[B].
        candidate_scores: float64[B, K].
        mistake_probability: float64[B].
        draws: the round's random streams; a mistake takes one number for whether and one for with whom.
    """
    able, n_able = np.empty(candidate_scores.shape), np.empty(len(candidate_scores), dtype=np.int64)
    _count_able(candidate_scores, able, n_able)
    ranking = np.argsort(able, axis=1, kind="stable")
    chance = draws.uniforms(Purpose.MISTAKE, 2)
    ranks, winner = np.empty_like(ranking), np.empty_like(n_able)
    accepted, mistake = np.empty(len(able), dtype=np.bool_), np.empty(len(able), dtype=np.bool_)
    _decide(model_scores, able, n_able, mistake_probability, chance, ranking, ranks, accepted, mistake, winner)
    return Selection(model_scores, candidate_scores, ranks, accepted, mistake, winner)


# compiled, as in small batches the calls of NumPy cost more than the numbers
@numba.njit(cache=True)
def _count_able(scores: NDArray[np.float64], able: NDArray[np.float64], n_able: NDArray[np.int64]) -> None:
    """Into `able` the negated scores, ∞ where one is not finite."""
    for b in range(scores.shape[0]):
        n_able[b] = 0
        for k in range(scores.shape[1]):
            finite = np.isfinite(scores[b, k])
            able[b, k] = -scores[b, k] if finite else np.inf
            n_able[b] += finite


@numba.njit(cache=True)
def _decide(
    model_scores: NDArray[np.float64],
    able: NDArray[np.float64],
    n_able: NDArray[np.int64],
    mistake_probability: NDArray[np.float64],
    chance: NDArray[np.float64],
    ranking: NDArray[np.int64],
    ranks: NDArray[np.int64],
    accepted: NDArray[np.bool_],
    mistake: NDArray[np.bool_],
    winner: NDArray[np.int64],
) -> None:
    for b in range(len(able)):
        first = ranking[b, 0]
        accepted[b] = -able[b, first] > model_scores[b]
        mistake[b] = accepted[b] and chance[b, 0] < mistake_probability[b] and n_able[b] > 1
        if mistake[b]:  # the other one is uniform among ranks 1..K−1 with finite scores
            other = 1 + int(chance[b, 1] * (n_able[b] - 1))
            ranking[b, 0], ranking[b, other] = ranking[b, other], first
        for place in range(ranking.shape[1]):
            ranks[b, ranking[b, place]] = place
        winner[b] = ranking[b, 0] if accepted[b] else -1
