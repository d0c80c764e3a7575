"""LoRA adapters, several at once on one frozen model (Hu et al. 2021, arXiv 2106.09685).

The products of K adapters are batched: with A stacked to [K, r, in] and B to [K, out, r], the input's rows [K · W, T, in] of
K candidates meet their own adapters in two batched products. peft, which reads what is written here, refuses to train several
adapters in one pass.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crowd_sim.errors import InputError
from crowd_sim.files import write_json
from crowd_sim.integrity import check_file
from crowd_sim.models.fused_ops import adapted_linear
from crowd_sim.models.language_model import Base
from crowd_sim.models.load_weights import only_errors
from crowd_sim.random import Purpose, generator

CONFIG = "adapter_config.json"

Adapter = Mapping[str, NDArray[np.float32]]
"""Weights by name, float32: `<module>.lora_A` [r, in] and `<module>.lora_B` [out, r] of every adapted module, in its order."""


@dataclass(frozen=True)
class LoraSpec:
    """The shape of an adapter.

    Attributes:
        rank: r.
        alpha: the adapters' product is scaled by alpha / r.
        target_modules: last parts of the names of the linear modules to adapt; empty: all but the output layer.
    """

    rank: int = 8
    alpha: float = 16.0
    target_modules: tuple[str, ...] = ()


class AdapterStack:
    """The model's linear modules, each with room for the adapters of K candidates.

    A stack takes hold of the model it is made for: the model then answers through whatever adapters were last `put`, whose
    rows come first in the batch, candidate by candidate, equally many of each.
    """

    def __init__(self, base: Base, spec: LoraSpec) -> None:
        import torch

        self.spec = spec
        self._modules: dict[str, Any] = {}
        adapted = _adapted_class(torch)
        for name in target_names(base, spec):
            parent, _, leaf = name.rpartition(".")
            module = adapted(base.model.get_submodule(name), spec.alpha / spec.rank, base.dtype)
            setattr(base.model.get_submodule(parent), leaf, module)
            self._modules[name] = module
        self._all: list[list[Any]] = []
        self._device = base.device

    def initial(self, seed: int, run: int) -> Adapter:
        """An adapter that changes nothing yet: A uniform within ±1/√in, as peft draws it, and B = 0."""
        draws = generator(seed, run, Purpose.ADAPTER)
        adapter: dict[str, NDArray[np.float32]] = {}
        for name, module in self._modules.items():
            bound = 1 / math.sqrt(module.in_features)
            a = draws.uniform(-bound, bound, (self.spec.rank, module.in_features))
            adapter[f"{name}.lora_A"] = a.astype(np.float32)
            adapter[f"{name}.lora_B"] = np.zeros((module.out_features, self.spec.rank), dtype=np.float32)
        return adapter

    def put(self, adapters: Sequence[Adapter], trainable: bool) -> None:
        """Load K adapters; with `trainable` their weights take part in gradients."""
        import torch

        self._all = [
            [
                torch.tensor(weights, device=self._device, requires_grad=trainable)
                for name in self._modules
                for weights in (adapter[f"{name}.lora_A"], adapter[f"{name}.lora_B"])
            ]
            for adapter in adapters
        ]
        self.use(range(len(adapters)))

    @contextmanager
    def aside(self) -> Iterator[None]:
        """While this lasts others may be put; then those that were there are again, none of them in use."""
        before = self._all
        try:
            yield
        finally:
            self._all = before

    def use(self, candidates: Sequence[int]) -> None:
        """Let the model answer through these of the adapters, in this order."""
        self._set([self._all[k] for k in candidates])

    def copy(self, k: int) -> list[Any]:
        """Let the model answer through a copy of one adapter, with gradients of its own; the copy's tensors."""
        made = [w.detach().clone().requires_grad_() for w in self._all[k]]
        self._set([made])
        return made

    def _set(self, adapters: list[list[Any]]) -> None:
        for i, module in enumerate(self._modules.values()):
            module.set([own[2 * i] for own in adapters], [own[2 * i + 1] for own in adapters])

    def weights(self, k: int) -> list[Any]:
        """The tensors of one adapter, A and B of every module in their order."""
        return self._all[k]

    @property
    def names(self) -> list[str]:
        """Of the tensors of an adapter, in their order."""
        return [f"{name}.lora_{part}" for name in self._modules for part in "AB"]

    def get(self, k: int) -> dict[str, NDArray[np.float32]]:
        """One adapter's weights as they are now."""
        own = zip(self.names, self._all[k], strict=True)
        return {name: weights.detach().cpu().numpy().copy() for name, weights in own}


