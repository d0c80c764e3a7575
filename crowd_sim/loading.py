"""Configurations from YAML files and dotted overrides, and the people they name."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import MarkedYAMLError, YAMLError

from crowd_sim.config import CrowdConfig, RunConfig
from crowd_sim.crowd.population import Population
from crowd_sim.errors import InputError
from crowd_sim.strategies import strategy

# a synthetic crowd is drawn from at least this many people, so that replicates with random selection differ
_SYNTHETIC_PEOPLE = 1000
_OWN_KEYS = ("versions", "fingerprint")


def load_content(path: str | Path, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """A YAML file as nested dictionaries, changed by overrides such as ``crowd.n_workers=1000``.

    A run folder's own config.yaml is accepted: what it says of versions and fingerprint is left out.

    Raises:
        InputError: missing or broken file, or an override that is not ``field=value``.
    """
    content: Any
    try:
        content = OmegaConf.load(path)
    except OSError as error:
        raise InputError("configuration", str(path), f"cannot be read ({error.strerror})") from None
    except (YAMLError, OmegaConfBaseException, UnicodeDecodeError) as error:
        raise InputError(_place(path, error), None, f"is not YAML: {_problem(error)}") from None
    if not OmegaConf.is_dict(content):
        raise InputError("configuration", str(path), "must be a mapping of fields to values")
    for override in overrides:
        field, separator, _ = override.partition("=")
        if not separator or not field:
            raise InputError("override", override, "must be field=value, for example crowd.n_workers=1000")
        try:
            content = OmegaConf.merge(content, OmegaConf.from_dotlist([override]))
        except (YAMLError, OmegaConfBaseException, ValueError) as error:
            raise InputError("override", override, f"cannot be applied: {_problem(error)}") from None
    try:
        resolved = OmegaConf.to_container(content, resolve=True)
    except OmegaConfBaseException as error:
        raise InputError("configuration", str(path), f"cannot be resolved: {_problem(error)}") from None
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
    return _load_people(*people_key(crowd))


def people_key(crowd: CrowdConfig) -> tuple[str, str | None, int, int]:
    """Source, path, number of people and seed: crowds with equal keys are chosen from the same people."""
    if crowd.source in ("movielens", "vectors"):  # a file has as many people as it has
        return crowd.source, crowd.path, 0, 0
    return crowd.source, crowd.path, max(_SYNTHETIC_PEOPLE, crowd.n_workers + 1), crowd.seed


@lru_cache(maxsize=4)
def _load_people(source: str, path: str | None, n_people: int, seed: int) -> Population:
    people = strategy("source", source)(path, n_people - 1, seed)
    if not isinstance(people, Population):
        raise InputError("crowd.source", source, f"must return a Population, not {type(people).__name__}")
    return people


def _place(path: str | Path, error: Exception) -> str:
    mark = error.problem_mark if isinstance(error, MarkedYAMLError) else None
    return f"{path}:{mark.line + 1}" if mark else str(path)


def _problem(error: Exception) -> str:
    return str(error.problem if isinstance(error, MarkedYAMLError) else error).splitlines()[0]
