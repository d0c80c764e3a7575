"""Φ distilled: a classifier's probabilities, guessed from the states of a small sentence encoder by a few heads.

The heads see the mean state of every layer: late layers know what a sentence is about, early ones its words, and a
sentence's tone is as much in the words.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crowd_sim.errors import InputError
from crowd_sim.models.batching import Batcher
from crowd_sim.models.embedding import Embedding, load_embedding, mean
from crowd_sim.models.model_hub import require

DESCRIPTION, WEIGHTS = "distilled.json", "head.safetensors"
FORMAT = 1
SHAPES = {
    "centre": "f",
    "scale": "f",
    "hidden.weight": "ehf",
    "hidden.bias": "eh",
    "out.weight": "elh",
    "out.bias": "el",
}
"""Tensors of e heads: f features, h hidden units, l labels."""


@dataclass(frozen=True)
class Distilled:
    """Heads on a sentence encoder as Φ; as `crowd_sim.models.phi.Phi`.

    Attributes:
        name: ``distilled`` and the folder.
        folders: with its files and the encoder's.
        labels: in the order of the scores that the heads were fitted to.
        encoder: its transformer and tokenizer are used.
        tensors: by the names in `SHAPES`; fp32.
        fitted: keys (`text_key`) of the texts that the heads were fitted to.
    """

    name: str
    folders: tuple[Path, ...]
    labels: tuple[str, ...]
    encoder: Embedding
    tensors: dict[str, Any]
    fitted: frozenset[int]

    @property
    def n_dimensions(self) -> int:
        """Number of labels."""
        return len(self.labels)

    @property
    def batcher(self) -> Batcher:
        """The encoder's."""
        return self.encoder.batcher

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Probabilities float64[m, n_labels]: the mean of the heads'."""

        def probabilities(ids: Any, mask: Any) -> Any:
            x = (layers(self.encoder.model, ids, mask) - self.tensors["centre"]) / self.tensors["scale"]
            heads = zip(*(self.tensors[key] for key in list(SHAPES)[2:]), strict=True)
            return sum(logits(x, *head).double().sigmoid() for head in heads) / len(self.tensors["out.bias"])

        return self.batcher(texts, probabilities, self.n_dimensions)


def refuse_fitted(phi: object, texts: Iterable[str]) -> None:
    """Checks that a Φ is not to judge texts that it was fitted to; any Φ but a distilled one passes.

    Raises:
        InputError: some are, whatever their case and spaces.
    """
    if isinstance(phi, Distilled):
        known = [text for text in texts if text_key(text) in phi.fitted]
        if known:
            allowed = f"must not have been fitted to what it judges, as to {known[0]!r} and {len(known) - 1} more texts"
            raise InputError(
                "phi.model", phi.name, f"{allowed}; `crowd-sim data distill --judged FILE` leaves them out"
            )


def text_key(text: str) -> int:
    """63 bits of the SHA-256 of a text without its case and spaces."""
    digest = hashlib.sha256("".join(text.casefold().split()).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def layers(model: Any, ids: Any, mask: Any) -> Any:
    """The mean state of a text in each layer, the input's included, each scaled to length 1: [b, (1 + n_layers) h]."""
    import torch

    states = model(input_ids=ids, attention_mask=mask, output_hidden_states=True).hidden_states
    return torch.cat([torch.nn.functional.normalize(mean(state, mask), dim=-1) for state in states], dim=-1)


def n_features(encoder: Embedding) -> int:
    """Length of the rows of `layers`."""
    config = encoder.model.config
    return int((1 + config.num_hidden_layers) * config.hidden_size)


def logits(x: Any, hidden_weight: Any, hidden_bias: Any, out_weight: Any, out_bias: Any) -> Any:
    """One head: [b, l] of [b, f]."""
    import torch

    return torch.nn.functional.linear(
        torch.relu(torch.nn.functional.linear(x, hidden_weight, hidden_bias)), out_weight, out_bias
    )


def load_distilled(folder: Path, device: str) -> Distilled:
    """What `crowd-sim data distill` has made.

    Args:
        folder: with distilled.json and head.safetensors.
        device: as in `crowd_sim.models.phi.load_phi`.

    Raises:
        InputError: as in `crowd_sim.models.phi.load_phi`; a file is missing or damaged, or they do not fit together.
    """
    description = _description(folder)
    labels = tuple(description["labels"])
    encoder = load_embedding(description["encoder"], device)
    path = folder / WEIGHTS
    if hashlib.sha256(path.read_bytes()).hexdigest() != description["head_sha256"]:
        raise InputError(
            str(path), None, f"the file that {DESCRIPTION} was written with is needed: its SHA-256 is another"
        )
    tensors = require("safetensors.torch", "phi.model", str(folder)).load_file(path, device=device)
    fitted = frozenset(tensors.pop("fitted").tolist())
    shapes = {key: tuple(tensor.shape) for key, tensor in tensors.items()}
    if shapes["centre"] != (n_features(encoder),) or shapes["out.bias"][-1] != len(labels):
        raise InputError(str(path), None, f"the encoder {description['encoder']} and the labels do not fit the head")
    return Distilled(f"distilled:{folder}", (folder, *encoder.folders), labels, encoder, tensors, fitted)


def encoder_of(folder: Path) -> str:
    """The encoder that a distilled Φ needs.

    Raises:
        InputError: as in `load_distilled`.
    """
    return str(_description(folder)["encoder"])


def _description(folder: Path) -> dict[str, Any]:
    if not folder.is_dir():
        raise InputError("phi.model", folder, "a folder that `crowd-sim data distill` has made")
    for name in (DESCRIPTION, WEIGHTS):
        if not (folder / name).is_file():
            raise InputError(
                "phi.model", folder, f"a folder with {DESCRIPTION} and {WEIGHTS} is needed: no {name} in it"
            )
    path = folder / DESCRIPTION
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        known = content["format"] == FORMAT and isinstance(content["encoder"], str)
        known = known and all(isinstance(label, str) for label in content["labels"]) and bool(content["head_sha256"])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(str(path), None, f"a description of a head is needed, this is none ({error!r})") from error
    if not known:
        raise InputError(
            str(path), None, f"a description of format {FORMAT} is needed, made by `crowd-sim data distill`"
        )
    return dict(content)
