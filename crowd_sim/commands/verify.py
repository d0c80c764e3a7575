"""Whether every file of a folder is what was written: of a run, a sweep, values, or a cache of utilities."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from crowd_sim.arrays import without_digest
from crowd_sim.errors import InputError
from crowd_sim.integrity import FILES, MANIFEST, DamagedError, check_sealed, check_yaml, read_json, sha256_of, unsealed
from crowd_sim.paths import is_file, is_folder
from crowd_sim.store.checkpoint import is_whole
from crowd_sim.sweeps.parts import is_part_whole, is_turn_whole

State = Literal["whole", "damaged", "missing", "set aside", "unknown"]

SOURCES = ("summary.json", "timing.json", "values.json")
"""What lists digests of other files, besides the manifest of the report."""


@dataclass(frozen=True)
class Checked:
    """What a file is.

    Attributes:
        name: its path in the folder.
        state: `whole` (what was written), `damaged`, `missing`, `set aside` (found damaged or unusable before), or
            `unknown` (no digest is known: it is none of ours, or of an earlier version).
    """

    name: str
    state: State


def verify(folder: Path) -> list[Checked]:
    """Every file in a folder and below, and every one that should be there, in order of their names; nothing is changed.

    Raises:
        InputError: no folder, or an empty one.
    """
    if not is_folder(folder):
        raise InputError("folder", str(folder), "must be the folder of a run, a sweep, values or a cache")
    here = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if is_file(path)}
    if not here:
        raise InputError("folder", str(folder), "must hold a file at least")
    known = digests_known(folder)
    return [Checked(name, state_of(folder, name, known)) for name in sorted({*here, *known})]


def digests_known(folder: Path) -> dict[str, str]:
    """SHA-256 of files by their paths in the folder, of all that lists some."""
    return dict(_listed(folder))


def _listed(folder: Path) -> Iterator[tuple[str, str]]:
    for source in SOURCES:
        try:
            found = read_json(folder / source).get(FILES, {})
        except (OSError, DamagedError):  # told of the source itself
            continue
        yield from found.items()
    try:
        lines = (folder / MANIFEST).read_bytes().decode().split("\n")
    except (OSError, ValueError):
        return
    for line in filter(None, lines):
        digest, _, name = line.partition("  ")
        yield name, digest


def state_of(folder: Path, name: str, known: Mapping[str, str]) -> State:
    """What one file of a folder is, given `digests_known`."""
    path = folder / name
    if "\0" in name or not os.path.isfile(path):  # noqa: PTH113 - a name that was damaged may be none
        return "missing"
    if name in known:
        return "whole" if sha256_of(path) == known[name] else "damaged"
    if path.suffix in (".damaged", ".unusable") or name.startswith("damaged/"):
        return "set aside"
    check = next((check for pattern, check in _CHECKS if Path(name).match(pattern)), None)
    if check is None:
        return "unknown"
    found = check(folder, path)
    return "unknown" if found is None else "whole" if found else "damaged"


def _sealed_json(_folder: Path, path: Path) -> bool | None:
    try:
        content = json.loads(path.read_bytes())
        unsealed(content, path)
    except (ValueError, RecursionError):
        return False
    return True if "digest" in content else None


def _sealed_lines(_folder: Path, path: Path) -> bool | None:
    lines = path.read_bytes().split(b"\n")
    if lines.pop():  # the last one is not at its end: it was never written as a whole
        return False
    try:
        found = [json.loads(line) for line in lines]
        for line in found:
            unsealed(line, path)
    except (ValueError, RecursionError):
        return False
    return True if all("digest" in line for line in found) else None


def _config(_folder: Path, path: Path) -> bool | None:
    content = path.read_bytes()
    try:
        check_yaml(content, path)
        check_sealed(path.parent)
    except DamagedError:
        return False
    return True if b"\ndigest: " in content else None


def _manifest(folder: Path, path: Path) -> bool | None:
    """It lists the page and every figure that the page shows; each of them is checked by itself."""
    try:
        listed = {line.partition("  ")[2] for line in path.read_bytes().decode().split("\n")}
    except ValueError:
        return False
    here = {figure.relative_to(folder).as_posix() for figure in folder.glob("figures/*.png")}
    return {"report.html", *here, ""} == listed


def _utilities(_folder: Path, path: Path) -> bool | None:
    """All records of a log were begun with one checksum, that of its game; their length is one of those that fit."""
    content = path.read_bytes()
    for size in range(13, min(len(content), 12 + 1024) + 1):
        if len(content) % size:
            continue
        starts = range(0, len(content), size)
        begun = {
            zlib.crc32(content[at : at + size - 4]) ^ int.from_bytes(content[at + size - 4 : at + size], "little")
            for at in starts
        }
        if len(begun) == 1 and len(starts) > 1:
            return True
    return len(content) == 0 or (None if len(content) < 26 else False)


def _begins_with_digest(path: Path) -> bool:
    try:
        without_digest(path.read_bytes())
    except ValueError:
        return False
    return True


_Check = Callable[[Path, Path], "bool | None"]


def _alone(check: Callable[[Path], Any]) -> _Check:
    return lambda _folder, path: bool(check(path))


_CHECKS: tuple[tuple[str, _Check], ...] = (
    ("config.yaml", _config),
    ("*.lock", _alone(is_turn_whole)),
    ("log*.jsonl", _sealed_lines),
    ("parts/*/*.parquet", _alone(is_part_whole)),
    ("checkpoints/*.checkpoint", _alone(is_whole)),
    ("checkpoints/tuning/*/*", _alone(_begins_with_digest)),
    ("cache/tuning/*/*", _alone(_begins_with_digest)),
    ("cache/outputs/*/*", _alone(_begins_with_digest)),
    ("utilities/*/*.log", _utilities),
    (MANIFEST, _manifest),
    ("*.json", _sealed_json),
    ("*.log", _utilities),
)
"""What checks a file that no list has, by its name in the folder; the first pattern that fits counts."""
