"""Outputs drawn by vLLM: adapters travel by their folders, in a few slots that the latest take over.

Draws are keyed: each output has a seed of its own. As on a GPU anywhere, last bits depend on who is drawn together.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from crowd_sim.models.adapters import Adapter, LoraSpec, save_adapter
from crowd_sim.models.generation import GenerateJob, Outputs, Sampling, draws_of, end_tokens
from crowd_sim.models.language_model import Base
from crowd_sim.models.model_hub import require

INSTALL = "pip install 'crowd-sim[vllm]'"

SLOTS = 8
"""Adapters that vLLM has at a time."""

_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
LARGEST_RANK = _RANKS[-1]
"""vLLM reserves room for adapters of one of these ranks."""

_MEMORY = 0.5
"""Share of the GPU that vLLM takes, cache included: the model that is tuned is there, too."""


class AdapterSlots:
    """Adapters in folders, each with a number that no other has had; the one not asked for longest makes room."""

    def __init__(self, n_slots: int, write: Callable[[Path, Adapter], object], forget: Callable[[int], object]) -> None:
        """So many; `write` fills a folder, `forget` hears the number of one that is no longer there."""
        self._n_slots, self._write, self._forget = n_slots, write, forget
        self._folder = tempfile.TemporaryDirectory(prefix="crowd-sim-adapters-")
        self._taken: dict[str, tuple[int, Path]] = {}
        self._last = 0

    def of(self, adapter: Adapter) -> tuple[int, Path]:
        """The number and the folder of an adapter, that of an equal one if it is still there."""
        name = _content(adapter)
        if name not in self._taken:
            if len(self._taken) == self._n_slots:
                number, folder = self._taken.pop(next(iter(self._taken)))
                self._forget(number)
                shutil.rmtree(folder, ignore_errors=True)
            self._last += 1
            folder = Path(self._folder.name) / str(self._last)
            self._write(folder, adapter)
            self._taken[name] = self._last, folder
        self._taken[name] = self._taken.pop(name)  # the latest stands last
        return self._taken[name]


class VllmEngine:
    """See `crowd_sim.models.engines.Engine`. vLLM starts with the first outputs: trainers beside generators need none."""

    def __init__(self, base: Base, lora: LoraSpec) -> None:
        self._base, self._lora = base, lora
        self._llm: Any = None
        self._slots = AdapterSlots(SLOTS, self._write, self._forget)

    def generate(self, jobs: Sequence[GenerateJob], sampling: Sampling) -> list[Outputs]:
        """See `crowd_sim.models.engines.Engine`."""
        if self._llm is None:
            self._llm = self._start()
        parts = [jobs[first : first + SLOTS] for first in range(0, len(jobs), SLOTS)]
        return [outputs for part in parts for outputs in self._together(part, sampling)]

    def _together(self, jobs: Sequence[GenerateJob], sampling: Sampling) -> list[Outputs]:
        """Of no more candidates than there are slots."""
        vllm = _vllm()
        request = vllm.lora.request.LoRARequest
        ends, seeds = end_tokens(self._base), draws_of(jobs, 1)
        prompts, ways, adapters = [], [], []
        for k, job in enumerate(jobs):
            number, folder = self._slots.of(job.adapter)
            for i, prompt in enumerate(job.prompts):
                prompts.append({"prompt_token_ids": list(prompt)})
                ways.append(
                    vllm.SamplingParams(
                        temperature=sampling.temperature,
                        max_tokens=sampling.max_new_tokens,
                        seed=int(seeds[k, i, 0] * 2**31),
                        stop_token_ids=sorted(ends),
                        detokenize=False,
                    )
                )
                adapters.append(request(f"candidate-{number}", number, str(folder)))
        drawn = iter(self._llm.generate(prompts, ways, use_tqdm=False, lora_request=adapters))
        return [self._outputs([tuple(next(drawn).outputs[0].token_ids) for _ in job.prompts], ends) for job in jobs]

    def _outputs(self, ids: Sequence[tuple[int, ...]], ends: set[int]) -> Outputs:
        decode = self._base.tokenizer.decode
        texts = tuple(decode([t for t in own if t not in ends], skip_special_tokens=True) for own in ids)
        return Outputs(texts, sum(map(len, ids)), tuple(ids))

    def _start(self) -> Any:
        return _vllm().LLM(
            model=str(self._base.folder),
            dtype=str(self._base.dtype).removeprefix("torch."),
            max_model_len=self._base.context,
            gpu_memory_utilization=_MEMORY,
            enable_lora=True,
            max_loras=SLOTS,
            max_cpu_loras=SLOTS,
            max_lora_rank=next(rank for rank in _RANKS if rank >= self._lora.rank),
        )

    def _write(self, folder: Path, adapter: Adapter) -> None:
        save_adapter(folder, adapter, self._lora, str(self._base.folder))

    def _forget(self, number: int) -> None:
        self._llm.llm_engine.remove_lora(number)


def _vllm() -> Any:
    vllm = require("vllm", "task.engine", "vllm", INSTALL)
    require("vllm.lora.request", "task.engine", "vllm", INSTALL)
    return vllm


def _content(adapter: Adapter) -> str:
    digest = hashlib.sha256()
    for name, weights in sorted(adapter.items()):
        digest.update(f"{name} {weights.shape} ".encode())
        digest.update(weights.tobytes())
    return digest.hexdigest()
