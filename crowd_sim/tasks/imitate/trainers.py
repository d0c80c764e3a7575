"""What a text tournament asks of its trainers: to tune candidates, and to draw outputs and map them by Φ."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crowd_sim.crowd.reduction import split_evenly
from crowd_sim.crowd.texts import Example, TextCrowd
from crowd_sim.host import Trainers
from crowd_sim.models.adapters import Adapter
from crowd_sim.models.generation import TOGETHER
from crowd_sim.models.lora import LearnerInfo, OutputJob, Outputs, TuneJob
from crowd_sim.models.tuning import Key, TunedAdapter


@dataclass(frozen=True, eq=False)
class TextTrainers:
    """Candidates are dealt to the trainers in consecutive parts; answers do not depend on where a job is done.

    Attributes:
        trainers: each hosts a `crowd_sim.models.lora.LoraLearner`.
        done: answers by content, of jobs that may come again: variants of one experiment begin with the same candidates.
            Absent where nothing is remembered, as it grows with every job.
    """

    trainers: Trainers
    done: dict[str, Any] | None = field(default=None)

    def facts(self, crowd: TextCrowd, prompts: Sequence[str], validation: Sequence[Example]) -> LearnerInfo:
        """Check the crowd's texts, the prompts that outputs will be drawn for and the validation; what there is to record."""
        return self._one("facts", crowd, list(prompts), list(validation))

    def count(self, groups: Sequence[Sequence[Example]]) -> list[int]:
        """Response tokens of each group's examples, those that one epoch trains."""
        return self._one("count", [list(group) for group in groups])

    def initial(self, seed: int, run: int) -> Adapter:
        """The adapter that a run starts from."""
        return self._one("initial", seed, run)

    def tune(self, jobs: Sequence[TuneJob]) -> list[TunedAdapter]:
        """Tune candidates."""
        names = [_name(job.start, job.examples, job.key, job.n_tokens) for job in jobs] if self.done is not None else []
        return self._remembered(names, jobs, lambda new: self._dealt("tune", new))

    def tuned_alone(self, job: TuneJob) -> tuple[TunedAdapter, float]:
        """A single model, and the seconds it took."""
        began = time.perf_counter()
        (tuned,) = self.tune([job])
        return tuned, time.perf_counter() - began

    def judge(self, jobs: Sequence[OutputJob]) -> list[Outputs]:
        """Draw candidates' outputs and map them by Φ."""
        if self.done is None:
            return self._dealt("judge", jobs, TOGETHER)
        # remembered as a whole: candidates judged together affect each other's last bits
        name = "+".join(_name(job.adapter, job.prompts, job.key, job.purpose) for job in jobs)
        return self._remembered([name], [jobs], lambda lists: [self._dealt("judge", own, TOGETHER) for own in lists])[0]

    def first_order(
        self, start: Adapter, workers: Sequence[Sequence[Example]], validation: Sequence[Example], key: Key
    ) -> NDArray[np.float64]:
        """First-order values of the workers: float64[n]."""
        return self._one("first_order", start, [list(own) for own in workers], list(validation), key)

    def embed(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Φ of texts: float64[m, d]."""
        return self._one("embed", list(texts))

    def _one(self, method: str, *arguments: Any) -> Any:
        (answer,) = self.trainers.gather(method, [arguments], [method])
        return answer

    def _dealt(self, method: str, jobs: Sequence[Any], size: int = 1) -> list[Any]:
        # in whole batches of `size`: those in one affect each other's last bits
        parts = [
            (first * size, min(stop * size, len(jobs)))
            for first, stop in split_evenly(-(-len(jobs) // size), self.trainers.number)
        ]
        calls = [(list(jobs[first:stop]),) for first, stop in parts]
        names = [f"{method} candidates {first} to {stop - 1}" for first, stop in parts]
        return [answer for part in self.trainers.gather(method, calls, names) for answer in part]

    def _remembered(self, names: Sequence[str], jobs: Sequence[Any], do: Callable[[list[Any]], list[Any]]) -> list[Any]:
        if self.done is None:
            return do(list(jobs))
        new = {name: job for name, job in zip(names, jobs, strict=True) if name not in self.done}
        if new:
            self.done.update(zip(new, do(list(new.values())), strict=True))
        return [self.done[name] for name in names]


def _name(adapter: Adapter, *rest: object) -> str:
    digest = hashlib.sha256(repr(rest).encode())
    for name, weights in adapter.items():
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(weights).tobytes())
    return digest.hexdigest()
