"""LoraTrainer: hosts one language model on one device, and tunes and judges the candidates it is given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import ray
from numpy.typing import NDArray
from ray.util.placement_group import PlacementGroup

from actors.measures import Measures
from actors.pool import Pool, Work
from actors.resources import place_of
from crowd_sim.crowd.contributions import Contributions, Example
from crowd_sim.crowd.folding import cut
from crowd_sim.learners.adapters import Adapter
from crowd_sim.learners.generation import TOGETHER
from crowd_sim.learners.lora import Facts, Judged, Judging, LearnerSpec, Tuning, shared_learner
from crowd_sim.learners.tuning import Key, Tuned

if TYPE_CHECKING:  # importing the configuration costs an actor a second of its start
    from crowd_sim.config import ActorsConfig


class LoraTrainer:
    """A host of `crowd_sim.learners.lora.LoraLearner`, loaded with the first call."""

    def __init__(self, spec: LearnerSpec) -> None:
        self._spec = spec

    def call(self, method: str, *arguments: Any) -> Any:
        """One of the learner's methods."""
        return getattr(shared_learner(self._spec), method)(*arguments)


class RayLearners:
    """See `crowd_sim.llm.services.Learners`: candidates are dealt to the trainers in consecutive parts.

    A trainer keeps nothing between calls, so what fails is replaced and its call repeated, with the same result.
    """

    def __init__(
        self,
        spec: LearnerSpec,
        actors: ActorsConfig,
        measures: Measures | None = None,
        group: PlacementGroup | None = None,
    ) -> None:
        host = ray.remote(LoraTrainer)

        def make(trainer: int) -> Any:
            return host.options(**place_of(actors, "trainers", trainer, group)).remote(spec)

        self.pool = Pool("trainer", make, actors.trainers.number, actors.failures, measures or Measures(""))

    def facts(self, contributions: Contributions, prompts: Sequence[str], validation: Sequence[Example]) -> Facts:
        """See `Learners`."""
        return self._one("facts", contributions, list(prompts), list(validation))

    def count(self, groups: Sequence[Sequence[Example]]) -> list[int]:
        """See `Learners`."""
        return self._one("count", [list(group) for group in groups])

    def initial(self, seed: int, run: int) -> Adapter:
        """See `Learners`."""
        return self._one("initial", seed, run)

    def tune(self, jobs: Sequence[Tuning]) -> list[Tuned]:
        """See `Learners`."""
        return self._dealt("tune", jobs)

    def judge(self, jobs: Sequence[Judging]) -> list[Judged]:
        """See `Learners`."""
        return self._dealt("judge", jobs, TOGETHER)

    def first_order(
        self, start: Adapter, workers: Sequence[Sequence[Example]], validation: Sequence[Example], key: Key
    ) -> NDArray[np.float64]:
        """See `Learners`."""
        return self._one("first_order", start, [list(own) for own in workers], list(validation), key)

    def embed(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """See `Learners`."""
        return self._one("embed", list(texts))

    def close(self) -> None:
        """Give the trainers' resources back."""
        self.pool.close()

    def _one(self, method: str, *arguments: Any) -> Any:
        (answer,) = self.pool.gather([Work(0, "call", (method, *arguments), method)])
        return answer

    def _dealt(self, method: str, jobs: Sequence[Any], size: int = 1) -> list[Any]:
        # in whole batches of `size`: those in one affect each other's last bits
        works = []
        for trainer, (first, stop) in enumerate(cut(-(-len(jobs) // size), len(self.pool))):
            own = list(jobs[first * size : stop * size])
            name = f"{method} candidates {first * size} to {first * size + len(own) - 1}"
            works.append(Work(trainer, "call", (method, own), name))
        return [answer for part in self.pool.gather(works) for answer in part]
