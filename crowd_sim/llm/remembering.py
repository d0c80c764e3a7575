"""Learners that remember: variants of one experiment begin with the same candidates, which need tuning only once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crowd_sim.crowd.texts import Contributions, Example
from crowd_sim.llm.services import Learners
from crowd_sim.models.adapters import Adapter
from crowd_sim.models.lora import Facts, Judged, Judging, Tuning
from crowd_sim.models.tuning import Key, Tuned


class CachedLearners:
    """See `crowd_sim.llm.services.Learners`: equal jobs are done once. It grows with every job: not for long lives."""

    def __init__(self, learners: Learners) -> None:
        self._learners = learners
        self._done: dict[str, Any] = {}

    def facts(self, contributions: Contributions, prompts: Sequence[str], validation: Sequence[Example]) -> Facts:
        """See `Learners`."""
        return self._learners.facts(contributions, prompts, validation)

    def count(self, groups: Sequence[Sequence[Example]]) -> list[int]:
        """See `Learners`."""
        return self._learners.count(groups)

    def initial(self, seed: int, run: int) -> Adapter:
        """See `Learners`."""
        return self._learners.initial(seed, run)

    def tune(self, jobs: Sequence[Tuning]) -> list[Tuned]:
        """See `Learners`."""
        names = [_name(job.start, job.examples, job.key, job.n_tokens) for job in jobs]
        return self._answers(names, jobs, self._learners.tune)

    def judge(self, jobs: Sequence[Judging]) -> list[Judged]:
        """See `Learners`."""
        # as a whole: candidates judged together affect each other's last bits
        name = "+".join(_name(job.adapter, job.prompts, job.key, job.purpose) for job in jobs)
        return self._answers([name], [jobs], lambda lists: [self._learners.judge(own) for own in lists])[0]

    def first_order(
        self, start: Adapter, workers: Sequence[Sequence[Example]], validation: Sequence[Example], key: Key
    ) -> NDArray[np.float64]:
        """See `Learners`."""
        return self._learners.first_order(start, workers, validation, key)

    def embed(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """See `Learners`."""
        return self._learners.embed(texts)

    def _answers(self, names: Sequence[str], jobs: Sequence[Any], do: Callable[[list[Any]], list[Any]]) -> list[Any]:
        new = {name: job for name, job in zip(names, jobs, strict=True) if name not in self._done}
        if new:
            self._done |= dict(zip(new, do(list(new.values())), strict=True))
        return [self._done[name] for name in names]


def _name(adapter: Adapter, *rest: object) -> str:
    digest = hashlib.sha256(repr(rest).encode())
    for name, weights in adapter.items():
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(weights).tobytes())
    return digest.hexdigest()
