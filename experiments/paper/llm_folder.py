"""Reading a folder of finished LLM cells, one run folder per emotion, seed and variant."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from crowd_sim.errors import InputError
from crowd_sim.files import read_config
from crowd_sim.report.tables import read_summary, read_table

VARIANTS = ("tournament", "merging", "halving")
"""Variants of the tournament, by the name of their folders and of their columns."""

LARGEST, EQUAL = "single_100", "single_equal_tokens"
"""The baselines that reductions are held against."""

BASELINES = ("base", "single_33", "single_66", LARGEST, EQUAL)
"""Models of variant `tournament`; variants are held against its `LARGEST`, and its `EQUAL` unless they have their own."""

OWN = {"halving": (LARGEST, EQUAL)}
"""Baselines that a variant's cells have besides: single models of as many examples per step as its candidates hold."""

MODELS = (*BASELINES, *VARIANTS, *(f"{baseline}_of_{variant}" for variant, own in OWN.items() for baseline in own))
"""Columns of distances, in the order in which they are shown."""

REDUCTIONS = (
    *(f"{variant}_{baseline}" for baseline in (LARGEST, EQUAL) for variant in VARIANTS),
    *(f"{variant}_{LARGEST}_of_{variant}" for variant, own in OWN.items() if LARGEST in own),
)
"""Columns <variant>_<model>: by how many percent of the model's distance the variant is nearer."""

SHARES = ("distinct", "copied")
"""Of a model's outputs: columns of models.parquet."""

_OWN = re.compile(
    r"seed|crowd\.(target|path)|llm\.(phi\.model|merged_model)|fingerprint|weights|(versions|actors)(\..*)?"
)
"""Fields of config.yaml in which the cells of a table may differ; where Φ lies is one, as its name and weights are compared."""


@dataclass(frozen=True, eq=False)
class Cells:
    """What a folder of cells holds.

    Attributes:
        table: one row per emotion and seed of which all variants are finished. Columns: ``emotion``, ``seed``, the mean
            distance of fresh outputs of the `MODELS`, the percentages of distinct ones and of copies among these outputs as
            ``<model>_distinct`` and ``<model>_copied``, and the `REDUCTIONS`.
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
        InputError: no finished cell, a cell without a model that is asked for, or cells under different Φ, weights or settings.
    """
    rows, unfinished, phis, weights = [], [], set(), set()
    settings: dict[str, tuple[Path, dict[str, str]]] = {}
    for folder in sorted(root.glob("*/seed-*"), key=_emotion_and_seed):
        cells = [folder / variant for variant in VARIANTS]
        if not all((cell / "summary.json").is_file() for cell in cells):
            unfinished.append(f"{folder.parent.name}/{folder.name}")
            continue
        learners = [read_summary(cell, "distance").get("learner", {}) for cell in cells]
        phis |= {str(learner.get("phi")) for learner in learners}
        weights |= {learner["weights"] for learner in learners if "weights" in learner}
        for variant, cell in zip(VARIANTS, cells, strict=True):
            _check_settings(cell, *settings.setdefault(variant, (cell, _settings(cell))))
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


def _settings(cell: Path) -> dict[str, str]:
    """What all cells of a variant share, by dotted name."""
    flat = {str(name): str(value) for name, value in pd.json_normalize(read_config(cell)).iloc[0].items()}
    return {name: value for name, value in flat.items() if not _OWN.fullmatch(name)}


def _check_settings(cell: Path, first: Path, wanted: dict[str, str]) -> None:
    found = _settings(cell)
    for field in sorted(wanted.keys() | found.keys()):
        if found.get(field) != wanted.get(field):
            allowed = f"must be that of {first}, {wanted.get(field)}: a table is of cells of one configuration"
            raise InputError(f"{cell / 'config.yaml'}: {field}", found.get(field), allowed)


def _emotion_and_seed(folder: Path) -> tuple[str, int, str]:
    seed = folder.name.removeprefix("seed-")
    return folder.parent.name, int(seed) if seed.isdecimal() else -1, seed


def _row(cells: list[Path]) -> dict[str, float]:
    models = [_models(cell) for cell in cells]
    found = {name: _of(models[0], name, cells[0]) for name in BASELINES}
    for variant, own, cell in zip(VARIANTS, models, cells, strict=True):
        found[variant] = _of(own, _final(own), cell)
        for baseline in OWN.get(variant, ()):
            found[f"{baseline}_of_{variant}"] = _of(own, baseline, cell)
    row = {name: model["distance"] for name, model in found.items()}
    for variant, own in zip(VARIANTS, models, strict=True):
        row[f"{variant}_{LARGEST}"] = _nearer(row[variant], found[LARGEST])
        row[f"{variant}_{EQUAL}"] = _nearer(row[variant], own.get(EQUAL, found[EQUAL]))
        if LARGEST in OWN.get(variant, ()):
            row[f"{variant}_{LARGEST}_of_{variant}"] = _nearer(row[variant], own[LARGEST])
    return row | {f"{name}_{share}": 100 * model[share] for name, model in found.items() for share in SHARES}


def _final(models: dict[str, dict[str, float]]) -> str:
    """The model that a variant is judged by: its last round's."""
    rounds = [int(number) for name in models if (number := name.removeprefix("round_")).isdecimal()]
    return f"round_{max(rounds, default=1)}"


def _nearer(distance: float, other: dict[str, float]) -> float:
    return 100 * (1 - distance / other["distance"])


def _models(cell: Path) -> dict[str, dict[str, float]]:
    """Means over the runs of a cell: model -> ``distance`` and `SHARES`."""
    columns = ["distance", *SHARES]
    means = read_table(cell, "models.parquet", ("model", *columns)).groupby("model")[columns].mean()
    return {str(name): dict(zip(columns, map(float, row), strict=True)) for name, *row in means.itertuples()}


def _of(models: dict[str, dict[str, float]], name: str, cell: Path) -> dict[str, float]:
    if name not in models:
        allowed = f"is missing; there are {', '.join(sorted(models))}"
        raise InputError(f"{cell / 'models.parquet'}: model", name, allowed)
    return models[name]
