"""Files that are whole or not there: written under a temporary name, flushed, renamed."""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import re
import tempfile
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from crowd_sim.arrow import arrow_file
from crowd_sim.errors import InputError, RemovedError, StorageError
from crowd_sim.integrity import FORMAT, DamagedError, check_yaml, sealed, sealed_yaml
from crowd_sim.paths import exists, is_file

if TYPE_CHECKING:  # importing it costs half a second, and a run's tables are its last work
    import pandas as pd
    import pyarrow as pa

_LEFT_EARLY = re.compile(r"\..+\.[0-9]+\.part|(run|status-[0-9]+-of-[0-9]+)\.lock|crowd\.parquet")
_FACTS = b"crowd_sim"
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")  # s3://…, as pathlib leaves it
_VERSIONS = ("crowd-sim", "numpy", "scipy", "numba", "pandas", "pyarrow", "ray")
_OF_MODELS = ("torch", "transformers", "peft")


def fingerprint_of(determinants: Mapping[str, Any], identity: Iterable[bytes] = ()) -> str:
    """SHA-256 of what results depend on: the configuration without its actors, and what tells the crowd."""
    digest = hashlib.sha256(json.dumps(determinants, sort_keys=True).encode())
    for piece in identity:
        digest.update(len(piece).to_bytes(8, "little"))  # without a doubt where a piece ends
        digest.update(piece)
    return digest.hexdigest()


def make_folder(folder: Path) -> None:
    """Make a folder for results, or check that the one that is there can be written.

    Raises:
        InputError: it cannot be written, or is none of this machine's.
    """
    if _ADDRESS.match(str(folder)):
        raise InputError("--out", str(folder), "must be a folder of this machine, not an address")
    try:
        str(folder).encode()
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError("--out", str(folder), f"must be a folder that can be written ({error.strerror})") from None
    except ValueError:  # bytes that are no text, or a NUL
        raise InputError("--out", str(folder), "must be a name in UTF-8") from None


def open_folder(folder: Path, fingerprint: str) -> None:
    """Make a run folder, or check that the one that is there belongs to the same configuration.

    Raises:
        InputError: the folder cannot be written, or holds something else, or another version has made it.
    """
    make_folder(folder)
    found = None
    if exists(folder / "config.yaml"):
        content = read_config(folder)
        check_format(folder, content)
        found = content.get("fingerprint")
    elif all(_LEFT_EARLY.fullmatch(path.name) for path in folder.iterdir()):
        return  # new, or left by a process that was killed before it had written anything
    if found is None:
        raise InputError("--out", str(folder), "must be a new or empty folder, or one this configuration has made")
    if found != fingerprint:
        raise InputError(
            "--out",
            str(folder),
            f"must be another folder: this one holds results of another configuration (fingerprint {str(found)[:12]})",
        )


def check_format(folder: Path, content: Mapping[str, Any]) -> None:
    """Refuse to go on in a folder of another version, finished or not: its tables would come from two of them.

    Args:
        folder: of a run or a sweep.
        content: what `read_config` says of it.

    Raises:
        InputError: its format is not this version's.
    """
    if content.get("fingerprint") is None or content.get("format") == FORMAT:
        return
    versions = content.get("versions")
    made = versions.get("crowd-sim", "unknown") if isinstance(versions, dict) else "unknown"
    known = content.get("format", 1)
    age = "an earlier" if isinstance(known, int) and known < FORMAT else "another"
    allowed = (
        f"must be another folder: this one was made by {age} version (crowd-sim {made}, format {known}, not "
        f"{FORMAT}); it can be read (report, status, value, pandas) but not gone on with"
    )
    raise InputError("--out", str(folder), allowed)


def read_config(folder: Path) -> dict[str, Any]:
    """The resolved configuration of a run folder with `versions` and `fingerprint`.

    Raises:
        InputError: there is none that can be read.
    """
    path = folder / "config.yaml"
    allowed = "must be a run's or a sweep's folder: it has no config.yaml that can be read"
    try:
        text = path.read_bytes()
        check_yaml(text, path)
        content = OmegaConf.to_container(OmegaConf.load(io.StringIO(text.decode())))
    except DamagedError:
        raise
    except (OSError, ValueError, YAMLError, OmegaConfBaseException, RecursionError):
        raise InputError("folder", str(folder), allowed) from None
    return {str(key): value for key, value in content.items()} if isinstance(content, dict) else {}


