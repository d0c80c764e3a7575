"""What examples are worth by retraining: the game in which a coalition tunes a model, and its first-order approximation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crowd_sim.config import RunConfig
from crowd_sim.crowd.texts import Contributions, Example
from crowd_sim.errors import InputError
from crowd_sim.llm.judging import Judge
from crowd_sim.llm.people import learner_spec
from crowd_sim.llm.services import Learners
from crowd_sim.metrics import pearson, spearman
from crowd_sim.models.lora import Judging, LearnerSpec, Tuning, shared_learner
from crowd_sim.models.tuning import Key
from crowd_sim.progress import Progress
from crowd_sim.random import Purpose
from crowd_sim.valuation import Game, ShapleyResult

Valuer = Callable[[Game, int, Callable[[Any], ShapleyResult]], ShapleyResult]
"""(game, run, value) → result: opens evaluators for the game, and gives `value` what evaluates coalitions."""


@dataclass(frozen=True, eq=False)
class RetrainingGame:
    """v(S): the mean score of the outputs of a model tuned, from the run's start, on the examples of S; v(∅): of the base.

    All coalitions draw their outputs from the same random streams, which takes noise from their differences. Wherever it is
    called, the learner of that process is used or loaded.

    Attributes:
        spec: of the learner.
        contributions: of the players.
        judge: what outputs are held against.
        seed, run: of the random streams.
    """

    spec: LearnerSpec
    contributions: Contributions
    judge: Judge
    seed: int
    run: int

    @property
    def n_players(self) -> int:
        """Number of workers."""
        return self.contributions.n_workers

    def __call__(self, coalitions: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Utilities float64[m] of coalitions bool[m, n].

        Raises:
            InputError: tuning on a coalition's examples diverged.
        """
        learner = shared_learner(self.spec)
        start = learner.initial(self.seed, self.run)
        key = Key(self.seed, self.run, 0, 0)
        examples = [self._examples(coalition) for coalition in coalitions]
        tuned = learner.tune([Tuning(start, own, key) for own in examples])
        jobs = [Judging(t.adapter, self.judge.selection_prompts, key, Purpose.COALITION_OUTPUTS) for t in tuned]
        # each by itself: a coalition's utility must not depend on which others an evaluator was given with it
        judged = [outputs for job in jobs for outputs in learner.judge([job])]
        utilities = np.array([self.judge.scores(outputs.vectors).mean() for outputs in judged])
        for coalition in coalitions[~np.isfinite(utilities)]:
            members = ", ".join(self.contributions.ids[worker] for worker in np.flatnonzero(coalition))
            allowed = (
                f"must be lower: tuning on the examples of {members} together diverged, so that they have no value"
            )
            raise InputError("llm.learning_rate", self.spec.training.learning_rate, allowed)
        return utilities

    def heartbeat(self) -> int:
        """Passes of this process's model so far."""
        return shared_learner(self.spec).passes if shared_learner.cache_info().currsize else 0

    def _examples(self, coalition: NDArray[np.bool_]) -> tuple[Example, ...]:
        return tuple(e for worker in np.flatnonzero(coalition) for e in self.contributions.examples[worker])


@dataclass(frozen=True, eq=False)
class LlmValues:
    """Values of B runs' workers.

    Attributes:
        shapley, stderr: float64[B, n], of the retraining game, in units of the score.
        first_order: float64[B, n], see `crowd_sim.models.in_run_shapley`, in nats.
        method: the estimator.
        n_evaluations: coalitions tuned and judged, all runs together.
        correlations: float64[B] by name: points and first-order values against the Shapley values.
    """

    shapley: NDArray[np.float64]
    stderr: NDArray[np.float64]
    first_order: NDArray[np.float64]
    method: str
    n_evaluations: int
    correlations: dict[str, NDArray[np.float64]]


def value_runs(
    config: RunConfig,
    contributions: Contributions,
    judge: Judge,
    learners: Learners,
    points: NDArray[np.float64],
    valuer: Valuer,
    progress: Progress,
) -> LlmValues | None:
    """Value the workers of every run; None with method `none`. `points` are float64[B, n]."""
    from crowd_sim.valuation import shapley

    if config.valuation.method == "none":
        return None
    results: list[ShapleyResult] = []
    first: list[NDArray[np.float64]] = []
    for run in range(config.runs):
        game = RetrainingGame(learner_spec(config), contributions, judge, config.seed, run)

        def value(evaluate: Any, game: Game = game, run: int = run) -> ShapleyResult:
            return shapley(game, config.valuation.method, config.valuation.budget, config.seed, run, evaluate)

        results.append(valuer(game, run, value))
        start = learners.initial(config.seed, run)
        key = Key(config.seed, run, 0, 0)
        first.append(learners.first_order(start, contributions.examples, contributions.validation(), key))
        progress("values", run + 1, config.runs)
    values, first_order = np.stack([result.values for result in results]), np.stack(first)
    return LlmValues(
        shapley=values,
        stderr=np.stack([result.stderr for result in results]),
        first_order=first_order,
        method=results[0].method,
        n_evaluations=sum(result.n_evaluations for result in results),
        correlations={
            "pearson_points": pearson(points, values),
            "spearman_points": spearman(points, values),
            "pearson_first_order": pearson(first_order, values),
            "spearman_first_order": spearman(first_order, values),
        },
    )
