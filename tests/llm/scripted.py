"""Learners whose candidates are numbers: what a tournament makes of scores, without a model."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from crowd_sim.config import RunConfig
from crowd_sim.crowd.texts import Example, TextCrowd
from crowd_sim.engine import _batch, _rules
from crowd_sim.host import LocalTrainers
from crowd_sim.models.jobs import OutputJob, Outputs, TuneJob
from crowd_sim.models.training import TunedAdapter
from crowd_sim.scores import l2
from crowd_sim.tasks.adapters.trainers import TextTrainers
from crowd_sim.tasks.imitate.learner import ImitateLearner
from crowd_sim.tasks.imitate.output_scoring import OutputScorer
from crowd_sim.tournament.rules import Rules

SCORER = OutputScorer(l2, np.zeros(1), ("p",) * 3, ("p",) * 2)


def crowd(sizes: Sequence[int], response: Callable[[int], str] = "xx{}".format) -> TextCrowd:
    """Workers with so many examples; an example's response has as many tokens as letters."""
    examples = tuple(tuple(Example("p", response(w)) for _ in range(size)) for w, size in enumerate(sizes))
    return TextCrowd(tuple(f"w{w}" for w in range(len(sizes))), examples, ("t",))


def number(value: float) -> dict[str, np.ndarray]:
    """An adapter that scores −|value|."""
    return {"m.lora_A": np.array([[value]], dtype=np.float32), "m.lora_B": np.ones((1, 1), dtype=np.float32)}


@dataclass
class Scripted:
    """Tunes by a script.

    Attributes:
        results: what the next candidates tuned become, in the order of the jobs.
        jobs: all that were tuned.
        epochs: of a job that says no number of tokens.
        model: that all runs start from.
        judged: all adapters that were judged, in order.
    """

    results: list[float]
    epochs: int = 1
    model: float = 2.0
    jobs: list[TuneJob] = field(default_factory=list)
    judged: list[float] = field(default_factory=list)

    def initial(self, seed: int, run: int) -> dict[str, np.ndarray]:
        del seed, run
        return number(self.model)

    def count(self, groups: Sequence[Sequence[Example]]) -> list[int]:
        return [sum(len(example.response) for example in group) for group in groups]

    def tune(self, jobs: Sequence[TuneJob]) -> list[TunedAdapter]:
        self.jobs += jobs
        counts = self.count([job.examples for job in jobs])
        spent = [
            self.epochs * n if job.n_tokens is None else (job.n_tokens if job.examples else 0)
            for n, job in zip(counts, jobs, strict=True)
        ]
        return [TunedAdapter(number(self.results.pop(0)), np.zeros(1), n) for n in spent]

    def judge_all(self, calls: Sequence[Sequence[OutputJob]]) -> list[list[Outputs]]:
        return [self.judge(jobs) for jobs in calls]

    def judge(self, jobs: Sequence[OutputJob]) -> list[Outputs]:
        values = [float(job.adapter["m.lora_A"][0, 0] * job.adapter["m.lora_B"][0, 0]) for job in jobs]
        self.judged += values
        return [
            Outputs(("text",) * len(job.prompts), np.full((len(job.prompts), 1), value), 7 * len(job.prompts))
            for job, value in zip(jobs, values, strict=True)
        ]


def value(adapter: dict[str, np.ndarray]) -> float:
    """What a `number` is, or one that was merged of them."""
    return float(adapter["m.lora_A"][0, 0] * adapter["m.lora_B"][0, 0])


def learner_of(setup: RunConfig, texts: TextCrowd, scripted: Scripted) -> ImitateLearner:
    """The learner of texts with this script in place of a model."""
    return ImitateLearner(setup, texts, TextTrainers(LocalTrainers(scripted)), SCORER)


def rules_of(setup: RunConfig) -> Rules:
    return _rules(_batch([setup], []))
