"""Configurations from YAML files and dotted overrides."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from copy import deepcopy
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import MarkedYAMLError, YAMLError

from crowd_sim.config.code import EVERY_FIELD, check_code
from crowd_sim.config.places import KEY, found_from, look_up, put
from crowd_sim.config.run import RunConfig
from crowd_sim.config.shipped import located
from crowd_sim.errors import InputError
from crowd_sim.integrity import FORMAT, check_yaml

_OWN_KEYS = ("format", "versions", "fingerprint", "lineage", "weights", "digest", KEY)
"""What a run's or a sweep's folder says in its config.yaml besides the configuration."""


def load_content(path: str | Path, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """A YAML file, or a shipped configuration by name, as nested dictionaries, changed by overrides.

    A file that exists comes before a shipped configuration. An override is dotted, such as ``crowd.n_workers=1000``. A run
    folder's own config.yaml is accepted: what it says of versions, fingerprint and the like is left out.

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


def load_config(
    path: str | Path,
    overrides: Sequence[str] = (),
    *,
    handed_over: bool = False,
    trust: bool = False,
    fields: Collection[str] = EVERY_FIELD,
) -> RunConfig:
    """A run's configuration from a YAML file, or a shipped configuration such as ``quickstart``, and dotted overrides.

    The user-defined strategies that it names are loaded.

    Args:
        path: of the file. Relative paths in the config.yaml of a run's folder are looked for from where they were given.
        overrides: such as ``crowd.n_workers=1000``.
        handed_over: whether the file is of a run's folder, and so may name only what the overrides name again; one that a
            run has written is so in any case.
        trust: whether it may name anything.
        fields: where strategies are named that are needed; others are not loaded.

    Raises:
        InputError: the first thing that is wrong, in one line; a sweep's file, too.
    """
    content = load_content(path, overrides)
    for other in ("sweep", "search"):
        if other in content:
            allowed = f"has a key {other}: it is for `crowd-sim {other}`, not for a run"
            raise InputError("configuration", str(path), allowed)
    RunConfig.parse(content)  # what is wrong is told as it was given
    check_content(path, content, overrides, handed_over=handed_over, trust=trust, fields=fields)
    given, base = find_paths(path, content, overrides)
    config = RunConfig.parse(content)
    return config.given_as(given, base) if given else config


def find_paths(path: str | Path, content: dict[str, Any], overrides: Sequence[str] = ()) -> tuple[dict[str, str], Path]:
    """Put the place of what a folder's config.yaml names by relative paths into its content, where it is found from there.

    Returns:
        the paths as they were given, by field, and from which folder.
    """
    told = _read(path)
    base = Path(path).parent / str(told.get(KEY, os.curdir))
    found = found_from(base, content, _content_of(overrides)) if KEY in told else {}
    given = {field: look_up(content, field) for field in found}
    for field, place in found.items():
        put(content, field, place)
    return given, base


def check_content(
    path: str | Path,
    content: Mapping[str, Any],
    overrides: Sequence[str],
    *,
    handed_over: bool = False,
    trust: bool = False,
    fields: Collection[str] = EVERY_FIELD,
) -> None:
    """Load the user-defined strategies that a file names; the arguments are those of `load_config`.

    Raises:
        InputError: one that may not or cannot be loaded.
    """
    recorded = handed_over or any(key in _read(path) for key in _OWN_KEYS)
    check_code(content, _content_of(overrides), handed_over=recorded, trust=trust, fields=fields)


def _content_of(overrides: Sequence[str]) -> dict[str, Any]:
    content = OmegaConf.create({})
    for override in overrides:
        content = _changed(content, override)
    return OmegaConf.to_container(content)  # type: ignore[return-value]


def _read(path: str | Path) -> DictConfig:
    place = located(path)
    try:
        data = place.read_bytes()
    except OSError as error:
        raise InputError("configuration", str(path), f"cannot be read ({error.strerror})") from None
    except ValueError:  # a NUL in its name
        raise InputError("configuration", str(path), "must be a YAML file that exists") from None
    check_yaml(data, path)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(f"{path}:{line}", None, f"must be text in UTF-8 ({error.reason})") from None
    _check_decimal(text, path)
    try:
        content = OmegaConf.load(io.StringIO(_with_whole_numbers(text)))
    except (YAMLError, OmegaConfBaseException, ValueError, RecursionError) as error:
        raise InputError(_place(path, error), None, f"is not YAML: {_problem(error)}") from None
    except OSError:  # what OmegaConf calls a file that holds a single number
        content = None
    if not isinstance(content, DictConfig) or not content:
        raise InputError("configuration", str(path), "must be a mapping of fields to values, for example runs: 20")
    _check_own_keys(content)
    return content


