"""A Φ for where the classifier cannot be: its probabilities of some texts, distilled into heads on a sentence encoder."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crowd_sim.crowd.sources.records import read_records
from crowd_sim.errors import InputError
from crowd_sim.models.distilled import FORMAT, Distilled, layers, n_features, text_key
from crowd_sim.models.embedding import Embedding, load_embedding
from crowd_sim.models.mlp_head import N_EPOCHS, N_HEADS, N_HIDDEN, fit_heads
from crowd_sim.models.model_hub import lasting_name
from crowd_sim.progress import Progress, quiet

_VERSIONS = ("crowd-sim", "numpy", "torch", "transformers")


@dataclass(frozen=True)
class Quality:
    """How near guessed scores come to given ones.

    Attributes:
        n_texts: m.
        r2: 1 − the squared errors of all labels over the squared deviations from each label's mean;
            without any deviations 1 or 0: whether there is no error.
        cosine: mean over the texts of the cosine between guessed and given scores.
        same_top_label: share of the texts whose highest label is the same.
    """

    n_texts: int
    r2: float
    cosine: float
    same_top_label: float


@dataclass(frozen=True)
class Distillation:
    """What `distill` has made.

    Attributes:
        phi: ready for use.
        held_out: probabilities float64[m, n_labels] of the texts that it was fitted to, each by the head that was not.
        rows: which of the given texts these are, int64[m]; the others are to be judged.
        quality: of ``held_out``.
        description: what distilled.json is to hold, but for the SHA-256 of the weights.
    """

    phi: Distilled
    held_out: NDArray[np.float64]
    rows: NDArray[np.int64]
    quality: Quality
    description: dict[str, Any]

    def files(self) -> tuple[dict[str, Any], bytes]:
        """(distilled.json, head.safetensors): what `crowd_sim.models.distilled.load_distilled` reads."""
        import torch
        from safetensors.torch import save

        fitted = torch.tensor(sorted(self.phi.fitted), dtype=torch.int64)
        weights: bytes = save({**{key: value.cpu() for key, value in self.phi.tensors.items()}, "fitted": fitted})
        return self.description | {"head_sha256": hashlib.sha256(weights).hexdigest()}, weights


@dataclass(frozen=True)
class ScoredTexts:
    """Texts with a classifier's probabilities.

    Attributes:
        texts: [m].
        scores: float64[m, n_labels].
        sha256: of the file.
    """

    texts: tuple[str, ...]
    scores: NDArray[np.float64]
    sha256: str


def read_scored_texts(path: Path) -> ScoredTexts:
    """Texts and scores of a file.

    Args:
        path: .parquet or .jsonl with ``text`` and ``scores`` (a list of probabilities, as many in each record).

    Raises:
        InputError: the file, or with its place the record that is broken.
    """
    records = read_records(path, ("text", "scores"), others=True, field="--texts")
    length = len(records[0].probabilities("scores", None))
    scores = np.array([record.probabilities("scores", length) for record in records])
    texts = tuple(record.text("text") for record in records)
    return ScoredTexts(texts, scores, hashlib.sha256(path.read_bytes()).hexdigest())


def distill(
    given: ScoredTexts,
    labels: Sequence[str],
    encoder: str,
    seed: int,
    judged: Sequence[str] = (),
    device: str = "cpu",
    progress: Progress = quiet,
) -> Distillation:
    """Fits heads on an encoder's states to texts with scores.

    Args:
        given: m texts; the scores have a column per label.
        labels: n_labels names.
        encoder: as `crowd_sim.models.embedding.load_embedding` takes it.
        seed: of the fit's draws.
        judged: texts that the Φ is to judge: not fitted to, wherever case and spaces are all that differs.
        device: where the encoder is computed; the heads are fitted on the CPU.
        progress: told how many texts are encoded, and how many heads fitted.

    Raises:
        InputError: not as many labels as scores, too few texts, or what the encoder's loader refuses.
    """
    if len(labels) != given.scores.shape[1] or len(set(labels)) < len(labels):
        allowed = f"{given.scores.shape[1]} different names are needed, one for each of a text's scores"
        raise InputError("--labels", list(labels), allowed)
    if not np.ptp(given.scores, axis=0).any():
        raise InputError("--texts", None, "scores that are not the same for all texts are needed")
    loaded = load_embedding(encoder, device)
    left_out = {text_key(text) for text in judged}
    keys = [text_key(text) for text in given.texts]
    rows = np.array([row for row, key in enumerate(keys) if key not in left_out], dtype=np.int64)
    fitted = [keys[row] for row in rows]
    features = _features(loaded, [given.texts[row] for row in rows], progress)
    heads = fit_heads(features, given.scores[rows], fitted, seed, progress)
    quality = measure(heads.held_out, given.scores[rows])
    tensors = {key: tensor.to(device) for key, tensor in heads.tensors.items()}
    phi = Distilled(f"distilled:{encoder}", loaded.folders, tuple(labels), loaded, tensors, frozenset(fitted))
    description = {
        "format": FORMAT,
        "encoder": lasting_name(encoder),
        "labels": list(labels),
        "seed": seed,
        "heads": N_HEADS,
        "hidden": N_HIDDEN,
        "epochs": N_EPOCHS,
        "texts_sha256": given.sha256,
        "texts_left_out": len(keys) - len(rows),
        "quality": {"held_out": vars(quality)},
        "versions": {name: version(name) for name in _VERSIONS},
    }
    return Distillation(phi, heads.held_out, rows, quality, description)


def measure(guessed: NDArray[np.float64], given: NDArray[np.float64]) -> Quality:
    """The quality of guessed scores [m, n_labels]."""
    errors, spread = ((given - guessed) ** 2).sum(), ((given - given.mean(axis=0)) ** 2).sum()
    r2 = 1.0 - errors / spread if spread > 0 else float(errors == 0)
    lengths = np.linalg.norm(guessed, axis=1) * np.linalg.norm(given, axis=1)
    cosine = (guessed * given).sum(axis=1) / np.maximum(lengths, np.finfo(np.float64).tiny)  # of no score at all: 0
    same = guessed.argmax(axis=1) == given.argmax(axis=1)
    return Quality(len(given), float(r2), float(cosine.mean()), float(same.mean()))


def _features(encoder: Embedding, texts: Sequence[str], progress: Progress) -> NDArray[np.float64]:
    return encoder.batcher(texts, lambda ids, mask: layers(encoder.model, ids, mask), n_features(encoder), progress)
