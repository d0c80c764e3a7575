"""Who draws outputs: the model that is tuned, or vLLM beside it."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from crowd_sim.errors import InputError
from crowd_sim.models.adapters import AdapterStack
from crowd_sim.models.generation import GenerateJob, Outputs, Sampling, generate
from crowd_sim.models.language_model import Base
from crowd_sim.models.vllm_engine import INSTALL, LARGEST_RANK, VllmEngine


class Engine(Protocol):
    """Draws outputs."""

    def generate(self, jobs: Sequence[GenerateJob], sampling: Sampling) -> list[Outputs]:
        """Outputs of several candidates, in the order of the jobs."""


@dataclass(frozen=True, eq=False)
class LocalEngine:
    """The model that is tuned, through its adapters."""

    base: Base
    stack: AdapterStack

    def generate(self, jobs: Sequence[GenerateJob], sampling: Sampling) -> list[Outputs]:
        """See `Engine`."""
        return generate(self.base, self.stack, jobs, sampling)


def engine_of(name: str, base: Base, stack: AdapterStack) -> Engine:
    """An engine by its name, `local` or `vllm`.

    Raises:
        InputError: vLLM is not installed, there is no GPU for it, or it does not take adapters of this rank.
    """
    if name == "local":
        return LocalEngine(base, stack)
    if importlib.util.find_spec("vllm") is None:
        raise InputError("task.engine", name, f"needs vllm, which is not installed: {INSTALL}")
    if base.device.type != "cuda":
        raise InputError("task.engine", name, "needs a GPU: task.device=cuda")
    if stack.spec.rank > LARGEST_RANK:
        raise InputError("task.rank", stack.spec.rank, f"must be at most {LARGEST_RANK} with task.engine=vllm")
    return VllmEngine(base, stack.spec)
