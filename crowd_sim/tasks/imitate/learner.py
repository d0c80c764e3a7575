"""The learner of the task `imitate`: LoRA candidates, judged by their outputs. Source: Crowd-SFT (arXiv 2506.04063).

What a round reports is measured on outputs that selection has not seen. Baselines are tuned beside the rounds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.typing import NDArray

from crowd_sim.config import RunConfig
from crowd_sim.metrics import mean_and_se
from crowd_sim.models.adapters import Adapter
from crowd_sim.models.jobs import OutputJob, Outputs, TuneJob
from crowd_sim.models.training import Key
from crowd_sim.random import Purpose
from crowd_sim.tasks.adapters.learner import AdapterLearner
from crowd_sim.tasks.adapters.settings import sampling_of, training_of
from crowd_sim.tasks.imitate.honesty import EQUAL_TOKENS, energy_distance, floor_of
from crowd_sim.tasks.imitate.likelihood import likelihoods
from crowd_sim.tasks.imitate.output_scoring import OutputScorer
from crowd_sim.tasks.imitate.records import CandidateRound, Report, report_of, round_of, rounds_of
from crowd_sim.tournament.learner import Note
from crowd_sim.tournament.state import Round, State


@dataclass(frozen=True, eq=False)
class ImitateLearner(AdapterLearner):
    """Candidates are judged by their outputs, or by how likely they find the target's texts.

    Attributes:
        scorer: what outputs are held against.
        screens: the note of what the crowd's screens say, where it has any.
    """

    scorer: OutputScorer
    screens: Note | None = None

    def notes(self, state: State, rounds: int, notes: Sequence[Note]) -> Iterator[Note]:
        """Reports of the models on fresh outputs, of baselines before the rounds and after them, and first-order values."""
        if self.screens is not None and all(note["kind"] != "screens" for note in notes):
            yield self.screens
        if len(self.scorer.honest) and all(note["kind"] != "floor" for note in notes):
            yield asdict(floor_of(self.crowd, self.scorer.honest, self.scorer.target))
        said = {(note["run"], note["name"]) for note in notes if note["kind"] == "report"}
        for run in range(self.config.runs):
            for name in self._due(state.round, rounds):
                if (run, name) not in said:
                    yield asdict(self._report(name, run, state, notes))
        if state.round == rounds and self.config.valuation.method != "none":
            there = {note["run"] for note in notes if note["kind"] == "first_order"}
            for run in set(range(self.config.runs)) - there:
                values = self.trainers.first_order(
                    self._start(run),
                    self.crowd.examples,
                    self.crowd.validation(),
                    self._key(run, 0, 0),
                    training_of(self.config),
                )
                yield {"kind": "first_order", "run": run, "values": values.tolist()}

    def describe(self, played: Round, seconds: float) -> list[Note]:
        """The round of every run."""
        return [asdict(record) for record in rounds_of(played, seconds / self.config.runs)]

    def measure(self, state: State, notes: Sequence[Note]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Means over the fresh outputs."""
        name = f"round_{state.round}" if state.round else "base"
        reports = {note["run"]: note for note in notes if note["kind"] == "report" and note["name"] == name}
        own = [reports[run] for run in range(self.config.runs)]
        return np.array([np.mean(r["distances"]) for r in own]), np.array([np.mean(r["scores"]) for r in own])

    def _due(self, number: int, rounds: int) -> list[str]:
        """The reports that are made after so many rounds."""
        names = baselines(self.config)
        if number == 0:
            return [name for name in names if name != EQUAL_TOKENS]
        last = [EQUAL_TOKENS] if number == rounds and EQUAL_TOKENS in names else []
        return [f"round_{number}", *last]

    def _report(self, name: str, run: int, state: State, notes: Sequence[Note]) -> Report:
        records = [round_of(note) for note in notes if note["kind"] == "round" and note["run"] == run]
        if name.startswith("round_"):
            return self._of_round(run, state, notes, records)
        number = baselines(self.config).index(name)
        key, start = self._key(run, 0, number), self._start(run)
        if name == "base":
            return self._fresh(name, key, start)
        examples, n_tokens = self.crowd.in_turn(), None
        if name == EQUAL_TOKENS:
            n_tokens = sum(sum(record.candidate_tokens) for record in records)
        else:
            examples = examples[: int(name.removeprefix("single_"))]
        tuning = TuneJob(start, examples, key, training_of(self.config), n_tokens)
        judged, seconds = self.trainers.baseline(tuning, self._fresh_job(start, key))
        return self._report_of(name, key, judged.outputs[0], judged.n_trained, seconds)

    def _of_round(self, run: int, state: State, notes: Sequence[Note], records: Sequence[CandidateRound]) -> Report:
        number, last = state.round, records[-1]
        if last.accepted:
            made = self._fresh("", self._key(run, number, 0), state.models[run])
        else:
            # a model that stayed the same keeps its report: other outputs of it would look like a change
            before = f"round_{number - 1}" if number > 1 else "base"
            made = report_of(next(n for n in notes if n["kind"] == "report" and (n["run"], n["name"]) == (run, before)))
        return replace(
            made,
            name=f"round_{number}",
            tokens_trained=sum(sum(record.candidate_tokens) for record in records),
            tokens_generated=sum(record.tokens_generated for record in records),
            seconds=sum(record.seconds for record in records),
        )

    def _fresh(self, name: str, key: Key, model: Adapter) -> Report:
        """A model on fresh outputs."""
        (outputs,) = self.trainers.judge([self._fresh_job(model, key)])
        return self._report_of(name, key, outputs)

    def _fresh_job(self, model: Adapter, key: Key) -> OutputJob:
        prompts, sampling = self.scorer.report_prompts, sampling_of(self.config)
        return OutputJob(model, prompts, key, Purpose.REPORT_OUTPUTS, sampling, self.scorer.unseen)

    def _report_of(self, name: str, key: Key, outputs: Outputs, trained: int = 0, seconds: float = 0.0) -> Report:
        """`trained` tokens and `seconds` are what the model took to make."""
        energy, energy_se = energy_distance(outputs.vectors, self.scorer.honest)
        return Report(
            name=name,
            run=key.run,
            prompts=self.scorer.report_prompts,
            texts=outputs.texts,
            distances=tuple(self.scorer.distances(outputs.vectors).tolist()),
            scores=tuple(self.scorer.scores(outputs.vectors).tolist()),
            tokens_trained=trained,
            tokens_generated=0,
            seconds=seconds,
            energy=energy,
            energy_se=energy_se,
            loss=outputs.loss,
        )

    def _judged(self, adapters: Sequence[Adapter], keys: Sequence[Key]) -> list[tuple[float, float, int]]:
        if self.config.task.judged_by == "likelihood":
            return [(*mean_and_se(found), 0) for found in likelihoods(self.trainers, adapters, self.crowd)]
        prompts, sampling = self.scorer.selection_prompts, sampling_of(self.config)
        jobs = [
            OutputJob(adapter, prompts, key, Purpose.SELECTION_OUTPUTS, sampling)
            for adapter, key in zip(adapters, keys, strict=True)
        ]
        drawn = self.trainers.judge(jobs) if jobs else []
        return [(*mean_and_se(self.scorer.scores(outputs.vectors)), outputs.n_tokens) for outputs in drawn]


def baselines(config: RunConfig) -> list[str]:
    """The models that are tuned beside the rounds; their places are the keys of their draws."""
    singles = [f"single_{m}" for m in config.task.single_sizes]
    return ["base", *singles, *([EQUAL_TOKENS] if config.task.equal_tokens else [])]
