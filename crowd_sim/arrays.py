"""Named arrays and a JSON header as bytes, and back: data only, so that reading runs no code.

The layout is that of safetensors, written and read without the package, which comes with the extra `llm` only: eight bytes with
the length of the head; the head, JSON with each array's type, shape and place, padded with blanks to a multiple of eight; the
arrays' contents, little-endian, one after the other in the order of their names. A nested mapping's names are joined by `/`.
Equal content becomes equal bytes, and only bytes that `pack` can have made are read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from math import prod
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

FORMAT = 1
"""Of the layout; a reader refuses any other."""

Arrays: TypeAlias = "Mapping[str, NDArray[Any] | Arrays]"
"""Arrays by name, or mappings of them; a name has no `/`."""

_SEPARATOR = "/"
_METADATA = "__metadata__"
_LENGTH = 8
_MOST_DIMENSIONS = 32
_LARGEST = 1 << 48
"""Of an axis, of a product of axes: below what NumPy can count, above what anyone has."""

_NAMES = {
    np.dtype(kind): name
    for kind, name in (
        ("?", "BOOL"),
        ("i1", "I8"),
        ("u1", "U8"),
        ("<i2", "I16"),
        ("<u2", "U16"),
        ("<i4", "I32"),
        ("<u4", "U32"),
        ("<i8", "I64"),
        ("<u8", "U64"),
        ("<f2", "F16"),
        ("<f4", "F32"),
        ("<f8", "F64"),
    )
}
_TYPES = {name: kind for kind, name in _NAMES.items()}


def pack(arrays: Arrays, header: Mapping[str, Any] | None = None) -> bytes:
    """Arrays of booleans and numbers, and a header of what JSON has, as bytes.

    A mapping without any array in it is not there when it is read.

    Raises:
        ValueError: an array of another type, or a name that cannot be used.
        TypeError: a header with something that JSON does not have.
    """
    flat = dict(sorted(_flat(arrays, "")))
    head = _head({name: (_NAMES[array.dtype], array.shape) for name, array in flat.items()}, header or {})
    return b"".join([len(head).to_bytes(_LENGTH, "little"), head, *(array.reshape(-1).data for array in flat.values())])


def unpack(content: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """The arrays, writable and nested as they were, and the header.

    Raises:
        ValueError: anything that `pack` has not made; nothing is allocated for it beyond its own size.
    """
    view = memoryview(content)
    length = int.from_bytes(view[:_LENGTH], "little")
    if len(view) < _LENGTH or length > len(view) - _LENGTH:
        raise ValueError("cut short before the arrays begin")
    head = bytes(view[_LENGTH : _LENGTH + length])
    kinds, header = _described(head)
    if head != _head(kinds, header):
        raise ValueError("the head is not as it would have been written")
    body = view[_LENGTH + length :]
    sizes = {name: _size(kind, shape) for name, (kind, shape) in kinds.items()}
    if sum(sizes.values()) != len(body):
        raise ValueError(f"{len(body)} bytes of arrays where the head tells of {sum(sizes.values())}")
    tree: dict[str, Any] = {}
    start = 0
    for name, (kind, shape) in kinds.items():
        array = np.frombuffer(body[start : start + sizes[name]], dtype=_TYPES[kind]).reshape(shape).copy()
        if kind == "BOOL" and array.size and array.view(np.uint8).max() > 1:
            raise ValueError(f"{name} has truth values other than 0 and 1")
        _place(tree, name, array)
        start += sizes[name]
    return tree, header


def packable(given: Any) -> NDArray[Any] | None:
    """A number, or an array, or nested lists, of numbers or booleans as the array that `unpack` would give back; else None."""
    try:
        array = np.asarray(given)
    except ValueError:  # lists of different lengths
        return None
    array = _little_endian(array)
    return array if array.dtype in _NAMES else None


def with_digest(body: bytes) -> bytes:
    """Bytes behind their SHA-256."""
    return hashlib.sha256(body).digest() + body


def without_digest(content: bytes) -> bytes:
    """What `with_digest` was given.

    Raises:
        ValueError: it is not what was written.
    """
    checksum, body = content[:32], content[32:]
    if hashlib.sha256(body).digest() != checksum:
        raise ValueError("damaged")
    return body


def _flat(arrays: Arrays, before: str) -> list[tuple[str, NDArray[Any]]]:
    found: list[tuple[str, NDArray[Any]]] = []
    for name, given in arrays.items():
        if not is_name(name):
            raise ValueError(f"{name!r} cannot name an array")
        path = before + name
        if isinstance(given, Mapping):
            found += _flat(given, path + _SEPARATOR)
            continue
        array = _little_endian(given)
        if array.dtype not in _NAMES:
            raise ValueError(f"{path} is an array of {array.dtype}; only booleans and numbers can be kept")
        found.append((path, array))
    return found


def _little_endian(array: NDArray[Any]) -> NDArray[Any]:
    """The same array, row by row; no copy where it is so already."""
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).reshape(array.shape)


def is_name(name: object) -> bool:
    """Whether an array may have this name."""
    return isinstance(name, str) and bool(name) and _SEPARATOR not in name and name != _METADATA


def _head(kinds: Mapping[str, tuple[str, tuple[int, ...]]], header: Mapping[str, Any]) -> bytes:
    stop = 0
    entries: dict[str, Any] = {_METADATA: {"format": str(FORMAT), "header": _json(header)}}
    for name, (kind, shape) in sorted(kinds.items()):
        start, stop = stop, stop + _size(kind, shape)
        entries[name] = {"dtype": kind, "shape": list(shape), "data_offsets": [start, stop]}
    head = _json(entries).encode("ascii")
    return head + b" " * (-len(head) % _LENGTH)


def _json(content: Mapping[str, Any]) -> str:
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _size(kind: str, shape: tuple[int, ...]) -> int:
    return prod(shape) * _TYPES[kind].itemsize


def _described(head: bytes) -> tuple[dict[str, tuple[str, tuple[int, ...]]], dict[str, Any]]:
    """Types and shapes by name, and the header; neither can be more than the head has room for."""
    try:
        entries = json.loads(head.decode("ascii"))
        metadata = entries.pop(_METADATA)
        if metadata["format"] != str(FORMAT):
            raise ValueError(f"of format {metadata['format']!r}, where {FORMAT} can be read")
        header = json.loads(metadata["header"])
        kinds = {name: (entry["dtype"], tuple(entry["shape"])) for name, entry in sorted(entries.items())}
    except (KeyError, TypeError, AttributeError, RecursionError):
        raise ValueError("the head is not one of arrays") from None
    if not isinstance(header, dict):
        raise ValueError("the header is no mapping")  # noqa: TRY004 - bad content, not a bug
    for name, (kind, shape) in kinds.items():
        if not all(map(is_name, name.split(_SEPARATOR))):
            raise ValueError(f"{name!r} cannot name an array")
        if not isinstance(kind, str) or kind not in _TYPES:
            raise ValueError(f"{name} is of no type that can be read")
        if len(shape) > _MOST_DIMENSIONS or not all(type(axis) is int and 0 <= axis <= _LARGEST for axis in shape):
            raise ValueError(f"{name} has no shape that can be read")
        if prod(axis for axis in shape if axis) > _LARGEST:
            raise ValueError(f"{name} is too large")
    return kinds, header


def _place(tree: dict[str, Any], name: str, array: NDArray[Any]) -> None:
    *parents, leaf = name.split(_SEPARATOR)
    for parent in parents:
        tree = tree.setdefault(parent, {})
        if not isinstance(tree, dict):
            raise ValueError(f"{name} lies in an array")  # noqa: TRY004 - bad content, not a bug
    tree[leaf] = array
