"""Baselines of `prefer` by a reward model, as reinforcement learning from human feedback has it (arXiv 2203.02155).

The reward is fitted to the crowd's pairs. What outputs are worth in the end a judge says that is fitted to the report's pairs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from crowd_sim.config import RunConfig
from crowd_sim.crowd.texts import Example, Item
from crowd_sim.models.adapters import Adapter
from crowd_sim.models.jobs import OutputJob, TuneJob
from crowd_sim.models.reward_model import Reward, fit_reward
from crowd_sim.models.training import Drawing, Key, Training
from crowd_sim.random import Purpose
from crowd_sim.tasks.adapters.settings import sampling_of, training_of
from crowd_sim.tasks.adapters.trainers import TextTrainers
from crowd_sim.tasks.choose.crowd import ChoiceCrowd
from crowd_sim.tournament.learner import Note

_SFT, _FIRST, _RLOO = 100, 101, 102
"""Numbers of candidates that are none of the tournament's, for their random streams."""
REINFORCED = 0.3
"""Of the learning rate while outputs are reinforced: a few long steps from a model that says many things leave one sentence."""
_LOWEST = -1e6
"""Of the outputs of a model that diverged: those that a judge is fitted to have a spread of 1."""


def vectors_of(
    trainers: TextTrainers, pairs: Sequence[Example | Item]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Φ of what is preferred and of what is not: float64[m, d] each."""
    texts = [
        text
        for pair in pairs
        for text in (pair.choices if isinstance(pair, Item) else (pair.response, str(pair.rival)))
    ]
    vectors = trainers.embed(texts)
    return vectors[::2], vectors[1::2]


@dataclass(frozen=True, eq=False)
class Rewarding:
    """The models of one run that draw outputs to the report's prompts.

    Attributes:
        config: of the run.
        examples: of the crowd, that the reward model and the models are fitted to.
        items: of the judge and of the report.
        trainers: who tunes, draws and maps.
        start, final: the run's first and last model.
        key: of the run, before the first round.
        tokens: that the tournament's candidates have trained.
    """

    config: RunConfig
    examples: tuple[Example, ...]
    items: ChoiceCrowd
    trainers: TextTrainers
    start: Adapter
    final: Adapter
    key: Key
    tokens: int

    def notes(self, there: Sequence[str]) -> Iterator[tuple[Note, Adapter | None]]:
        """A note of every model's outputs and of the reward, but of those that are there; and the model, of a new one.

        `sft` and `best_of_n` are one model, tuned on the preferred responses with all of the tokens; `rloo` goes on from one of
        half of them.
        """
        asked = self.config.task.baselines
        wanted = ["before", "after", "sft", *(name for name in ("best_of_n", "rloo") if name in asked)]
        if set(wanted) <= set(there):
            return
        reward, judge, told = self._rewards()
        if "before" not in there:
            yield {"name": "before", "tokens": 0, **told, **self._outputs(self.start, judge)}, None
        if "after" not in there:
            yield {"name": "after", "tokens": self.tokens, **self._outputs(self.final, judge)}, None
        if {"sft", "best_of_n"} & (set(wanted) - set(there)):
            tuned, tokens = self._tuned(self.start, _SFT, self._supervised, self.tokens)
            if "sft" not in there:
                yield {"name": "sft", "tokens": tokens, **self._outputs(tuned, judge)}, tuned
            if "best_of_n" in wanted:
                found = self._outputs(tuned, judge, reward)
                yield {"name": "best_of_n", "tokens": tokens, **found}, None
        if "rloo" in set(wanted) - set(there):
            half, first = self._tuned(self.start, _FIRST, self._supervised, self.tokens - self.tokens // 2)
            tuned, tokens = self._tuned(half, _RLOO, self._reinforced(reward), self.tokens // 2)
            yield {"name": "rloo", "tokens": first + tokens, **self._outputs(tuned, judge)}, tuned

    def _rewards(self) -> tuple[Reward, Reward, Mapping[str, float]]:
        """The crowd's reward and the report's judge; which share of the report's pairs the one orders rightly.

        And of the selection's the judge, which has not seen those.
        """
        said = [vectors_of(self.trainers, pairs) for pairs in (self.examples, self.items.report, self.items.selection)]
        reward, judge = fit_reward(*said[0]), fit_reward(*said[1])
        told = {"reward_accuracy": reward.accuracy(*said[1]), "judge_accuracy": judge.accuracy(*said[2])}
        return reward, judge, told

    @property
    def _supervised(self) -> Training:
        return replace(training_of(self.config), objective="sft", sft_epochs=0)

    def _reinforced(self, reward: Reward) -> Training:
        task, usual = self.config.task, training_of(self.config)
        sampling = sampling_of(self.config)
        rows = max(usual.row_tokens, task.max_tokens + sampling.max_new_tokens)
        drawing = Drawing(task.verifier.n_outputs, sampling.max_new_tokens, sampling.temperature, reward=reward)
        rate = REINFORCED * usual.learning_rate
        return replace(usual, objective="rloo", drawing=drawing, row_tokens=rows, sft_epochs=0, learning_rate=rate)

    def _tuned(self, start: Adapter, number: int, training: Training, tokens: int) -> tuple[Adapter, int]:
        job = TuneJob(start, self.examples, replace(self.key, number=number), training, tokens)
        (tuned,) = self.trainers.tune([job])
        return tuned.adapter, tuned.n_tokens

    def _outputs(self, adapter: Adapter, judge: Reward, choosing: Reward | None = None) -> Note:
        """An output to each of the report's prompts, and the judge's rewards; of several the one that `choosing` finds best."""
        report, n = self.items.report, self.config.task.verifier.n_outputs if choosing else 1
        asked = [item for item in report for _ in range(n)]
        prompts, before = tuple(item.prompt for item in asked), tuple(item.before for item in asked)
        job = OutputJob(adapter, prompts, self.key, Purpose.REPORT_OUTPUTS, sampling_of(self.config), before=before)
        (drawn,) = self.trainers.judge([job])
        best = np.arange(len(prompts))
        if choosing is not None:
            best = np.arange(len(report)) * n + choosing(drawn.vectors).reshape(-1, n).argmax(axis=1)
        rewards = np.nan_to_num(judge(drawn.vectors[best]), nan=_LOWEST)
        return {"texts": [drawn.texts[i] for i in best], "rewards": rewards.tolist()}
