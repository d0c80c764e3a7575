"""Reading a folder of finished LLM cells, one run folder per emotion, seed and variant."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from crowd_sim.errors import InputError
from experiments.report.tables import read_summary, read_table

VARIANTS = ("tournament", "merging")
"""Variants of the tournament, by the name of their folders and of their columns."""

LARGEST, EQUAL = "single_100", "single_equal_tokens"
"""The baselines that reductions are held against."""

BASELINES = ("base", "single_33", "single_66", LARGEST, EQUAL)
"""Models of variant `tournament` that every variant is held against, but for `EQUAL`, of which each has its own."""

FINAL = "round_3"
"""The model that a variant is judged by: the paper plays three rounds."""


@dataclass(frozen=True, eq=False)
class Cells:
    """What a folder of cells holds.

    Attributes:
        table: one row per emotion and seed of which all variants are finished. Columns: ``emotion``, ``seed``, the mean
            distance of fresh outputs of the `BASELINES` and the variants, and as ``<variant>_<baseline>`` by how many percent
            of its distance each variant is nearer than `LARGEST` and `EQUAL`.
        unfinished: the others, as <emotion>/seed-<s>.
        phi: the Φ that judged them all.
    """

    table: pd.DataFrame
    unfinished: tuple[str, ...]
    phi: str


def read_cells(root: Path) -> Cells:
    """Read the tables of all finished cells.

    A tournament that drops other workers trains other tokens: the single model of equal tokens that a variant is held against
    is its own where its folder has one.

    Raises:
        InputError: no finished cell, a cell without a model that is asked for, or cells under different Φ or weights.
    """
    rows, unfinished, phis, weights = [], [], set(), set()
    for folder in sorted(root.glob("*/seed-*"), key=_emotion_and_seed):
        cells = [folder / variant for variant in VARIANTS]
        if not all((cell / "summary.json").is_file() for cell in cells):
            unfinished.append(f"{folder.parent.name}/{folder.name}")
            continue
        learners = [read_summary(cell, "distance").get("learner", {}) for cell in cells]
        phis |= {str(learner.get("phi")) for learner in learners}
        weights |= {learner["weights"] for learner in learners if "weights" in learner}
        rows.append({"emotion": folder.parent.name, "seed": folder.name.removeprefix("seed-"), **_row(cells)})
    if not rows:
        raise InputError(
            "folder", root, f"must hold <emotion>/seed-<s>/{{{','.join(VARIANTS)}}} with at least one finished cell"
        )
    if len(phis) > 1:
        raise InputError("folder", root, f"its cells must all be judged by one Φ, not by {' and '.join(sorted(phis))}")
    if len(weights) > 1:
        allowed = "its cells must all be of one base model and one Φ: the files of one have changed from cell to cell"
        raise InputError("folder", root, allowed)
    return Cells(pd.DataFrame(rows), tuple(unfinished), phis.pop())


def _emotion_and_seed(folder: Path) -> tuple[str, int, str]:
    seed = folder.name.removeprefix("seed-")
    return folder.parent.name, int(seed) if seed.isdecimal() else -1, seed


def _row(cells: list[Path]) -> dict[str, float]:
    distances = [_distances(cell) for cell in cells]
    row = {name: _of(distances[0], name, cells[0]) for name in BASELINES}
    for variant, own, cell in zip(VARIANTS, distances, cells, strict=True):
        row[variant] = _of(own, FINAL, cell)
        for baseline, distance in ((LARGEST, row[LARGEST]), (EQUAL, own.get(EQUAL, row[EQUAL]))):
            row[f"{variant}_{baseline}"] = 100 * (1 - row[variant] / distance)
    return row


def _distances(cell: Path) -> dict[str, float]:
    models = read_table(cell, "models.parquet", ("model", "distance"))
    return {str(name): float(distance) for name, distance in models.groupby("model")["distance"].mean().items()}


def _of(distances: dict[str, float], name: str, cell: Path) -> float:
    if name not in distances:
        raise InputError(
            f"{cell / 'models.parquet'}: model", name, f"is missing; there are {', '.join(sorted(distances))}"
        )
    return distances[name]