def _check_own_keys(content: DictConfig) -> None:
    """Refuse what only a run's or a sweep's folder says, where none has said it, or one of a version to come."""
    made = content.get("fingerprint") is not None or "digest" in content
    known = content.get("format")
    for key in ("format", "versions", "lineage", "weights") if not made else ():
        if key in content:
            value = content.get(key)
            shown = value if isinstance(value, int | float | str) else None
            raise InputError(key, shown, "must be left out: it is what a folder of results says, with its fingerprint")
    if known is not None and not (isinstance(known, int) and known <= FORMAT):
        raise InputError("format", known, f"must be at most {FORMAT}: another version of crowd-sim has written it")


_NOT_DECIMAL = re.compile(r"[-+]?0[0-7_]+|[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?")
_PERHAPS = re.compile(r"(?<![\w.-])[-+]?0[0-7_]|[0-9]:[0-9]")


def _check_decimal(text: str, path: str | Path | None = None, override: str = "") -> None:
    """Refuse what YAML 1.1 reads as a number of base 8 or 60: runs: 010 would be 8 of them, 1:30 would be 90.

    Raises:
        InputError: naming the line of the file, or the override.
    """
    if _PERHAPS.search(text) is None:
        return
    try:
        nodes = list(_scalars(yaml.compose(text, Loader=yaml.SafeLoader), set()))
    except (YAMLError, ValueError, RecursionError):  # told when it is read
        return
    for node in nodes:
        if node.style is None and _NOT_DECIMAL.fullmatch(node.value):
            place = "override" if path is None else f"{path}:{node.start_mark.line + 1}"
            shown = override if path is None else node.value
            base = 60 if ":" in node.value else 8
            allowed = f"must be a decimal number (YAML takes it for one of base {base}), or a text in quotes"
            raise InputError(place, shown, allowed)


_EXPONENT = re.compile(r"[0-9]+(\.[0-9]+)?[eE]\+?[0-9]{1,2}")


def _with_whole_numbers(text: str) -> str:
    """YAML with whole numbers in digits that were written with an exponent: 1e4 is 10000, as a budget may be."""
    if _EXPONENT.search(text) is None:
        return text
    try:
        nodes = list(_scalars(yaml.compose(text, Loader=yaml.SafeLoader), set()))
    except (YAMLError, ValueError, RecursionError):  # told when it is read
        return text
    for node in sorted(nodes, key=lambda node: -node.start_mark.index):
        # a text in quotes has a style
        if node.style is None and _EXPONENT.fullmatch(node.value) and (number := Decimal(node.value)) == int(number):
            text = text[: node.start_mark.index] + str(int(number)) + text[node.end_mark.index :]
    return text


def _scalars(node: yaml.Node | None, seen: set[int]) -> Iterator[yaml.ScalarNode]:
    """All values, each once however often it is referred to; no keys."""
    if node is None or id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.ScalarNode):
        yield node
    elif isinstance(node, yaml.SequenceNode):
        for part in node.value:
            yield from _scalars(part, seen)
    elif isinstance(node, yaml.MappingNode):
        for _, part in node.value:
            yield from _scalars(part, seen)


def _changed(content: DictConfig, override: str) -> DictConfig:
    field, separator, value = override.partition("=")
    parts = _PARTS.split(field.removesuffix("]"))
    # OmegaConf's "???" would leave the file's value as it is
    if not separator or not all(parts) or value.strip() == "???":
        raise InputError("override", override, "must be field=value, for example crowd.n_workers=1000")
    if parts[0] in _OWN_KEYS:
        raise InputError(field, value, "must be left out: it is what a folder of results says of itself")
    _check_decimal(value, override=override)
    try:
        given = OmegaConf.from_dotlist([f"{field}={_with_whole_numbers(value)}"])
        if _is_entry(content, parts):
            changed = deepcopy(content)
            OmegaConf.update(changed, ".".join(parts), OmegaConf.select(given, field))
            return changed
        return OmegaConf.merge(content, given)  # type: ignore[return-value]
    except TypeError:
        allowed = (
            "cannot be applied: a list cannot take the place of a group of fields, nor a group that of a list: give all of it, "
            "crowd.bad=[{behaviour: lazy}], or a field of an entry, crowd.bad.0.share=0.2"
        )
        raise InputError("override", override, allowed) from None
    except (YAMLError, OmegaConfBaseException, ValueError, RecursionError) as error:
        raise InputError("override", override, f"cannot be applied: {_problem(error)}") from None


_PARTS = re.compile(r"\]?[.\[]")


def _is_entry(content: DictConfig, parts: Sequence[str]) -> bool:
    """Whether a field is of an entry of a list that is there: crowd.bad.0.share."""
    for i, part in enumerate(parts):
        held = OmegaConf.select(content, ".".join(parts[:i])) if i else content
        if isinstance(held, ListConfig):
            return part.isdecimal() and int(part) < len(held)
    return False


def _place(path: str | Path, error: Exception) -> str:
    mark = error.problem_mark if isinstance(error, MarkedYAMLError) else None
    return f"{path}:{mark.line + 1}" if mark else str(path)


def _problem(error: Exception) -> str:
    if "node expansion" in str(error):
        return "its aliases stand for too many values"
    return str(error.problem if isinstance(error, MarkedYAMLError) else error).splitlines()[0]
