"""Reading the sweeps of the LLM experiment: a point per emotion, seed and variant."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan
from pathlib import Path
from typing import Any

import pandas as pd

from crowd_sim.errors import InputError
from crowd_sim.files import read_config
from crowd_sim.report.labels import phi_words

VARIANTS = ("tournament", "merging", "halving")
"""Variants of the tournament, by the name of their columns."""

SEARCHES = dict(zip(("best", "merge", "halving"), VARIANTS, strict=True))
"""`tournament.search` of a point -> its variant."""

LARGEST, EQUAL = "single_100", "single_equal_tokens"
"""The baselines that reductions are held against."""

BASELINES = ("base", "single_33", "single_66", LARGEST, EQUAL)
"""Models of variant `tournament`; variants are held against its `LARGEST`, and its `EQUAL` unless they have their own."""

OWN = {"halving": (LARGEST, EQUAL)}
"""Baselines that a variant has besides: single models of as many examples per step as its candidates hold."""

MODELS = (*BASELINES, *VARIANTS, *(f"{baseline}_of_{variant}" for variant, own in OWN.items() for baseline in own))
"""Columns of distances, in the order in which they are shown."""

REDUCTIONS = (
    *(f"{variant}_{baseline}" for baseline in (LARGEST, EQUAL) for variant in VARIANTS),
    *(f"{variant}_{LARGEST}_of_{variant}" for variant, own in OWN.items() if LARGEST in own),
)
"""Columns <variant>_<model>: by how many percent of the model's distance the variant is nearer."""

SHARES = ("distinct", "copied")
"""Of a model's outputs: columns <share>_<model>_mean of points.parquet."""

_SWEPT = ("crowd.target", "seed", "tournament.search")
"""Fields that a point of the table is told by."""

_OWN = re.compile(
    r"seed|crowd\.(target|path)|tournament\.search|task\.(phi\.(kind|model)|merged_model)|fingerprint"
    r"|(sweep|versions|actors)(\..*)?"
)
"""Fields of config.yaml in which sweeps of a variant may differ; Φ is one, as its name is compared beside."""

_Models = dict[str, dict[str, float]]
"""Model -> ``distance`` and `SHARES`, means over the runs of a point."""


@dataclass(frozen=True, eq=False)
class Cells:
    """What sweeps hold.

    Attributes:
        table: one row per emotion and seed of which all variants are there. Columns: ``emotion``, ``seed``, the mean
            distance of fresh outputs of the `MODELS`, the percentages of distinct ones and of copies among these outputs as
            ``<model>_distinct`` and ``<model>_copied``, and the `REDUCTIONS`.
        unfinished: the others, as <emotion>/seed-<s>.
        phi: the Φ that judged them all.
    """

    table: pd.DataFrame
    unfinished: tuple[str, ...]
    phi: str


def read_cells(folders: Sequence[Path]) -> Cells:
    """Read the points of sweeps.

    A tournament that drops other workers trains other tokens: the single model of equal tokens that a variant is held against
    is its own where its point has one.

    Raises:
        InputError: a folder without points; no emotion and seed with all variants; a point without a model that is asked for,
            or that is in two folders; sweeps of another field, under different Φ or settings.
    """
    cells: dict[tuple[str, int], dict[str, tuple[Path, _Models]]] = {}
    settings: dict[str, tuple[Path, dict[str, str]]] = {}
    phis: dict[str, None] = {}
    for folder in folders:
        if not (folder / "points.parquet").is_file():
            raise InputError("folder", folder, "must be of a sweep that is finished, with a points.parquet")
        points, config = pd.read_parquet(folder / "points.parquet"), read_config(folder)
        for field in pd.json_normalize(config.get("sweep", {})).columns:
            if field not in _SWEPT:
                raise InputError(f"{folder / 'config.yaml'}: sweep.{field}", None, "must not be swept for this table")
        phis[_phi(config)] = None
        for row in points.to_dict("records"):
            emotion, seed, search = (row.get(field, _at(config, field)) for field in _SWEPT)
            variant = SEARCHES[str(search)]
            if variant not in settings:
                settings[variant] = (folder, _settings(config))
            _check_settings(folder, _settings(config), *settings[variant])
            own = cells.setdefault((str(emotion), int(seed)), {})
            if variant in own:
                allowed = f"must not have {emotion}, seed {seed} and search {search} again: {own[variant][0]} has it"
                raise InputError("folder", folder, allowed)
            own[variant] = folder, _models(row)
    if len(phis) > 1:
        raise InputError("folder", folders[0], f"all must be judged by one Φ, not by {' and '.join(sorted(phis))}")
    whole = {cell: own for cell, own in sorted(cells.items()) if len(own) == len(VARIANTS)}
    if not whole:
        allowed = f"must together have an emotion and seed with tournament.search of {', '.join(SEARCHES)}"
        raise InputError("folder", ", ".join(map(str, folders)), allowed)
    table = pd.DataFrame([{"emotion": emotion, "seed": seed, **_row(own)} for (emotion, seed), own in whole.items()])
    unfinished = tuple(f"{emotion}/seed-{seed}" for emotion, seed in sorted(cells.keys() - whole.keys()))
    return Cells(table, unfinished, next(iter(phis)))


