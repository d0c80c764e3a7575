"""Files and folders that a configuration names by relative paths: found again from another folder.

A run's folder keeps such paths as they were given, and in `working_folder` where from, seen from the folder itself: the folder
and what it names may move together. What is no longer there is looked for in the folder one works in.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

KEY = "working_folder"
_PACKAGED = ("smollm2-135m", "minilm")
"""Names of models that are no folders, whatever folders there are."""


def relative_paths(content: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Fields of a configuration that may name a file or a folder by a relative path, and the paths."""
    fields = ["crowd.path", "task.model", "task.phi.model", "task.expert", "task.adapter"]
    if look_up(content, "crowd.source") in ("feedback", "records"):
        fields.append("crowd.target")
    for field in fields:
        path = look_up(content, field)
        if isinstance(path, str) and path and path not in _PACKAGED and not Path(path).is_absolute():
            yield field, path


def found_from(base: Path, content: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, str]:
    """Absolute paths by field, of what is there from another folder than the one that one works in; not of overrides."""
    # os.path takes what may not be read, or cannot be a name, for absent
    if not os.path.isdir(base) or base.samefile(Path.cwd()):  # noqa: PTH112
        return {}
    return {
        field: str(base.resolve() / path)
        for field, path in relative_paths(content)
        if look_up(overrides, field) is None and os.path.exists(base / path)  # noqa: PTH110
    }


def seen_from(folder: Path, base: Path) -> str:
    """The path of `base` as it is written in a folder: relative, so that both may move, if there is such a path."""
    try:
        return Path(os.path.relpath(base.resolve(), folder.resolve())).as_posix()
    except ValueError:  # on another drive
        return str(base.resolve())


def look_up(content: Any, field: str) -> Any:
    """The value of a dotted field in nested dictionaries; None where there is none."""
    for part in field.split("."):
        content = content.get(part) if isinstance(content, Mapping) else None
    return content


def put(content: dict[str, Any], field: str, value: Any) -> None:
    """Set a dotted field in nested dictionaries that have it."""
    *parents, leaf = field.split(".")
    for part in parents:
        content = content[part]
    content[leaf] = value