def target_names(base: Base, spec: LoraSpec) -> list[str]:
    """Names of the linear modules to adapt.

    Raises:
        InputError: a target module that the model has not.
    """
    import torch

    output = base.model.get_output_embeddings()
    linear = [
        name
        for name, module in base.model.named_modules()
        if isinstance(module, torch.nn.Linear) and module is not output
    ]
    if not linear:
        raise InputError(
            "task.model", base.name, "must have linear modules beside its output layer, for adapters to sit on"
        )
    leaves = {name.rpartition(".")[2] for name in linear}
    for target in spec.target_modules:
        if target not in leaves:
            raise InputError("task.target_modules", target, f"must be among the model's: {', '.join(sorted(leaves))}")
    return [name for name in linear if not spec.target_modules or name.rpartition(".")[2] in spec.target_modules]


def save_adapter(folder: Path, adapter: Adapter, spec: LoraSpec, base_name: str) -> None:
    """Write an adapter as peft does: `PeftModel.from_pretrained(model, folder)` loads it."""
    import peft
    from safetensors.numpy import save_file

    targets = sorted({name.rpartition(".")[0].rpartition(".")[2] for name in adapter})
    config = peft.LoraConfig(
        r=spec.rank,
        lora_alpha=spec.alpha,  # annotated as int, used as a number
        target_modules=targets,
        task_type="CAUSAL_LM",
        base_model_name_or_path=base_name,
        inference_mode=True,
    )
    folder.mkdir(parents=True, exist_ok=True)
    config.save_pretrained(str(folder))
    # peft holds the targets as a set, whose order differs from process to process
    written = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    write_json(folder / CONFIG, {**written, "target_modules": targets})
    save_file(
        {f"base_model.model.{name}.weight": np.ascontiguousarray(weights) for name, weights in adapter.items()},
        str(folder / "adapter_model.safetensors"),
        metadata={"format": "pt"},
    )


def save_merged(folder: Path, adapter: Adapter, spec: LoraSpec, base: Base) -> None:
    """Write a base model with an adapter added to its weights, and its tokenizer, as `transformers` loads them.

    Args:
        folder: for the files.
        adapter: of `spec`.
        spec: the adapter's shape.
        base: on the CPU, and not that of an `AdapterStack`, whose modules have other names; it stays as it was.
    """
    import torch

    state = dict(base.model.state_dict())
    for name in (name.removesuffix(".lora_A") for name in adapter if name.endswith(".lora_A")):
        a, b = (torch.tensor(adapter[f"{name}.lora_{part}"]).double() for part in "AB")
        weights = state[f"{name}.weight"]
        state[f"{name}.weight"] = (weights.double() + spec.alpha / spec.rank * (b @ a)).to(weights.dtype)
    with only_errors():
        base.model.save_pretrained(folder, state_dict=state)
        base.tokenizer.save_pretrained(folder)


def load_adapter(folder: Path, field: str = "adapter") -> Adapter:
    """Read an adapter that `save_adapter` or peft has written; `field`, for the error, is where its name comes from.

    Raises:
        InputError: there is none that can be read.
        DamagedError: it is a run's, and not what was written.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    file = folder / "adapter_model.safetensors"
    if folder.parent.name == "adapter":  # of a run's folder
        check_file(folder.parents[1], file.relative_to(folder.parents[1]).as_posix())
    try:
        weights = load_file(str(file))
    except (OSError, SafetensorError) as error:
        raise InputError(field, str(folder), f"must have an adapter_model.safetensors ({error})") from None
    return {
        name.removeprefix("base_model.model.").removesuffix(".weight"): w.astype(np.float32)
        for name, w in weights.items()
    }


def _adapted_class(torch: Any) -> Any:
    """The class of an adapted linear module; made late, as torch is imported late."""

    class Adapted(torch.nn.Module):  # type: ignore[misc]
        """A frozen linear module and its adapters."""

        def __init__(self, frozen: Any, scale: float, kind: Any) -> None:
            super().__init__()
            self.frozen = frozen
            self.in_features, self.out_features = frozen.in_features, frozen.out_features
            self._scale = scale
            # weights that are quantised are whole numbers: only the module itself knows what they say
            self._opaque = not frozen.weight.is_floating_point()
            self._kind = kind if self._opaque else frozen.weight.dtype
            self._a: list[Any] = []
            self._b: list[Any] = []
            self._stacked: tuple[Any, Any] | None = None

        def set(self, a: list[Any], b: list[Any]) -> None:
            self._a, self._b = a, b
            fixed = a and not a[0].requires_grad
            self._stacked = self._stack() if fixed else None

        def _stack(self) -> tuple[Any, Any]:
            return torch.stack(self._a).to(self._kind), (torch.stack(self._b) * self._scale).to(self._kind)

        def forward(self, x: Any) -> Any:
            if not self._a:
                return self.frozen(x)
            a, b = self._stacked or self._stack()
            if self._opaque:
                rows = x.reshape(len(a), -1, x.shape[-1])
                return self.frozen(x) + (rows @ a.mT @ b.mT).view(*x.shape[:-1], -1)
            return adapted_linear(x, self.frozen.weight, self.frozen.bias, a, b)

    return Adapted