def _phi(config: dict[str, Any]) -> str:
    kind, model = (_at(config, f"task.phi.{field}") for field in ("kind", "model"))
    return phi_words(f"{kind}:{model}") if model else str(kind)


def _at(config: dict[str, Any], field: str) -> Any:
    node: Any = config
    for part in field.split("."):
        node = node.get(part) if isinstance(node, dict) else None
    return node


def _settings(config: dict[str, Any]) -> dict[str, str]:
    """What all points of a variant share, by dotted name."""
    flat = {str(name): str(value) for name, value in pd.json_normalize(config).iloc[0].items()}
    return {name: value for name, value in flat.items() if not _OWN.fullmatch(name)}


def _check_settings(folder: Path, found: dict[str, str], first: Path, wanted: dict[str, str]) -> None:
    for field in sorted(wanted.keys() | found.keys()):
        if found.get(field) != wanted.get(field):
            allowed = f"must be that of {first}, {wanted.get(field)}: a variant is of one configuration"
            raise InputError(f"{folder / 'config.yaml'}: {field}", found.get(field), allowed)


def _row(cells: dict[str, tuple[Path, _Models]]) -> dict[str, float]:
    folder, first = cells[VARIANTS[0]]
    found = {name: _of(first, name, folder) for name in BASELINES}
    for variant in VARIANTS:
        folder, own = cells[variant]
        found[variant] = _of(own, _final(own), folder)
        for baseline in OWN.get(variant, ()):
            found[f"{baseline}_of_{variant}"] = _of(own, baseline, folder)
    row = {name: model["distance"] for name, model in found.items()}
    for variant in VARIANTS:
        _, own = cells[variant]
        row[f"{variant}_{LARGEST}"] = _nearer(row[variant], found[LARGEST])
        row[f"{variant}_{EQUAL}"] = _nearer(row[variant], own.get(EQUAL, found[EQUAL]))
        if LARGEST in OWN.get(variant, ()):
            row[f"{variant}_{LARGEST}_of_{variant}"] = _nearer(row[variant], own[LARGEST])
    return row | {f"{name}_{share}": 100 * model[share] for name, model in found.items() for share in SHARES}


def _final(models: _Models) -> str:
    """The model that a variant is judged by: its last round's."""
    rounds = [int(number) for name in models if (number := name.removeprefix("round_")).isdecimal()]
    return f"round_{max(rounds, default=1)}"


def _nearer(distance: float, other: dict[str, float]) -> float:
    return 100 * (1 - distance / other["distance"])


def _models(point: dict[Any, Any]) -> _Models:
    found: _Models = {}
    for column, value in point.items():
        named = re.fullmatch(r"distance_(.+)_mean", str(column))
        if named and not isnan(value):  # NaN: another point's model
            shares = {share: float(point[f"{share}_{named[1]}_mean"]) for share in SHARES}
            found[named[1]] = {"distance": float(value), **shares}
    return found


def _of(models: _Models, name: str, folder: Path) -> dict[str, float]:
    if name not in models:
        allowed = f"is missing; there are {', '.join(sorted(models))}"
        raise InputError(f"{folder / 'points.parquet'}: model", name, allowed)
    return models[name]
