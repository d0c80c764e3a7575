"""Selection: which candidate becomes the base of the next round. Source: Crowd-SFT (arXiv 2506.04063)."""

from __future__ import annotations

from dataclasses import dataclass, fields

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
        accepted: bool[B], whether the best candidate beat the model; where not, the round changes nothing.
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
        return Selection(incumbents, candidates, self.ranks, self.accepted, self.mistake, winner)


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
    n_runs, n_groups = candidate_scores.shape
    rows = np.arange(n_runs)
    finite = np.isfinite(candidate_scores)
    able, n_able = np.where(finite, candidate_scores, -np.inf), finite.sum(axis=1)
    ranking = np.argsort(-able, axis=1, kind="stable")
    accepted = able[rows, ranking[:, 0]] > model_scores
    chance = draws.uniforms(Purpose.MISTAKE, 2)
    mistake = accepted & (chance[:, 0] < mistake_probability) & (n_able > 1)
    # the other one is uniform among ranks 1..K−1 with finite scores; where there is none nothing is swapped
    other = np.where(mistake, 1 + (chance[:, 1] * (n_able - 1)).astype(np.int64), 0)
    first = ranking[:, 0].copy()
    ranking[:, 0] = ranking[rows, other]
    ranking[rows, other] = first
    ranks = np.empty_like(ranking)
    ranks[rows[:, None], ranking] = np.arange(n_groups)
    return Selection(
        model_scores=model_scores,
        candidate_scores=candidate_scores,
        ranks=ranks,
        accepted=accepted,
        mistake=mistake,
        winner=np.where(accepted, ranking[:, 0], -1),
    )
