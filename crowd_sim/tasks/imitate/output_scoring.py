"""Scores of outputs: how near a candidate's outputs come to the target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from crowd_sim.config import RunConfig
from crowd_sim.crowd.texts import Example, TextCrowd
from crowd_sim.errors import InputError
from crowd_sim.registry import resolve
from crowd_sim.scores import Score, l2


@dataclass(frozen=True, eq=False)
class OutputScorer:
    """What outputs are held against.

    Attributes:
        score: of a vector against the target, higher is better.
        target: float64[d], the mean Φ of the target's texts.
        selection_prompts, report_prompts: one per output.
        honest: float64[t, d], the Φ of texts as outputs should be.
        unseen: examples for a held-out loss.
    """

    score: Score
    target: NDArray[np.float64]
    selection_prompts: tuple[str, ...]
    report_prompts: tuple[str, ...]
    honest: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 1)))
    unseen: tuple[Example, ...] = ()

    def scores(self, vectors: NDArray[np.float64]) -> NDArray[np.float64]:
        """float64[m, d] → float64[m]."""
        return self.score(vectors, self.target)

    def distances(self, vectors: NDArray[np.float64]) -> NDArray[np.float64]:
        """‖Φ(output) − target‖₂: float64[m, d] → float64[m]."""
        return -l2(vectors, self.target)


def make_scorer(
    config: RunConfig, crowd: TextCrowd, target_vectors: NDArray[np.float64], honest: NDArray[np.float64]
) -> OutputScorer:
    """The scorer of a configuration's runs; vectors float64[t, d] are the Φ of the target's texts, and of honest ones."""
    selection, report = prompts_of(config, crowd)
    return OutputScorer(
        score=resolve("score", config.tournament.score),
        target=target_vectors.mean(axis=0),
        selection_prompts=selection,
        report_prompts=report,
        honest=honest,
        unseen=crowd.unseen(),
    )


def prompts_of(config: RunConfig, crowd: TextCrowd) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The prompts of the selection's and of the report's outputs, one per output."""
    generation = config.task.generation
    own = crowd.prompts
    if not own and not (generation.selection_prompts and generation.report_prompts):
        field = "report_prompts" if generation.selection_prompts else "selection_prompts"
        raise InputError(
            f"task.generation.{field}", None, "must be given: all of the crowd's prompts have earlier turns"
        )
    return (
        _in_turn(generation.selection_prompts or own, generation.selection_outputs),
        _in_turn(generation.report_prompts or own, generation.report_outputs),
    )


def _in_turn(prompts: Sequence[str], n: int) -> tuple[str, ...]:
    return tuple(prompts[i % len(prompts)] for i in range(n))
