"""A crowd that a Python program has given, kept in the folder of the run or sweep."""

from __future__ import annotations

from pathlib import Path

from crowd_sim.crowd.population import Population
from crowd_sim.crowd.sources.given import FILE, population_of, table_of
from crowd_sim.errors import InputError
from crowd_sim.files import read_table, write_table


def check_kept(given: Population, folder: Path) -> None:
    """Refuse to go on with others than a folder was begun with.

    Raises:
        InputError: they are others.
    """
    kept = _kept(folder)
    if kept is not None and list(kept.identity()) != list(given.identity()):
        allowed = f"must be the one that the folder was begun with, {folder / FILE}; or choose another folder"
        raise InputError("crowd", None, allowed)


def keep(given: Population, folder: Path) -> None:
    """Write it, where it is not there or damaged."""
    if _kept(folder) is None:
        write_table(folder / FILE, table_of(given))


def _kept(folder: Path) -> Population | None:
    table = read_table(folder / FILE)
    return None if table is None else population_of(table)
