"""Digests that files carry, or that another file has of them: what was written is read, or refused.

A sealed mapping has a `format` and, last, a `digest` of the rest. Whoever has one of the two must have both, so that no single
change takes the seal away; who has neither is of a version that knew no seals, and is read as it is.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from crowd_sim.errors import InputError
from crowd_sim.paths import is_file

FORMAT = 3
"""Of folders: what their files say and how. Format 2 had no digests; folders of format 1 have no number."""

FILES = "files"
"""Key under which a sealed mapping has the SHA-256 of files, by their paths in the folder."""

MANIFEST = "report.sha256"
"""SHA-256 of a report's page and figures, as `sha256sum --check` reads them."""

_DIGEST = "digest"
_FIRST, _LAST = f"format: {FORMAT}\n", f"{_DIGEST}: "
_EDITED = "it is not what its digest says; to edit a copy, take away its lines format and digest"


class DamagedError(InputError):
    """A file is not what was written."""

    def __init__(self, path: object, why: str = "it is not what its digest says") -> None:
        self._given = (path, why)
        super().__init__(str(path), None, f"is damaged: {why}")

    def __reduce__(self) -> tuple[type[DamagedError], tuple[Any, ...]]:
        return type(self), self._given


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's content, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digests_of(folder: Path, paths: Iterable[Path]) -> dict[str, str]:
    """SHA-256 of files by their paths in the folder, in the order of these."""
    return {path.relative_to(folder).as_posix(): sha256_of(path) for path in sorted(paths)}


def sealed(content: Mapping[str, Any]) -> dict[str, Any]:
    """The content with its format first and its digest last."""
    told = {"format": FORMAT, **content}
    told.pop(_DIGEST, None)
    return {**told, _DIGEST: _digest(told)}


def unsealed(content: Any, path: object) -> dict[str, Any]:
    """The content without format and digest, of a mapping that may be sealed.

    Raises:
        DamagedError: it is no mapping, or it was sealed as something else.
    """
    if not isinstance(content, dict):
        raise DamagedError(path, "it is no mapping")
    told = {key: value for key, value in content.items() if key != _DIGEST}
    if _DIGEST in content or content.get("format") == FORMAT:
        try:
            whole = content.get(_DIGEST) == _digest(told)
        except (TypeError, ValueError, RecursionError):  # keys that no text of ours has
            whole = False
        if not whole:
            raise DamagedError(path)
    return {key: value for key, value in told.items() if key != "format"}


def sealed_yaml(text: str) -> str:
    """The text of a YAML mapping between a line for its format and one for its digest."""
    told = f"{_FIRST}{text}"
    return f"{told}{_LAST}{hashlib.sha256(told.encode()).hexdigest()}\n"


def check_yaml(content: bytes, path: object) -> None:
    """Refuse the text of a YAML mapping that was sealed as another one.

    Raises:
        DamagedError: it was.
    """
    told, last, digest = content.rpartition(_LAST.encode())
    is_sealed = bool(last) and told.endswith(b"\n")
    is_whole = is_sealed and digest == hashlib.sha256(told).hexdigest().encode() + b"\n"
    if not is_whole and (is_sealed or content.startswith(_FIRST.encode())):
        raise DamagedError(path, _EDITED)


def check_sealed(folder: Path) -> None:
    """Refuse a folder's config.yaml without its seal beside results that have theirs: it may say anything of them.

    Raises:
        DamagedError: it is so.
    """
    config = folder / "config.yaml"
    try:
        results = json.loads((folder / "summary.json").read_bytes())
        is_sealed = config.read_bytes().startswith(_FIRST.encode())
    except (OSError, ValueError, RecursionError):  # told where it is read
        return
    if not is_sealed and isinstance(results, dict) and results.get("format") == FORMAT:
        raise DamagedError(config, f"its lines format and digest are gone, and {folder.name}/summary.json has its own")


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object written by `crowd_sim.files.write_json`, without what seals it.

    Raises:
        OSError: it cannot be read.
        DamagedError: it is not what was written.
    """
    try:
        content = json.loads(path.read_bytes().decode())
    except json.JSONDecodeError as error:
        raise DamagedError(f"{path}:{error.lineno}", f"it must be JSON ({error.msg})") from None
    except (ValueError, RecursionError):
        raise DamagedError(path, "it must be JSON in UTF-8") from None
    return unsealed(content, path)


def check_file(folder: Path, name: str) -> None:
    """Refuse a file of a folder that is not the one whose digest summary.json, timing.json or values.json has.

    Raises:
        InputError: it is not there, or there is no summary.json where one is needed.
        DamagedError: it is another one, or its digest is not there.
    """
    known: dict[str, str] = {}
    has_digests = False
    for source in ("summary.json", "timing.json", "values.json"):
        try:
            told = read_json(folder / source)
        except OSError:
            continue
        has_digests |= FILES in told
        known |= told.get(FILES, {})
    path, config = folder / name, folder / "config.yaml"
    if not has_digests:
        if is_file(config) and config.read_bytes().startswith(_FIRST.encode()):
            raise InputError("folder", str(folder), "must hold summary.json")
        return  # of an earlier version
    try:
        found = sha256_of(path)
    except OSError as error:
        raise InputError(str(path), None, f"must be a file that can be read ({error.strerror})") from None
    if found != known.get(name):
        raise DamagedError(
            path, "its SHA-256 is not the one that was written; the same command, given again, makes it anew"
        )


def _digest(content: Mapping[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
