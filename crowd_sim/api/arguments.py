"""What the functions are given: a configuration in any form, changes to it, a folder, trackers, progress."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from difflib import get_close_matches
from functools import wraps
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np

from crowd_sim.config import RunConfig
from crowd_sim.config.code import check_code
from crowd_sim.config.io import check_content, load_config, load_content
from crowd_sim.errors import InputError
from crowd_sim.progress import Progress, in_place, quiet

if TYPE_CHECKING:
    from crowd_sim.crowd.population import Population
    from crowd_sim.trackers import Named

_F = TypeVar("_F", bound=Callable[..., Any])


def as_arguments(face: _F) -> _F:
    """Errors name arguments, ``out``, where commands have options of that name, ``--out``."""

    @wraps(face)
    def named(*given: Any, **others: Any) -> Any:
        try:
            return face(*given, **others)
        except InputError as error:
            if not error.field.startswith("--"):
                raise
            raise InputError(error.field[2:].replace("-", "_"), error.value, error.allowed) from None

    return cast("_F", named)


def folder_of(out: Any) -> Path | None:
    """The folder that is wanted, if any.

    Raises:
        InputError: no path.
    """
    if out is None:
        return None
    if not isinstance(out, str | os.PathLike) or not str(out):
        raise InputError("out", out, "must be the path of a folder, or None")
    return Path(out)


def trackers_of(given: Any) -> list[Named]:
    """Trackers by name.

    Raises:
        InputError: no list, or something in it that is no tracker.
    """
    from crowd_sim.trackers import tracker_of

    if isinstance(given, str) or not isinstance(given, Sequence):
        raise InputError("trackers", given, 'must be a list of names or objects, for example ["tensorboard"]')
    return [tracker_of(one) for one in given]


@contextmanager
def reporting(progress: Progress | bool | None) -> Iterator[Progress]:
    """Yield what progress is told to: bars, nothing, or the callable.

    Raises:
        InputError: neither of these.
    """
    if progress is True:
        from rich.console import Console

        from crowd_sim.commands.progress import shown

        plain = Console(markup=False, emoji=False)
        with in_place(sys.stderr) if "ipykernel" in sys.modules else shown(plain) as report:
            yield report
    elif not progress:
        yield quiet
    elif callable(progress):
        yield progress
    else:
        raise InputError("progress", progress, "must be True, or a callable that takes (stage, done, total, note)")


def changes_of(face: Callable[..., Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields by dotted name; what is more like an argument's name than a field is refused as that."""
    arguments = [name for name in signature(face).parameters if name != "fields"]
    for name, value in fields.items():
        if name.partition("__")[0] not in RunConfig.model_fields:
            for near in get_close_matches(name, arguments, 1, 0.75):
                raise InputError(name, value, f"is no argument and no field of the configuration; perhaps {near}")
    return {name.replace("__", "."): value for name, value in fields.items()}


def check_address(ray_address: Any) -> None:
    """Raise an InputError unless it may be where Ray is."""
    if not isinstance(ray_address, str | None) or ray_address == "":
        raise InputError("ray_address", ray_address, 'must be "none", None, "auto", "host:port" or "ray://host:port"')


def config_of(config: Any, changes: Mapping[str, Any], trust: bool) -> RunConfig:
    """The configuration of a run, changed; the code that it names may be loaded.

    Raises:
        InputError: none, or one with what is not allowed.
    """
    if isinstance(config, str | os.PathLike):
        return load_config(Path(config), overrides_of(changes), trust=trust)
    if isinstance(config, RunConfig) and not changes:
        return config
    return RunConfig.parse(content_of(config, changes, trust))


def content_of(config: Any, changes: Mapping[str, Any], trust: bool) -> dict[str, Any]:
    """The configuration as nested dictionaries, changed; the code that it names may be loaded."""
    if isinstance(config, str | os.PathLike):
        content = load_content(Path(config), overrides_of(changes))
        check_content(Path(config), content, overrides_of(changes), trust=trust)
        return content
    if isinstance(config, RunConfig):
        config = config.model_dump(exclude_unset=True)
    if not isinstance(config, Mapping):
        allowed = (
            "must be a RunConfig, the path of a file, the name of a configuration that ships, or nested dictionaries"
        )
        raise InputError("config", config, allowed)
    content = deepcopy(dict(config))
    for field, value in changes.items():
        *parents, leaf = field.split(".")
        node = content
        for parent in parents:
            if node.get(parent) is None:
                node[parent] = {}
            node = node[parent]
            if not isinstance(node, dict):
                raise InputError(field, value, f"cannot be set: {parent} is not a group of fields")
        node[leaf] = _plain(value)
    check_code(content, content, handed_over=False, trust=True)
    return content


def with_crowd(content: dict[str, Any], people: Population, folder: Path | None) -> dict[str, Any]:
    """The content with a given crowd, which the folder keeps, for its source."""
    from crowd_sim.crowd.sources.given import FILE

    given = {"source": "vectors", "path": None if folder is None else str(folder.resolve() / FILE)}
    section = content.get("crowd") or {}
    if not isinstance(section, Mapping):  # parsing says what is wrong
        return content
    return {**content, "crowd": {"n_workers": max(1, people.n_workers - 1), **section, **given}}


def overrides_of(changes: Mapping[str, Any]) -> list[str]:
    """Changes as the command line takes them."""
    return [f"{field}={_yaml(field, value)}" for field, value in changes.items()]


def _yaml(field: str, value: Any) -> str:
    try:
        return json.dumps(_plain(value), ensure_ascii=False)
    except TypeError:
        allowed = (
            f"must be a number, text, a truth value, or lists or dictionaries of these, not {type(value).__name__}"
        )
        raise InputError(field, None, allowed) from None


def _plain(value: Any) -> Any:
    """A value as a YAML file would have it: of numbers of NumPy, paths and tuples, what stands for them there."""
    if isinstance(value, os.PathLike):
        return str(value)
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, tuple | list | range):
        return [_plain(inner) for inner in value]
    return value
