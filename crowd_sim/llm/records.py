"""What an LLM run leaves behind, in numbers and texts that JSON can hold: a run stopped anywhere goes on from its records."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, nan


@dataclass(frozen=True)
class Report:
    """A model on fresh outputs, drawn for this report alone.

    Attributes:
        name: `base`, `single_<m>`, `single_equal_tokens`, or `round_<r>`.
        run: the replicate.
        prompts, texts: of each output.
        distances: ‖Φ(output) − target‖₂ of each output.
        scores: the tournament's score of each output.
        tokens_trained: response tokens it took to make this model, the tournament's losing candidates included.
        tokens_generated: tokens of outputs it took, selection included, this report not.
        seconds: wall time of the same.
    """

    name: str
    run: int
    prompts: tuple[str, ...]
    texts: tuple[str, ...]
    distances: tuple[float, ...]
    scores: tuple[float, ...]
    tokens_trained: int
    tokens_generated: int
    seconds: float


@dataclass(frozen=True)
class Round:
    """One round of one run.

    Attributes:
        run, round: the replicate; the round, from 1.
        assignment: the group of every worker, −1 for those who have left.
        model_score: mean score of the old model's selection outputs; model_score_se: its standard error.
        candidate_scores, candidate_scores_se: of the K candidates; with halving of their last outputs, so that one that left
            early may have a higher score than those ranked above it. NaN where tuning diverged: such a candidate cannot win.
        candidate_tokens: response tokens trained by each.
        merged_score: of the merged candidate, where there was one.
        merge_weights: by which the candidates were merged, where they were.
        ranks: 0 for the candidate ranked first, after mistakes.
        accepted, mistake: whether a candidate replaced the model; whether the first of the ranking changed places.
        winner: the candidate that did, −1 where none, K where it is the merged one.
        tokens_generated: by selection.
        seconds: wall time of tuning and selection.
    """

    run: int
    round: int
    assignment: tuple[int, ...]
    model_score: float
    model_score_se: float
    candidate_scores: tuple[float, ...]
    candidate_scores_se: tuple[float, ...]
    candidate_tokens: tuple[int, ...]
    merged_score: float | None
    merge_weights: tuple[float, ...] | None
    ranks: tuple[int, ...]
    accepted: bool
    mistake: bool
    winner: int
    tokens_generated: int
    seconds: float

    @property
    def best_score(self) -> float:
        """The highest score of a candidate; NaN where the tuning of all diverged."""
        return max(filter(isfinite, self.candidate_scores), default=nan)

    @property
    def n_diverged(self) -> int:
        """Candidates whose tuning diverged."""
        return len(self.candidate_scores) - sum(map(isfinite, self.candidate_scores))
