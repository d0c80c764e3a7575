"""The learner of `verify`: LoRA candidates, judged by what their outputs earn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crowd_sim.metrics import mean_and_se
from crowd_sim.models.adapters import Adapter
from crowd_sim.models.jobs import Outputs, TuneJob
from crowd_sim.models.training import Key
from crowd_sim.random import Purpose
from crowd_sim.tasks.adapters.learner import AdapterLearner
from crowd_sim.tasks.adapters.settings import training_of
from crowd_sim.tasks.choose.crowd import ChoiceCrowd
from crowd_sim.tasks.verify.judging import floor_of, output_job, rewards_of
from crowd_sim.tournament.learner import Note
from crowd_sim.tournament.state import Round, State


@dataclass(frozen=True, eq=False)
class VerifyLearner(AdapterLearner):
    """A score is the mean reward of the likeliest output to each of the selection's prompts.

    Attributes:
        answers: the items.
    """

    answers: ChoiceCrowd

    def notes(self, state: State, rounds: int, notes: Sequence[Note]) -> Iterator[Note]:
        """The likeliest outputs to the report's prompts, before the first round and after every one.

        After the last, of the baselines, too, and the floor.
        """
        said = {(note["run"], note["round"]) for note in notes if note["kind"] == "outputs"}
        for run in range(self.config.runs):
            if (run, state.round) not in said:
                yield {"kind": "outputs", "run": run, "round": state.round, **self._report(run, state.models[run])}
        if state.round == rounds:
            yield from self._baselines(notes)
            if all(note["kind"] != "floor" for note in notes):
                ends = [note for note in notes if note["kind"] == "outputs" and note["round"] in (0, rounds)]
                texts = [text for note in reversed(ends) for text in note["texts"]]
                yield {"kind": "floor", "reward": floor_of(self.config, self.answers.report, texts)}

    def _baselines(self, notes: Sequence[Note]) -> Iterator[Note]:
        """Single models of the tokens that the rounds have trained."""
        there = {(note["run"], note["name"]) for note in notes if note["kind"] == "baseline"}
        rows = {"expert": self.answers.expert, "single": self.crowd.in_turn()}
        for run in range(self.config.runs):
            spent = sum(sum(note["tokens"][run]) for note in notes if note["kind"] == "trained")
            for number, name in enumerate(self.config.task.baselines):
                if (run, name) not in there:
                    job = TuneJob(
                        self._start(run), rows[name], self._key(run, 0, number), training_of(self.config), spent
                    )
                    (tuned,) = self.trainers.tune([job])
                    told = {"tokens": tuned.n_tokens, **self._report(run, tuned.adapter)}
                    yield {"kind": "baseline", "run": run, "name": name, **told}

    def describe(self, played: Round, seconds: float) -> Sequence[Note]:
        """What the candidates took; all else stands in a round's numbers."""
        del seconds
        return [{"kind": "trained", "round": played.round, "tokens": played.trained.tolist()}]

    def measure(self, state: State, notes: Sequence[Note]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """One less the mean reward on the report's items, and the mean reward."""
        own = {n["run"]: n["rewards"] for n in notes if n["kind"] == "outputs" and n["round"] == state.round}
        rewards = np.array([np.mean(own[run]) for run in range(self.config.runs)])
        return 1 - rewards, rewards

    def _report(self, run: int, adapter: Adapter) -> Note:
        items = self.answers.report
        (outputs,) = self._outputs([adapter], [self._key(run, 0, 0)], Purpose.REPORT_OUTPUTS)
        return {"texts": list(outputs.texts), "rewards": rewards_of(self.config, items, outputs.texts).tolist()}

    def _judged(self, adapters: Sequence[Adapter], keys: Sequence[Key]) -> list[tuple[float, float, int]]:
        found = []
        for adapter, outputs in zip(adapters, self._outputs(adapters, keys, Purpose.SELECTION_OUTPUTS), strict=True):
            rewards = rewards_of(self.config, self.answers.selection, outputs.texts)
            well = all(np.isfinite(weights).all() for weights in adapter.values())
            found.append((*mean_and_se(rewards if well else np.full(len(rewards), np.nan)), outputs.n_tokens))
        return found

    def _outputs(self, adapters: Sequence[Adapter], keys: Sequence[Key], purpose: Purpose) -> list[Outputs]:
        items = self.answers.report if purpose == Purpose.REPORT_OUTPUTS else self.answers.selection
        jobs = [
            output_job(self.config, adapter, items, key, purpose) for adapter, key in zip(adapters, keys, strict=True)
        ]
        return self.trainers.judge(jobs) if jobs else []