def write_config(folder: Path, content: Mapping[str, Any], fingerprint: str) -> None:
    """Write config.yaml: the resolved configuration, the versions that matter to results, the fingerprint.

    Of a run that is complete the versions stay those that it was made with.
    """
    found: dict[str, Any] = {**content, "versions": _versions(content), "fingerprint": fingerprint}
    if exists(folder / "summary.json") and "versions" in (before := read_config(folder)):
        found["versions"] = before["versions"]
    write_text(folder / "config.yaml", sealed_yaml(OmegaConf.to_yaml(OmegaConf.create(found))))


def _versions(content: Mapping[str, Any]) -> dict[str, str]:
    """Of Python and of what computes; of the libraries of language models where one is tuned."""
    task = content.get("task")
    models = _OF_MODELS if isinstance(task, Mapping) and task.get("kind") not in (None, "vector") else ()
    found = {name: version(name) for name in _VERSIONS}
    for name in models:
        with suppress(PackageNotFoundError):  # the driver of a cluster may do without them
            found[name] = version(name)
    return {"python": platform.python_version(), **found}


def check_not_removed(folder: Path) -> None:
    """See that the folder of a run or sweep that is at work is still there, before anything is written that would make it anew.

    Raises:
        RemovedError: it is not.
    """
    if not exists(folder / "config.yaml"):
        raise RemovedError(folder)


def write_table(path: Path, table: pd.DataFrame, facts: Mapping[str, Any] | None = None) -> None:
    """Write a Parquet table with page checksums, and ``facts`` about it as JSON; equal ones become equal bytes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    arrow = pa.Table.from_pandas(table, preserve_index=False)
    if facts is not None:
        arrow = arrow.replace_schema_metadata({**(arrow.schema.metadata or {}), _FACTS: json.dumps(facts)})

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:  # given a name, Arrow would take one like a:b for an address
            pq.write_table(arrow, file, write_page_checksum=True)

    replace_file(path, write)


def arrow_table(content: bytes) -> pa.Table:
    """The table of a Parquet file's bytes, read by this thread alone; raises what Arrow raises of a damaged one."""
    import pyarrow.parquet as pq

    return pq.ParquetFile(arrow_file(content), page_checksum_verification=True).read(use_threads=False)


def read_table(path: Path) -> pd.DataFrame | None:
    """A table written by `write_table`, or None where it is damaged."""
    import pyarrow as pa

    try:
        return arrow_table(path.read_bytes()).to_pandas()
    except (OSError, pa.ArrowException):
        return None


def read_facts(path: Path) -> dict[str, Any] | None:
    """What `write_table` was told about a table; None where there is none, or it says nothing."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        facts = json.loads((pq.read_schema(arrow_file(path.read_bytes())).metadata or {})[_FACTS])
    except (OSError, pa.ArrowException, KeyError, ValueError):
        return None
    return facts if isinstance(facts, dict) else None


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON; NaN is refused, as JSON has none."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def write_sealed(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON that `crowd_sim.integrity.read_json` reads, or refuses where it has changed."""
    write_json(path, sealed(content))


def append_lines(path: Path, lines: Iterable[Mapping[str, Any]]) -> None:
    """Add JSON lines to a log; it is opened anew each time, so that a full disk shows here and not when it is closed.

    Raises:
        StorageError: they cannot be written.
    """
    content = "".join(json.dumps(sealed(json.loads(json.dumps(line, default=str)))) + "\n" for line in lines)
    try:
        with path.open("ab", buffering=0) as file:
            before = file.tell()
            try:
                rest = memoryview(content.encode())
                while rest:  # a disk that is nearly full takes a part
                    rest = rest[file.write(rest) :]
            except OSError:
                with suppress(OSError):  # no half a line, to which the next one would be added
                    file.truncate(before)
                raise
    except OSError as error:
        raise StorageError(path, error.strerror or str(error)) from error


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text."""
    replace_file(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def write_bytes(path: Path, content: bytes) -> None:
    """Write bytes."""
    replace_file(path, lambda temporary: temporary.write_bytes(content))


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Have `write` fill a temporary file and put it in the place of `path`, on disk for good when this returns.

    Raises:
        StorageError: it cannot be written, or something is there that is no file (a device, say); that is still there then.
    """
    if exists(path) and not is_file(path):
        raise StorageError(path, "it is no regular file")
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            write(temporary)
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
            _sync_folder(path.parent)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(path, error.strerror or str(error)) from error


def _sync_folder(folder: Path) -> None:
    """Without this a power cut could take the new name back."""
    if hasattr(os, "O_DIRECTORY"):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
