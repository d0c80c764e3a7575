"""The learner of `classify` and `prefer`: LoRA candidates, judged by how likely they find the right choice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crowd_sim.config import RunConfig
from crowd_sim.crowd.texts import Item
from crowd_sim.models.adapters import Adapter
from crowd_sim.models.lora import ChoiceJob
from crowd_sim.tasks.choose.crowd import ChoiceCrowd
from crowd_sim.tasks.imitate.learner import ImitateLearner
from crowd_sim.tasks.imitate.output_scoring import mean_and_se
from crowd_sim.tasks.imitate.trainers import TextTrainers
from crowd_sim.tournament.learner import Candidates, Note, Part
from crowd_sim.tournament.request import RoundRequest
from crowd_sim.tournament.state import Round, Scores, State


@dataclass(frozen=True, eq=False)
class ChoiceLearner:
    """See `crowd_sim.tournament.learner.Learner`. Models are B adapters.

    A score is the log-likelihood of an item's right choice among all of them, in nats. Of pairs it is held against the run's
    start, as preference optimisation does: there every model begins at log ½.

    Attributes:
        config: of all B runs.
        crowd: who takes part, and the items.
        trainers: who tunes, and says how likely choices are.
        tuner: how candidates come about, which is as with `imitate`.
    """

    config: RunConfig
    crowd: ChoiceCrowd
    trainers: TextTrainers
    tuner: ImitateLearner

    def initial(self) -> tuple[Adapter, ...]:
        """Adapters that change nothing yet."""
        return self.tuner.initial()

    def weights(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """A worker weighs as much as it has examples."""
        return self.tuner.weights(points)

    def tune(self, asked: RoundRequest, part: Part | None = None, before: Candidates | None = None) -> Candidates:
        """Tune on the examples of each group."""
        return self.tuner.tune(asked, part, before)

    def combine(self, candidates: Candidates, weights: NDArray[np.float64]) -> Candidates:
        """The adapter nearest to the weighted sum of the candidates' products."""
        return self.tuner.combine(candidates, weights)

    def adopt(
        self,
        models: Sequence[Adapter],
        candidates: Candidates,
        merged: Candidates | None,
        winners: NDArray[np.int64],
    ) -> tuple[Adapter, ...]:
        """B adapters."""
        return self.tuner.adopt(models, candidates, merged, winners)

    def score(
        self,
        asked: RoundRequest,
        candidates: Candidates | None,
        numbers: Sequence[int] = (),
        alive: NDArray[np.bool_] | None = None,
        *,
        incumbents: bool = True,
    ) -> Scores:
        """Mean scores of the selection's items."""
        n_runs = self.config.runs
        found = np.full((n_runs, len(numbers) + 1), np.nan)
        errors = found.copy()
        for run in range(n_runs):
            going = [k for k in range(len(numbers)) if alive is None or alive[run, k]]
            own = [candidates.models[run][k] for k in going] if candidates is not None else []
            if incumbents:
                own, going = [*own, asked.models[run]], [*going, len(numbers)]
            for k, likelihoods in zip(going, self._likelihoods(own, run, self.crowd.selection), strict=True):
                found[run, k], errors[run, k] = mean_and_se(self._right(likelihoods, self.crowd.selection))
        nothing = np.zeros(n_runs, dtype=np.int64)
        return Scores(found[:, -1], errors[:, -1], found[:, :-1], errors[:, :-1], nothing)

    def notes(self, state: State, rounds: int, notes: Sequence[Note]) -> Iterator[Note]:
        """How likely the model finds each choice of the report's items, before the first round and after every one."""
        del rounds
        said = {(note["run"], note["round"]) for note in notes if note["kind"] == "choices"}
        for run in range(self.config.runs):
            if (run, state.round) not in said:
                (likelihoods,) = self._likelihoods([state.models[run]], run, self.crowd.report)
                told = np.exp(likelihoods).tolist()
                yield {"kind": "choices", "run": run, "round": state.round, "probabilities": told}

    def describe(self, played: Round, seconds: float) -> Sequence[Note]:
        """All that there is to know of a round stands in its numbers."""
        del played, seconds
        return ()

    def measure(self, state: State, notes: Sequence[Note]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The share of the report's items where another choice is likelier, ties half, and the mean score."""
        own = {n["run"]: n for n in notes if n["kind"] == "choices" and n["round"] == state.round}
        told = [np.array(own[run]["probabilities"]) for run in range(self.config.runs)]
        wrong = [1 - accuracy(probabilities, self.crowd.report) for probabilities in told]
        with np.errstate(divide="ignore"):
            scores = [float(self._right(np.log(probabilities), self.crowd.report).mean()) for probabilities in told]
        return np.array(wrong), np.array(scores)

    def _likelihoods(self, adapters: Sequence[Adapter], run: int, items: tuple[Item, ...]) -> list[NDArray[np.float64]]:
        """Log-likelihoods of choices among each other: float64[m, c] of each adapter."""
        if not adapters:
            return []
        reference = [self.initial()[run]] if self.config.task.kind == "prefer" else []
        found = self.trainers.choose([ChoiceJob(adapter, items) for adapter in (*adapters, *reference)])
        if reference:
            found = [own - found[-1] for own in found[:-1]]
        return [own - np.logaddexp.reduce(own, axis=1, keepdims=True) for own in found]

    @staticmethod
    def _right(likelihoods: NDArray[np.float64], items: Sequence[Item]) -> NDArray[np.float64]:
        return likelihoods[np.arange(len(items)), [item.right for item in items]]


def accuracy(probabilities: NDArray[np.float64], items: Sequence[Item]) -> float:
    """The share of items whose right choice is the likeliest of float64[m, c]; of equally likely ones a part."""
    best = probabilities >= probabilities.max(axis=1, keepdims=True)
    right = best[np.arange(len(items)), [item.right for item in items]]
    return float((right / best.sum(axis=1)).mean())


def calibration_error(probabilities: NDArray[np.float64], items: Sequence[Item], bins: int = 10) -> float:
    """Expected calibration error (Guo et al. 2017, arXiv 1706.04599) of the likeliest choices, in bins of equal width."""
    sure, chosen = probabilities.max(axis=1), probabilities.argmax(axis=1)
    right = chosen == np.array([item.right for item in items])
    place = np.minimum((sure * bins).astype(int), bins - 1)
    gaps = [abs(sure[place == b].sum() - right[place == b].sum()) for b in range(bins)]
    return float(sum(gaps) / len(items))
