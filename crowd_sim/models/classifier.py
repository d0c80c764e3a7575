"""Φ by a sequence classifier: the probabilities of its labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crowd_sim.errors import InputError
from crowd_sim.models.batching import Batcher, check_device, load_batcher
from crowd_sim.models.load_weights import load_model
from crowd_sim.models.model_hub import model_folder


@dataclass(frozen=True)
class Classifier:
    """A Hugging Face sequence classifier as Φ; as `crowd_sim.models.phi.Phi`.

    Attributes:
        name: ``classifier`` and the model's name.
        folders: with its files.
        labels: in the model's order.
        model: the module.
        batcher: of its tokenizer.
        multi_label: whether each label has a probability of its own (sigmoid), or all together one (softmax).
    """

    name: str
    folders: tuple[Path, ...]
    labels: tuple[str, ...]
    model: Any
    batcher: Batcher
    multi_label: bool

    @property
    def n_dimensions(self) -> int:
        """Number of labels."""
        return len(self.labels)

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Probabilities float64[m, n_labels]."""

        def probabilities(ids: Any, mask: Any) -> Any:
            logits = self.model(input_ids=ids, attention_mask=mask).logits.double()
            return logits.sigmoid() if self.multi_label else logits.softmax(dim=-1)

        return self.batcher(texts, probabilities, self.n_dimensions)


def load_classifier(model: str, device: str) -> Classifier:
    """Any sequence classifier of transformers.

    Args:
        model: a folder or an id on the hub.
        device: as in `crowd_sim.models.phi.load_phi`.

    Raises:
        InputError: as in `crowd_sim.models.phi.load_phi`, or a model of regression.
    """
    check_device(device)
    folder = model_folder("phi.model", model)
    loaded = load_model(model, folder, "AutoModelForSequenceClassification")
    config = loaded.config
    if config.problem_type == "regression":
        raise InputError("phi.model", model, "a classifier is needed, its problem_type is regression")
    labels = tuple(str(config.id2label[i]) for i in range(config.num_labels))
    multi_label = config.problem_type == "multi_label_classification" or len(labels) == 1
    batcher = load_batcher(model, folder, config, device)
    return Classifier(f"classifier:{model}", (folder,), labels, loaded.to(device), batcher, multi_label)
