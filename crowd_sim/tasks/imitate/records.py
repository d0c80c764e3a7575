"""What a text run leaves behind, in numbers and texts that JSON can hold: a run stopped anywhere goes on from its records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite, isnan, nan
from typing import Any

from crowd_sim.tournament.state import Round


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
        energy, energy_se: energy distance of the outputs and the crowd's honest texts, and its standard error.
        loss: mean cross-entropy of held-out texts' tokens, in nats; NaN where none are.
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
    energy: float = nan
    energy_se: float = nan
    loss: float = nan
    kind: str = "report"


@dataclass(frozen=True)
class CandidateRound:
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
    kind: str = "round"

    @property
    def best_score(self) -> float:
        """The highest score of a candidate; NaN where the tuning of all diverged."""
        return max(filter(isfinite, self.candidate_scores), default=nan)

    @property
    def n_diverged(self) -> int:
        """Candidates whose tuning diverged."""
        return len(self.candidate_scores) - sum(map(isfinite, self.candidate_scores))


def rounds_of(played: Round, seconds: float) -> list[CandidateRound]:
    """The round of every run, each of which took so many seconds."""
    scores, selection = played.scores, played.selection
    return [
        CandidateRound(
            run=run,
            round=played.round,
            assignment=tuple(played.assignment[run].tolist()),
            model_score=float(scores.incumbents[run]),
            model_score_se=float(scores.incumbents_se[run]),
            candidate_scores=tuple(scores.candidates[run].tolist()),
            candidate_scores_se=tuple(scores.candidates_se[run].tolist()),
            candidate_tokens=tuple(played.trained[run].tolist()),
            merged_score=None if isnan(merged) else merged,
            merge_weights=None if isnan(merged) else tuple(played.merge_weights[run].tolist()),
            ranks=tuple(selection.ranks[run].tolist()),
            accepted=winner >= 0,
            mistake=bool(selection.mistake[run]),
            winner=winner,
            tokens_generated=int(scores.generated[run]),
            seconds=seconds,
        )
        for run, (winner, merged) in enumerate(
            zip(selection.winner.tolist(), played.merged_scores.tolist(), strict=True)
        )
    ]


def round_of(note: Mapping[str, Any]) -> CandidateRound:
    """A round from its note."""
    return CandidateRound(**{name: _tuples(value) for name, value in note.items()})


def report_of(note: Mapping[str, Any]) -> Report:
    """A report from its note."""
    return Report(**{name: _tuples(value) for name, value in note.items()})


def _tuples(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
