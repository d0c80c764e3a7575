"""An adapter that runs start from, as peft or an earlier run has written it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from crowd_sim.errors import InputError
from crowd_sim.models.adapters import CONFIG, Adapter, AdapterStack, load_adapter
from crowd_sim.models.language_model import public_name

_FIELD = "task.adapter"

_PLAIN = {"use_dora": False, "use_rslora": False, "bias": "none", "lora_bias": False, "fan_in_fan_out": False}
_EMPTY = ("rank_pattern", "alpha_pattern", "modules_to_save", "layer_replication", "trainable_token_indices")
"""What an adapter may have beyond two factors a module, and this one may not."""


def adapter_folder(name: str) -> Path:
    """The folder of an adapter.

    Raises:
        InputError: there is none.
    """
    folder = Path(name).expanduser()
    if not (folder / CONFIG).is_file():
        raise InputError(
            _FIELD, name, f"must be a folder with {CONFIG} and adapter_model.safetensors, as peft writes them"
        )
    return folder


def adapter_for(stack: AdapterStack, model: str, name: str) -> Adapter:
    """An adapter for these modules of this model, in their order.

    Raises:
        InputError: there is none that can be read, it is of another kind, rank, alpha or model, or sits on other modules.
        DamagedError: it is a run's, and not what was written.
    """
    folder = adapter_folder(name)
    for complaint in _complaints(stack, model, folder):
        raise InputError(_FIELD, name, complaint)
    found, wanted = load_adapter(folder, _FIELD), stack.initial(0, 0)
    for part in sorted(found.keys() ^ wanted.keys()):
        what = "lacks" if part in wanted else "adapts"
        where = part.rpartition(".")[0]
        raise InputError(
            _FIELD, name, f"must adapt what task.target_modules names, and nothing else: it {what} {where}"
        )
    for part, weights in wanted.items():
        if found[part].shape != weights.shape:
            allowed = f"must fit task.model: {part} is of {found[part].shape}, there of {weights.shape}"
            raise InputError(_FIELD, name, allowed)
        if not np.isfinite(found[part]).all():
            raise InputError(_FIELD, name, f"must have finite weights: {part} has others")
    return {part: found[part] for part in wanted}


def _complaints(stack: AdapterStack, model: str, folder: Path) -> Iterator[str]:
    try:
        told: Any = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        yield f"must have an {CONFIG} that can be read ({error})"
        return
    if not isinstance(told, Mapping) or told.get("peft_type") != "LORA":
        yield f"must be a LoRA adapter: {CONFIG} says peft_type {told.get('peft_type') if isinstance(told, Mapping) else None}"
        return
    for field, here, wanted in (("rank", "r", stack.spec.rank), ("alpha", "lora_alpha", stack.spec.alpha)):
        if told.get(here) != wanted:
            yield f"must be of task.{field}, {wanted:g}: it is of {told.get(here)}"
    for field, plain in _PLAIN.items():
        if told.get(field, plain) not in (plain, None):
            yield f"must be a plain LoRA adapter: {CONFIG} says {field} {told[field]}"
    for field in _EMPTY:
        if told.get(field):
            yield f"must be a plain LoRA adapter: {CONFIG} has {field}"
    base = told.get("base_model_name_or_path")
    if base is not None and not _same(str(base), model):
        yield f"must be of task.model, {model}: it was tuned on {base}"


def _same(base: str, model: str) -> bool:
    """Whether two names are of one model; of folders that were moved, and of the hub's copies, the last part is the same."""
    names = {model, public_name(model)}
    return base in names or Path(base).name in {Path(name).name for name in names}
