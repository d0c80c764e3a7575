"""Configurations that ship with the package and are found by name, wherever one works."""

from __future__ import annotations

import difflib
from importlib.resources import files
from pathlib import Path

from crowd_sim.errors import InputError
from crowd_sim.paths import exists, is_file


def shipped() -> dict[str, Path]:
    """The files by their names, in alphabetical order."""
    folder = Path(str(files("crowd_sim") / "configs"))
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def job_scripts() -> dict[str, Path]:
    """Scripts for batch schedulers that ship beside them, by their file names."""
    folder = Path(str(files("crowd_sim") / "configs"))
    return {path.name: path for path in sorted(folder.glob("*.slurm"))}


def shipped_file(name: str) -> Path:
    """The file of the shipped configuration or job script of this name.

    Raises:
        InputError: none has that name.
    """
    known = shipped() | job_scripts()
    if name not in known:
        raise InputError("configuration", name, f"must be a shipped configuration: {', '.join(known)}")
    return known[name]


def located(given: str | Path) -> Path:
    """The file that is meant: one that exists, else the shipped configuration of that name.

    Raises:
        InputError: a bare name that is neither.
    """
    path, known = Path(given), shipped()
    if not is_file(path) and str(given) in known:
        return known[str(given)]
    if not exists(path) and path.parent == Path():
        near = difflib.get_close_matches(str(given), known, n=1)
        perhaps = f", perhaps {near[0]}" if near else ""
        allowed = f"is no file{perhaps}; must be a YAML file or a name that `crowd-sim configs` lists"
        raise InputError("configuration", str(given), allowed)
    return path
