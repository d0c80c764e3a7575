"""The learner of `classify` and `prefer`: LoRA candidates, judged by how likely they find the right choice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from crowd_sim.config.task import OF_REWARDS
from crowd_sim.crowd.texts import Item
from crowd_sim.elementary import exp, log
from crowd_sim.metrics import mean_and_se
from crowd_sim.models.adapters import Adapter
from crowd_sim.models.jobs import ChoiceJob, TuneJob
from crowd_sim.models.training import Key
from crowd_sim.tasks.adapters.learner import AdapterLearner
from crowd_sim.tasks.adapters.settings import training_of
from crowd_sim.tasks.adapters.trainers import TextTrainers
from crowd_sim.tasks.choose.crowd import ChoiceCrowd
from crowd_sim.tasks.choose.rewarding import Rewarding
from crowd_sim.tournament.learner import Note
from crowd_sim.tournament.state import Round, State


@dataclass(frozen=True, eq=False)
class ChoiceLearner(AdapterLearner):
    """Candidates are judged by how likely they find the right choice.

    A score is the log-likelihood of an item's right choice among all of them, in nats. Of pairs, and of responses that are
    judged by themselves, likelihoods are of the implicit reward β (log π − log π_start) of preference optimisation (Rafailov et
    al. 2023, arXiv 2305.18290), β being `task.beta`: every model begins at log ½. At β = 1 a score would be that of a few pairs
    which a candidate gets wrong by many nats.

    Attributes:
        choices: the items.
        screens: the note of what the crowd's screens say, where it has any.
    """

    choices: ChoiceCrowd
    screens: Note | None = None
    _references: dict[tuple[int, bool], NDArray[np.float64]] = field(default_factory=dict, init=False, repr=False)

    def notes(self, state: State, rounds: int, notes: Sequence[Note]) -> Iterator[Note]:
        """How likely the model finds each choice of the report's items, before the first round and after every one.

        After the last, of the baselines, too.
        """
        if self.screens is not None and all(note["kind"] != "screens" for note in notes):
            yield self.screens
        said = {(note["run"], note["round"]) for note in notes if note["kind"] == "choices"}
        for run in range(self.config.runs):
            if (run, state.round) not in said:
                (likelihoods,) = self._likelihoods([state.models[run]], run, self.choices.report)
                told = exp(likelihoods).tolist()
                yield {"kind": "choices", "run": run, "round": state.round, "probabilities": told}
        if state.round == rounds:
            yield from self._baselines(notes)
            if self.config.task.asks_rewards:
                for run in range(self.config.runs):
                    yield from self._rewarded(run, state.models[run], notes)

    def _rewarded(self, run: int, model: Adapter, notes: Sequence[Note]) -> Iterator[Note]:
        """What baselines by a reward model say, and the model of the rounds beside them."""
        there = [note["name"] for note in notes if note["kind"] == "outputs" and note["run"] == run]
        key, start = self._key(run, 0, 0), self._start(run)
        how = (self.config, self.crowd.in_turn(), self.choices, self.trainers)
        for note, tuned in Rewarding(*how, start, model, key, self._spent(run, notes)).notes(there):
            told = {}
            if tuned is not None:
                (likelihoods,) = self._likelihoods([tuned], run, self.choices.report)
                told = {"probabilities": exp(likelihoods).tolist()}
            yield {"kind": "outputs", "run": run, **note, **told}

    def _baselines(self, notes: Sequence[Note]) -> Iterator[Note]:
        """Single models of exactly the tokens that the rounds have trained."""
        there = {(note["run"], note["name"]) for note in notes if note["kind"] == "baseline"}
        rows = {"expert": self.choices.expert, "single": self.crowd.in_turn()}
        for run in range(self.config.runs):
            spent = self._spent(run, notes)
            for number, name in enumerate(self.config.task.baselines):
                if name in OF_REWARDS or (run, name) in there:
                    continue
                key, training = self._key(run, 0, number), training_of(self.config)
                (tuned,) = self.trainers.tune([TuneJob(self._start(run), rows[name], key, training, spent)])
                (likelihoods,) = self._likelihoods([tuned.adapter], run, self.choices.report)
                told = {"steps": len(tuned.losses), "probabilities": exp(likelihoods).tolist()}
                yield {"kind": "baseline", "run": run, "name": name, "tokens": tuned.n_tokens, **told}

    def _spent(self, run: int, notes: Sequence[Note]) -> int:
        """Tokens that the rounds have trained."""
        return sum(sum(note["tokens"][run]) for note in notes if note["kind"] == "trained")

    def describe(self, played: Round, seconds: float) -> Sequence[Note]:
        """What the candidates took; all else stands in a round's numbers."""
        del seconds
        return [{"kind": "trained", "round": played.round, "tokens": played.trained.tolist()}]

    def measure(self, state: State, notes: Sequence[Note]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The share of the report's items where another choice is likelier, ties half, and the mean score."""
        own = {n["run"]: n for n in notes if n["kind"] == "choices" and n["round"] == state.round}
        told = [np.array(own[run]["probabilities"]) for run in range(self.config.runs)]
        wrong = [1 - accuracy(probabilities, self.choices.report) for probabilities in told]
        scores = [float(right_of(log(probabilities), self.choices.report).mean()) for probabilities in told]
        return np.array(wrong), np.array(scores)

    def _judged(self, adapters: Sequence[Adapter], keys: Sequence[Key]) -> list[tuple[float, float, int]]:
        found = self._likelihoods(adapters, keys[0].run, self.choices.selection) if keys else []
        prompts = [item.prompt for item in self.choices.selection]
        return [(*mean_and_se(right_of(likelihoods, self.choices.selection), prompts), 0) for likelihoods in found]

    def _likelihoods(self, adapters: Sequence[Adapter], run: int, items: tuple[Item, ...]) -> list[NDArray[np.float64]]:
        """Log-likelihoods of choices among each other: float64[m, c] of each adapter."""
        if not adapters:
            return []
        if self.config.task.kind != "prefer":
            return choices_of(self.trainers, adapters, items)
        start, reference = self._start(run), self._before(run, items)
        others = [adapter for adapter in adapters if adapter is not start]
        found = iter(choices_of(self.trainers, others, items, reference, self.config.task.beta) if others else ())
        alike = among_each_other(np.zeros_like(reference))
        return [alike if adapter is start else next(found) for adapter in adapters]

    def _before(self, run: int, items: tuple[Item, ...]) -> NDArray[np.float64]:
        """Log-probabilities of choices by the run's start, which every model is held against: read once."""
        key = (run, items is self.choices.report)
        if key not in self._references:
            (self._references[key],) = self.trainers.choose([ChoiceJob(self._start(run), items)])
        return self._references[key]


def choices_of(
    trainers: TextTrainers,
    adapters: Sequence[Adapter],
    items: tuple[Item, ...],
    reference: NDArray[np.float64] | float = 0.0,
    beta: float = 1.0,
) -> list[NDArray[np.float64]]:
    """Log-likelihoods of choices, by β times what they are beyond a reference's: float64[m, c] of each adapter."""
    found = trainers.choose([ChoiceJob(adapter, items) for adapter in adapters])
    return [among_each_other(beta * (own - reference)) for own in found]


def among_each_other(ratios: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log-likelihoods of choices among each other, by their log-likelihoods or rewards float64[m, c]: float64[m, c].

    Of responses that are judged by themselves, c = 1, of good and bad: float64[m, 2]. Good is as likely as the logistic
    function of its reward, as KTO has it (arXiv 2402.01306, without its reference point).
    """
    return log_softmax(ratios if ratios.shape[1] > 1 else np.column_stack([ratios, np.zeros(len(ratios))]))


def right_of(likelihoods: NDArray[np.float64], items: Sequence[Item]) -> NDArray[np.float64]:
    """Those of the right choices: float64[m, c] → float64[m]."""
    return likelihoods[np.arange(len(items)), [item.right for item in items]]


def log_softmax(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of each row of float64[m, c]."""
    below: NDArray[np.float64] = x - x.max(axis=1, keepdims=True)
    shares: NDArray[np.float64] = below - log(exp(below).sum(axis=1, keepdims=True))
    return shares


def accuracy(probabilities: NDArray[np.float64], items: Sequence[Item]) -> float:
    """The share of items whose right choice is the likeliest of float64[m, c]; of equally likely ones a part."""
    return float(_parts_right(probabilities, items).mean())


def _parts_right(probabilities: NDArray[np.float64], items: Sequence[Item]) -> NDArray[np.float64]:
    best = probabilities >= probabilities.max(axis=1, keepdims=True)
    parts: NDArray[np.float64] = best[np.arange(len(items)), [item.right for item in items]] / best.sum(axis=1)
    return parts


def calibration_error(probabilities: NDArray[np.float64], items: Sequence[Item], bins: int = 10) -> float:
    """Expected calibration error (Guo et al. 2017, arXiv 1706.04599) of the likeliest choices, in bins of equal width.

    Of equally likely ones each is a part right, as for `accuracy`: who says ½ of every pair is calibrated.
    """
    sure, right = probabilities.max(axis=1), _parts_right(probabilities, items)
    place = np.minimum((sure * bins).astype(int), bins - 1)
    gaps = [abs(sure[place == b].sum() - right[place == b].sum()) for b in range(bins)]
    return float(sum(gaps) / len(items))
