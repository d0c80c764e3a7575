"""The protocol between an LLM tournament and whoever hosts its learners; `LoraLearner` is its version in process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from crowd_sim.crowd.texts import Contributions, Example
from crowd_sim.models.adapters import Adapter
from crowd_sim.models.lora import Facts, Judged, Judging, Tuning
from crowd_sim.models.tuning import Key, Tuned


class Learners(Protocol):
    """Tune and judge candidates; answers stand in the order of the jobs, and do not depend on where a job is done."""

    def facts(self, contributions: Contributions, prompts: Sequence[str], validation: Sequence[Example]) -> Facts:
        """Check the crowd's texts, the prompts that outputs will be drawn for and the validation; what there is to record."""

    def count(self, groups: Sequence[Sequence[Example]]) -> list[int]:
        """Response tokens of each group's examples, those that one epoch trains."""

    def initial(self, seed: int, run: int) -> Adapter:
        """The adapter that a run starts from."""

    def tune(self, jobs: Sequence[Tuning]) -> list[Tuned]:
        """Tune candidates."""

    def judge(self, jobs: Sequence[Judging]) -> list[Judged]:
        """Draw candidates' outputs and map them by Φ."""

    def first_order(
        self, start: Adapter, workers: Sequence[Sequence[Example]], validation: Sequence[Example], key: Key
    ) -> NDArray[np.float64]:
        """First-order values of the workers: float64[n]."""

    def embed(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Φ of texts: float64[m, d]."""
