"""What a text tournament asks of its trainers: to tune candidates, and to draw outputs and map them by Φ."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from crowd_sim.crowd.reduction import split_evenly
from crowd_sim.crowd.texts import Example, TextCrowd
from crowd_sim.host import Trainers
from crowd_sim.models.adapters import Adapter
from crowd_sim.models.generation import TOGETHER
from crowd_sim.models.jobs import ChoiceJob, LearnerInfo, OutputJob, Outputs, TuneJob
from crowd_sim.models.training import Key, Training, TunedAdapter
from crowd_sim.models.tuning_state import TuningFolder
from crowd_sim.tasks.adapters.lockstep import Lockstep
from crowd_sim.tasks.adapters.output_cache import Judged, OutputCache, content_name

T = TypeVar("T")

_Question = tuple[str, tuple[Any, ...]]
"""A method and its arguments."""


@dataclass(frozen=True, eq=False)
class TextTrainers:
    """Jobs are dealt to the trainers in consecutive parts; answers do not depend on where a job is done.

    Tournaments that go on side by side (`together`) are answered together: their candidates are on one model at a time.

    Attributes:
        trainers: each hosts a `crowd_sim.models.lora.LoraLearner`.
        cache: outputs that may be asked for again; absent where nothing is.
        tuning: where candidates are kept while they are tuned; absent: nowhere.
        generators: others who host one, and draw outputs in the trainers' place; absent: none.
    """

    trainers: Trainers
    cache: OutputCache | None = None
    tuning: TuningFolder | None = None
    generators: Trainers | None = None

    def together(self, works: Sequence[Callable[[], T]]) -> list[T]:
        """What pieces of work return that ask these trainers; they go on side by side."""
        return self._lockstep.run(works)

    def facts(
        self, crowd: TextCrowd, prompts: Sequence[str | Example], validation: Sequence[Example], max_new_tokens: int
    ) -> LearnerInfo:
        """Check the crowd's texts, the prompts that outputs will be drawn for and the validation; what there is to record."""
        return self._ask("facts", crowd, list(prompts), list(validation), max_new_tokens)

    def count(self, groups: Sequence[Sequence[Example]]) -> list[int]:
        """Response tokens of each group's examples, those that one epoch trains."""
        return self._ask("count", [list(group) for group in groups])

    def initial(self, seed: int, run: int) -> Adapter:
        """The adapter that a run starts from."""
        return self._ask("initial", seed, run)

    def tune(self, jobs: Sequence[TuneJob]) -> list[TunedAdapter]:
        """Tune candidates."""
        return self._ask("tune", list(jobs))

    def judge(self, jobs: Sequence[OutputJob]) -> list[Outputs]:
        """Draw candidates' outputs and map them by Φ."""
        return list(self._ask("judge", list(jobs)).outputs)

    def choose(self, jobs: Sequence[ChoiceJob]) -> list[NDArray[np.float64]]:
        """Log-probabilities of the items' choices: float64[m, c] per job."""
        return self._ask("choose", list(jobs))

    def baseline(self, job: TuneJob, report: OutputJob) -> tuple[Judged, float]:
        """Tune a single model and draw its outputs, whatever adapter `report` names; these, and seconds of tuning."""
        return self._ask("baseline", job, report)

    def first_order(
        self,
        start: Adapter,
        workers: Sequence[Sequence[Example]],
        validation: Sequence[Example],
        key: Key,
        training: Training,
    ) -> NDArray[np.float64]:
        """First-order values of the workers: float64[n]."""
        return self._ask("first_order", start, [list(own) for own in workers], list(validation), key, training)

    def embed(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Φ of texts: float64[m, d]."""
        return self._ask("embed", list(texts))

    @cached_property
    def _lockstep(self) -> Lockstep[_Question]:
        return Lockstep(self._answers)

    def _ask(self, method: str, *arguments: Any) -> Any:
        return self._lockstep.ask((method, arguments))

    def _answers(self, questions: Sequence[_Question]) -> list[Any]:
        """Those that ask the same method together."""
        answers: dict[int, Any] = {}
        for method in dict.fromkeys(method for method, _ in questions):
            numbers = [i for i, (asked, _) in enumerate(questions) if asked == method]
            asked = [questions[i][1] for i in numbers]
            answers |= zip(numbers, self._answers_to(method, asked), strict=True)
        return [answers[i] for i in range(len(questions))]

    def _answers_to(self, method: str, asked: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Of questions that ask the same method, by their arguments."""
        if method == "tune":
            return self._tuned(asked)
        if method == "judge":
            return _once([jobs for (jobs,) in asked], self._drawn, self.cache)
        if method == "choose":
            return [self._dealt("choose", jobs) for (jobs,) in asked]
        if method == "baseline":
            return self._baselines(asked)
        size = self.trainers.number
        return [
            answer
            for first in range(0, len(asked), size)
            for answer in self.trainers.gather(
                method, asked[first : first + size], [method] * len(asked[first : first + size])
            )
        ]

    def _tuned(self, asked: Sequence[tuple[Any, ...]]) -> list[list[TunedAdapter]]:
        if len(asked) == 1:
            return [self._kept_while_tuned(asked[0][0])]
        calls = [[job] for (own,) in asked for job in own]
        tuned = iter(_once(calls, lambda new: self._kept_while_tuned([job for (job,) in new])))
        return [[next(tuned) for _ in own] for (own,) in asked]

    def _kept_while_tuned(self, jobs: Sequence[TuneJob]) -> list[TunedAdapter]:
        if self.tuning is not None:
            jobs = [replace(job, kept=self.tuning.file(job.key.round, content_name([job]))) for job in jobs]
        return self._dealt("tune", jobs)

    def _baselines(self, asked: Sequence[tuple[Any, ...]]) -> list[tuple[Judged, float]]:
        seconds = 0.0

        def make(calls: Sequence[Sequence[Any]]) -> list[Judged]:
            nonlocal seconds
            began = time.perf_counter()
            tuned = self._kept_while_tuned([job for job, _ in calls])
            seconds = (time.perf_counter() - began) / len(calls)
            reports = [[replace(report, adapter=own.adapter)] for (_, report), own in zip(calls, tuned, strict=True)]
            drawn = self._drawn(reports)
            return [replace(judged, n_trained=own.n_tokens) for judged, own in zip(drawn, tuned, strict=True)]

        return [(judged, seconds) for judged in _once(asked, make, self.cache)]

    def _drawn(self, calls: Sequence[Sequence[OutputJob]]) -> list[Judged]:
        # in whole batches of `TOGETHER`: those in one affect each other's last bits
        batches = [list(jobs[first : first + TOGETHER]) for jobs in calls for first in range(0, len(jobs), TOGETHER)]
        drawn = iter([outputs for batch in self._dealt("judge_all", batches) for outputs in batch])
        return [Judged(tuple(next(drawn) for _ in jobs)) for jobs in calls]

    def _dealt(self, method: str, jobs: Sequence[Any]) -> list[Any]:
        own = self.generators if method == "judge_all" and self.generators is not None else self.trainers
        parts = split_evenly(len(jobs), own.number)
        calls = [(list(jobs[first:stop]),) for first, stop in parts]
        names = [f"{method} candidates {first} to {stop - 1}" for first, stop in parts]
        return [answer for part in own.gather(method, calls, names) for answer in part]


def _once(
    calls: Sequence[Sequence[Any]], do: Callable[[Sequence[Sequence[Any]]], list[T]], cache: OutputCache | None = None
) -> list[T]:
    """Answers to calls: equal ones are done once, and those that the cache has not at all."""
    if cache is None and len(calls) == 1:
        return do(calls)
    names = [content_name(jobs) for jobs in calls]
    known: dict[str, Any] = {name: cache.get(name) if cache else None for name in names}
    new = {name: jobs for name, jobs in zip(names, calls, strict=True) if known[name] is None}
    for name, answer in zip(new, do(list(new.values())) if new else [], strict=True):
        known[name] = answer
        if cache is not None:
            cache.put(name, answer)  # type: ignore[arg-type]
    return [known[name] for name in names]
