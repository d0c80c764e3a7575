"""LoraTrainer: hosts one language model on one device, and tunes and judges the candidates it is given."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
import ray
from numpy.typing import NDArray
from ray.exceptions import RayError
from ray.util.placement_group import PlacementGroup

from crowd_sim.actors.failure import POLL
from crowd_sim.actors.placement import bundle_options
from crowd_sim.actors.pool import Pool, Work
from crowd_sim.actors.run_metrics import RunMetrics
from crowd_sim.crowd.reduction import split_evenly
from crowd_sim.crowd.texts import Contributions, Example
from crowd_sim.models.adapters import Adapter
from crowd_sim.models.generation import TOGETHER
from crowd_sim.models.lora import Facts, Judged, Judging, LearnerSpec, LoraLearner, Tuning, shared_learner
from crowd_sim.models.tuning import Key, Tuned

if TYPE_CHECKING:  # importing the configuration costs an actor a second of its start
    from crowd_sim.config import ActorsConfig


class LoraTrainer:
    """A host of `crowd_sim.models.lora.LoraLearner`, loaded with the first call; a thread of its own answers `passes`."""

    def __init__(self, spec: LearnerSpec) -> None:
        self._spec = spec
        self._learner: LoraLearner | None = None

    def call(self, method: str, *arguments: Any) -> Any:
        """One of the learner's methods."""
        self._learner = shared_learner(self._spec)
        return getattr(self._learner, method)(*arguments)

    @ray.method(concurrency_group="signs of life")
    def passes(self) -> int:
        """Passes of the model so far."""
        return self._learner.passes if self._learner else 0


class RayLearners:
    """See `crowd_sim.llm.services.Learners`: candidates are dealt to the trainers in consecutive parts.

    A trainer keeps nothing between calls, so what fails is replaced and its call repeated, with the same result. Tuning may
    take hours: a trainer counts as hung when its model has made no pass for as long as the deadline.
    """

    def __init__(
        self,
        spec: LearnerSpec,
        actors: ActorsConfig,
        measures: RunMetrics | None = None,
        group: PlacementGroup | None = None,
    ) -> None:
        host = ray.remote(concurrency_groups={"signs of life": 1})(LoraTrainer)  # type: ignore[call-overload]

        def make(trainer: int) -> Any:
            return host.options(**bundle_options(actors, "trainers", trainer, group)).remote(spec)

        self._passes = [0] * actors.trainers.number
        self._asked: dict[int, Any] = {}
        self.pool = Pool(
            "trainer", make, actors.trainers.number, actors.failures, measures or RunMetrics(""), self._listen
        )

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

    def _listen(self) -> None:
        """Ask all trainers for their passes; those who have made some since are alive."""
        for member, actor in enumerate(self.pool.actors):
            if member not in self._asked:
                self._asked[member] = actor.passes.remote()
            asked = self._asked[member]
            if not ray.wait([asked], timeout=0)[0]:
                continue
            del self._asked[member]
            with suppress(RayError):  # one that died is the pool's affair
                if (passes := ray.get(asked, timeout=POLL)) != self._passes[member]:
                    self._passes[member] = passes
                    self.pool.is_alive(member)

    def _one(self, method: str, *arguments: Any) -> Any:
        (answer,) = self.pool.gather([Work(0, "call", (method, *arguments), method)])
        return answer

    def _dealt(self, method: str, jobs: Sequence[Any], size: int = 1) -> list[Any]:
        # in whole batches of `size`: those in one affect each other's last bits
        works = []
        for trainer, (first, stop) in enumerate(split_evenly(-(-len(jobs) // size), len(self.pool))):
            own = list(jobs[first * size : stop * size])
            name = f"{method} candidates {first * size} to {first * size + len(own) - 1}"
            works.append(Work(trainer, "call", (method, own), name))
        return [answer for part in self.pool.gather(works) for answer in part]
