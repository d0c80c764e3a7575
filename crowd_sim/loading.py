"""Configurations from YAML files and dotted overrides, and the people they name."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import MarkedYAMLError, YAMLError

from crowd_sim.config import LARGEST_COORDINATE, CrowdConfig, RunConfig
from crowd_sim.crowd.loaders import DATA_VARIABLE, MOVIELENS_FOLDER
from crowd_sim.crowd.population import Population
from crowd_sim.errors import InputError
from crowd_sim.strategies import strategy

# a synthetic crowd is drawn from at least this many people, so that replicates with random selection differ
_SYNTHETIC_PEOPLE = 1000
_OWN_KEYS = ("versions", "fingerprint", "lineage", "weights")


def load_content(path: str | Path, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """A YAML file as nested dictionaries, changed by overrides such as ``crowd.n_workers=1000``.

    A run folder's own config.yaml is accepted: what it says of versions, fingerprint and the like is left out.

    Raises:
        InputError: missing or broken file, or an override that is not ``field=value``.
    """
    content = _read(path)
    for override in overrides:
        content = _changed(content, override)
    try:
        resolved = OmegaConf.to_container(content, resolve=True)
    except OmegaConfBaseException as error:
        raise InputError(error.full_key or str(path), None, f"cannot be resolved: {_problem(error)}") from None
    return {str(key): value for key, value in resolved.items() if key not in _OWN_KEYS}  # type: ignore[union-attr]


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> RunConfig:
    """A run's configuration from a YAML file and dotted overrides.

    Raises:
        InputError: the first thing that is wrong, in one line.
    """
    return RunConfig.parse(load_content(path, overrides))


def load_people(crowd: CrowdConfig) -> Population:
    """The people that a configuration's workers and targets are chosen from.

    Raises:
        InputError: the source cannot be read.
    """
    return _load_people(*people_key(crowd), _state_of(crowd.path))


def people_key(crowd: CrowdConfig) -> tuple[str, str | None, int, int]:
    """Source, path, number of people and seed: crowds with equal keys are chosen from the same people."""
    if crowd.source in ("movielens", "vectors"):  # a file has as many people as it has
        return crowd.source, crowd.path, 0, 0
    return crowd.source, crowd.path, max(_SYNTHETIC_PEOPLE, crowd.n_workers + 1), crowd.seed


_State = tuple[tuple[str, int, int], ...]


@lru_cache(maxsize=4)
def _load_people(source: str, path: str | None, n_people: int, seed: int, _files: _State) -> Population:
    people = strategy("source", source)(path, n_people - 1, seed)
    if not isinstance(people, Population):
        raise InputError("crowd.source", source, f"must return a Population, not {type(people).__name__}")
    # the house's own generator draws stars, and to look at all of them here would be to draw them all
    if not people.is_drawn and max(people.vectors.max(), -people.vectors.min()) > LARGEST_COORDINATE:
        row, column = np.argwhere(np.abs(people.vectors) > LARGEST_COORDINATE)[0]
        where = f"worker {people.ids[row]!r}, {people.features[column]}"
        allowed = f"must be within ±{LARGEST_COORDINATE:g}"
        raise InputError(f"{path or source}: {where}", float(people.vectors[row, column]), allowed)
    return people


def _state_of(path: str | None) -> _State:
    """What tells a file that has changed since it was read: people are kept while a process lives, files may change."""
    given = path or os.environ.get(DATA_VARIABLE)
    if not given:
        return ()
    names = ("ratings.csv", "movies.csv")
    root = Path(given)
    files = [root, *(folder / name for folder in (root, root / MOVIELENS_FOLDER) for name in names)]
    stats = [(str(file), file.stat()) for file in files if file.is_file()]
    return tuple((name, stat.st_mtime_ns, stat.st_size) for name, stat in stats)


def _read(path: str | Path) -> DictConfig:
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise InputError("configuration", str(path), f"cannot be read ({error.strerror})") from None
    try:
        content = OmegaConf.load(io.StringIO(data.decode("utf-8-sig")))
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(f"{path}:{line}", None, f"must be text in UTF-8 ({error.reason})") from None
    except (YAMLError, OmegaConfBaseException, ValueError, RecursionError) as error:
        raise InputError(_place(path, error), None, f"is not YAML: {_problem(error)}") from None
    except OSError:  # what OmegaConf calls a file that holds a single number
        content = None
    if not isinstance(content, DictConfig) or not content:
        raise InputError("configuration", str(path), "must be a mapping of fields to values, for example runs: 20")
    return content


def _changed(content: DictConfig, override: str) -> DictConfig:
    field, separator, value = override.partition("=")
    # OmegaConf's "???" would leave the file's value as it is
    if not separator or not field or value.strip() == "???":
        raise InputError("override", override, "must be field=value, for example crowd.n_workers=1000")
    try:
        return OmegaConf.merge(content, OmegaConf.from_dotlist([override]))  # type: ignore[return-value]
    except TypeError:
        allowed = "cannot be applied: a list cannot take the place of a group of fields, nor a group that of a list"
        raise InputError("override", override, allowed) from None
    except (YAMLError, OmegaConfBaseException, ValueError, RecursionError) as error:
        raise InputError("override", override, f"cannot be applied: {_problem(error)}") from None


def _place(path: str | Path, error: Exception) -> str:
    mark = error.problem_mark if isinstance(error, MarkedYAMLError) else None
    return f"{path}:{mark.line + 1}" if mark else str(path)


def _problem(error: Exception) -> str:
    return str(error.problem if isinstance(error, MarkedYAMLError) else error).splitlines()[0]
