"""A distilled Φ, from files to a folder."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from crowd_sim.characters import visible
from crowd_sim.crowd.sources.neighbourhoods import read_neighbourhoods
from crowd_sim.errors import InputError
from crowd_sim.files import write_bytes, write_json
from crowd_sim.models.distill import distill, measure, read_scored_texts
from crowd_sim.models.distilled import DESCRIPTION, WEIGHTS
from crowd_sim.paths import exists, is_folder
from crowd_sim.progress import Progress, quiet


def distill_into(
    out: Path,
    texts: Path,
    labels: Path | None,
    judged: Path | None,
    encoder: str,
    seed: int,
    device: str = "cpu",
    progress: Progress = quiet,
) -> dict[str, Any]:
    """Writes distilled.json and head.safetensors, those of an earlier call replaced; the description.

    Args:
        out: the folder; new, empty, or with a distilled Φ in it.
        texts: as `crowd_sim.models.distill.read_scored_texts` reads them.
        labels: JSON, a list of names; ``None``: 0, 1, ….
        judged: neighbourhoods, whose texts are left out of the fit; the quality on them, by their scores, is described.
        encoder: as `crowd_sim.models.embedding.load_embedding` takes it.
        seed: of the fit's draws.
        device: where the encoder is computed.
        progress: told how far it is.

    Raises:
        InputError: what is wrong with any of it.
    """
    _check_folder(out)
    progress("start", 0, 0, "texts and encoder")
    given = read_scored_texts(texts)
    neighbourhoods = read_neighbourhoods(judged, "--judged") if judged else ()
    names = read_labels(labels) if labels else tuple(map(str, range(given.scores.shape[1])))
    # a text may be in the neighbourhoods of several emotions
    to_judge = {text: scores for one in neighbourhoods for text, scores in zip(one.texts, one.scores, strict=True)}
    widths = {len(scores) for scores in to_judge.values()}
    if widths - {len(names)}:
        raise InputError("--judged", judged, f"as many scores as labels are needed, {len(names)}, not {widths.pop()}")
    made = distill(given, names, encoder, seed, tuple(to_judge), device, progress)
    description, weights = made.files()
    if to_judge:
        quality = measure(made.phi(tuple(to_judge)), np.array(list(to_judge.values())))
        description = description | {"quality": description["quality"] | {"judged": vars(quality)}}
    write_bytes(out / WEIGHTS, weights)
    write_json(out / DESCRIPTION, description)
    return description


def quality_table(description: dict[str, Any]) -> Table:
    """The quality that distilled.json holds, for a terminal."""
    table = Table(
        title=f"{description['heads']} heads on {visible(description['encoder'])}, for {len(description['labels'])} labels"
    )
    for column in ("texts", "number", "R²", "cosine", "same top label"):
        table.add_column(column, justify="left" if column == "texts" else "right")
    said = {"held_out": "held out, by one head each", "judged": "to be judged, by all heads"}
    for key, quality in description["quality"].items():
        figures = [f"{quality[name]:.3f}" for name in ("r2", "cosine", "same_top_label")]
        table.add_row(said[key], str(quality["n_texts"]), *figures)
    if description["texts_left_out"]:
        table.caption = f"{description['texts_left_out']} texts left out of the fit: they are to be judged"
    return table


def read_labels(path: Path) -> tuple[str, ...]:
    """A JSON list of names.

    Raises:
        InputError: the file is missing or holds something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError("--labels", path, f"a JSON file that can be read is needed ({error})") from error
    if not isinstance(content, list) or not all(isinstance(label, str) and label for label in content):
        raise InputError("--labels", path, "a JSON list of names is needed")
    return tuple(content)


def _check_folder(out: Path) -> None:
    # not made yet: what is refused later should leave nothing behind
    try:
        foreign = exists(out) and any(out.iterdir()) and not exists(out / DESCRIPTION)
        place = next(path for path in (out, *out.absolute().parents) if exists(path))
    except OSError as error:
        raise InputError("--out", out, f"a folder that can be written is needed ({error.strerror})") from error
    if not (is_folder(place) and os.access(place, os.W_OK | os.X_OK)):
        raise InputError("--out", out, f"a folder that can be written is needed (not in {place})")
    if foreign:
        raise InputError("--out", out, f"a new or empty folder, or one with a {DESCRIPTION}")
