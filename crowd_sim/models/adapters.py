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
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crowd_sim.errors import InputError
from crowd_sim.files import write_json
from crowd_sim.integrity import check_file
from crowd_sim.models.fused_layer import FusedLayer, Part, fuse
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
    rows come first in the batch, candidate by candidate, equally many of each. An adapter is one tensor, all its weights in a
    row, so that it is converted, clipped and moved at once; a layer's weights lie side by side.
    """

    def __init__(self, base: Base, spec: LoraSpec) -> None:
        self.spec = spec
        self._modules: dict[str, Any] = {}
        self._all: list[Any] = []
        self._used: list[Any] = []
        self._device, self._kind = base.device, base.dtype
        adapted = _adapted_class()
        for name in target_names(base, spec):
            parent, _, leaf = name.rpartition(".")
            module = adapted(base.model.get_submodule(name), spec.rank, spec.alpha / spec.rank)
            setattr(base.model.get_submodule(parent), leaf, module)
            self._modules[name] = module
        self._parts: list[Part] = []
        self._places: dict[str, slice] = {}
        self._lay_out(fuse(base.model) if self._device.type == "cpu" else [])
        base.model.register_forward_pre_hook(self._load)

    def _lay_out(self, layers: Sequence[FusedLayer]) -> None:
        """Give every weight its place: those of a layer that is computed as one in one part, of other modules in one each."""
        names = {module: name for name, module in self._modules.items()}
        of = {module: layer for layer in layers for module in layer.modules if module in names}
        for name, module in self._modules.items():
            if f"{name}.lora_A" in self._places:
                continue
            if module in of:
                self._add_part([(names[own], which) for own, which in of[module].weights if own in names])
                of[module].part = self._parts[-1]
            else:
                self._add_part([(name, "A")])
                self._add_part([(name, "B")])

    def _add_part(self, weights: Sequence[tuple[str, str]]) -> None:
        part, before = Part(), sum(part.size for part in self._parts)
        for name, which in weights:
            module = self._modules[name]
            first = part.size
            part.size += math.prod(module.shapes[which])
            module.places[which] = (part, slice(first, part.size))
            self._places[f"{name}.lora_{which}"] = slice(before + first, before + part.size)
        self._parts.append(part)

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
        self._all = [self.flat(adapter).requires_grad_(trainable) for adapter in adapters]
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

    def copy(self, k: int) -> Any:
        """Let the model answer through a copy of one adapter, with a gradient of its own; the copy's weights in a row."""
        made = self._all[k].detach().clone().requires_grad_()
        self._set([made])
        return made

    def _set(self, adapters: list[Any]) -> None:
        self._used = adapters
        for part in self._parts:
            part.value = None

    def _load(self, *_: object) -> None:
        """Before each pass: the weights as they are now, in the model's type."""
        import torch

        if not self._used or (self._parts[0].value is not None and not self._used[0].requires_grad):
            return
        pieces = torch.stack(self._used).to(self._kind).split([part.size for part in self._parts], dim=1)
        for part, piece in zip(self._parts, pieces, strict=True):
            part.value = piece

    def weights(self, k: int) -> Any:
        """An adapter's weights in a row, float32[n]; the tensor that is trained."""
        return self._all[k]

    def flat(self, adapter: Adapter) -> Any:
        """Numbers that go by an adapter's names, in a row: float32[n]."""
        import torch

        row = np.concatenate([np.asarray(adapter[name], np.float32).ravel() for name in self._places])
        return torch.from_numpy(row).to(self._device)

    def named(self, row: Any) -> dict[str, NDArray[np.float32]]:
        """Numbers float32[n] in a row, copied, by the names of an adapter, in their order."""
        numbers = row.detach().cpu().numpy()
        return {
            f"{name}.lora_{which}": numbers[self._places[f"{name}.lora_{which}"]].reshape(module.shapes[which]).copy()
            for name, module in self._modules.items()
            for which in "AB"
        }

    def get(self, k: int) -> dict[str, NDArray[np.float32]]:
        """One adapter's weights as they are now."""
        return self.named(self._all[k])


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


@lru_cache(maxsize=1)
def _adapted_class() -> Any:
    """The class of an adapted linear module; made late, as torch is imported late."""
    import torch

    class Adapted(torch.nn.Module):  # type: ignore[misc]
        """A frozen linear module and its adapters."""

        def __init__(self, frozen: Any, rank: int, scale: float) -> None:
            super().__init__()
            self.frozen = frozen
            self.in_features, self.out_features = frozen.in_features, frozen.out_features
            self.shapes = {"A": (rank, self.in_features), "B": (self.out_features, rank)}
            self.scale = scale
            self.places: dict[str, tuple[Part, slice]] = {}
            # weights that are quantised are whole numbers: only the module itself knows what they say
            self._opaque = not frozen.weight.is_floating_point()

        def weights(self, which: str) -> Any:
            """A [K, r, in] or B [K, out, r] of the adapters in use, None without one."""
            part, place = self.places[which]
            return None if part.value is None else part.value[:, place].unflatten(1, self.shapes[which])

        def forward(self, x: Any) -> Any:
            a, b = self.weights("A"), self.weights("B")
            if a is None:
                return self.frozen(x)
            if self._opaque:
                rows = x.reshape(len(a), -1, x.shape[-1])
                return self.frozen(x) + (rows @ a.mT @ b.mT * self.scale).view(*x.shape[:-1], -1)
            kind = self.frozen.weight.dtype
            return adapted_linear(x, self.frozen.weight, self.frozen.bias, a.to(kind), b.to(kind), self.scale)

    return Adapted
