"""GoEmotions' neighbourhoods and a classifier's scores of texts, made where there is internet."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from crowd_sim.crowd.sources.neighbourhoods import build_neighbourhood, neighbourhoods_table
from crowd_sim.errors import InputError, StorageError
from crowd_sim.files import write_table, write_text
from crowd_sim.models.model_hub import require
from crowd_sim.models.phi import Phi

DATASET, EDITION = "google-research-datasets/go_emotions", "simplified"


def fetch_comments() -> tuple[str, ...]:
    """Every comment of GoEmotions (Demszky and others, ACL 2020) once, in the order train, validation, test.

    Raises:
        InputError: the package `datasets` is not installed, or the hub cannot be reached.
    """
    datasets = require("datasets", "data goemotions", DATASET, "pip install datasets")
    try:
        splits = datasets.load_dataset(DATASET, EDITION)
    except Exception as error:  # the hub's client and the ones below it share no class of errors
        allowed = f"a data set that can be loaded from the Hugging Face hub is needed ({type(error).__name__})"
        raise InputError("data goemotions", DATASET, allowed) from error
    comments = (text for split in ("train", "validation", "test") for text in splits[split]["text"])
    return tuple(dict.fromkeys(text for text in comments if text.strip()))


def make_neighbourhoods(comments: Sequence[str], phi: Phi, emotions: Sequence[str], out: Path) -> str:
    """Writes the neighbourhoods of some emotions; what was written, in a line.

    Args:
        comments: of which the neighbourhoods are.
        phi: a classifier; its labels are the emotions.
        emotions: which; none: all.
        out: a file that ends in .parquet.

    Raises:
        InputError: another ending, an unknown emotion, a Φ without labels, too few comments.
    """
    if out.suffix.lower() != ".parquet":
        raise InputError("--out", out, "must be a file that ends in .parquet")
    if phi.labels is None:
        raise InputError("--classifier", phi.name, "a Φ with labels is needed")
    unknown = [emotion for emotion in emotions if emotion not in phi.labels]
    if unknown:
        raise InputError("--emotion", unknown[0], f"one of {', '.join(phi.labels)}")
    scores = phi(comments)
    wanted = tuple(dict.fromkeys(emotions)) or phi.labels
    made = [build_neighbourhood(emotion, comments, scores, phi.labels) for emotion in wanted]
    try:
        write_table(out, neighbourhoods_table(made))
    except StorageError as error:
        raise InputError("--out", out, f"a file that can be written is needed ({error.reason})") from error
    return f"{out}: {len(made)} neighbourhoods of {len(comments)} comments, by {phi.name}"


def score_texts(texts: Sequence[str], phi: Phi, out: Path, labels: Path) -> str:
    """Writes texts with their scores, and the scores' names, as `crowd-sim data distill` reads them; what, in a line.

    Args:
        texts: to be scored; of equal ones the first.
        phi: a classifier; its labels are the names.
        out: a file that ends in .parquet.
        labels: a file for a JSON list.

    Raises:
        InputError: another ending, a Φ without labels, or files that cannot be written.
    """
    if out.suffix.lower() != ".parquet":
        raise InputError("--out", out, "must be a file that ends in .parquet")
    if phi.labels is None:
        raise InputError("--classifier", phi.name, "a Φ with labels is needed")
    different = tuple(dict.fromkeys(texts))
    table = pd.DataFrame({"text": different, "scores": list(phi(different).tolist())})
    try:
        write_table(out, table)
        write_text(labels, json.dumps(list(phi.labels), ensure_ascii=False) + "\n")
    except StorageError as error:
        raise InputError("--out", error.path, f"a file that can be written is needed ({error.reason})") from error
    return f"{out}: {len(different):,} texts scored by {phi.name}; {labels}: {len(phi.labels)} labels"
