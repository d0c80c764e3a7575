"""Digests of what a run's folder holds, one for each column: a failure names what changed, and more columns are no failure."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

Digests = dict[str, dict[str, str]]
"""File -> column, or place in a summary -> SHA-256."""

_OF_TIME = {"seconds"}
_OF_PLACE = ("fingerprint", "learner.weights")  # of paths; of a model's files, whose bytes are another library's
_OF_BYTES = (
    "format",
    "files.",
    "digest",
)  # of what is here by column, packed as another version of Arrow may do differently


def digests(folder: Path) -> Digests:
    """Of every table, the summary and every adapter below a run's or a sweep's folder."""
    found: Digests = {}
    for path in sorted(folder.glob("*.parquet")):
        table = pq.read_table(path)
        found[path.name] = {n: _column(table.column(n)) for n in table.column_names if n not in _OF_TIME}
    if (folder / "summary.json").exists():
        summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        found["summary.json"] = {
            name: _sha(json.dumps(value, sort_keys=True).encode())
            for name, value in _leaves(summary)
            if not name.startswith(_OF_PLACE + _OF_BYTES)
        }
    for path in sorted(folder.glob("adapter/*/*.safetensors")):
        found[path.relative_to(folder).as_posix()] = {"weights": _weights(path)}
    return found


def _column(column: pa.ChunkedArray) -> str:
    """Of its values, not of how Parquet packs them, which another version of Arrow may do differently."""
    kind, known = column.type, np.asarray(column.is_valid())
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        values = np.asarray(column.fill_null(0))
        content = str(values.dtype).encode() + known.tobytes() + values.astype(values.dtype.newbyteorder("<")).tobytes()
    else:
        content = json.dumps(column.to_pylist()).encode()
    return _sha(content)


def _leaves(node: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if not isinstance(node, dict):
        yield prefix.removesuffix("."), node
        return
    for key, value in node.items():
        yield from _leaves(value, f"{prefix}{key}.")


def _weights(path: Path) -> str:
    from safetensors.numpy import load_file

    found = hashlib.sha256()
    for name, weights in sorted(load_file(path).items()):
        found.update(f"{name} {weights.dtype} {weights.shape} ".encode() + weights.tobytes())
    return found.hexdigest()


def _sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
