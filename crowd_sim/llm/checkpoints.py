"""Stages on disk: what a stage left is read back by the run that goes on, or made again where it cannot be read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from crowd_sim.files import write_bytes
from crowd_sim.llm.experiment import Stage
from crowd_sim.models.adapters import Adapter


@dataclass(frozen=True)
class FolderMemo:
    """See `crowd_sim.llm.experiment.Memo`: a file of safetensors per stage, written whole, with a checksum.

    Attributes:
        folder: of one run folder, so of one configuration.
    """

    folder: Path

    def __call__(self, name: str, make: Callable[[], Stage]) -> Stage:
        """What the stage left, made anew where it is not there or damaged."""
        from safetensors.numpy import save

        path = self.folder / f"{name}.safetensors"
        stage = _read(path)
        if stage is None:
            record, adapter = make()
            text = json.dumps(record)
            # safetensors refuses a file without tensors
            arrays = {**(adapter or {}), _MARK: np.array([adapter is not None])}
            write_bytes(path, save(arrays, {"record": text, "sha256": _checksum(text, adapter)}))
            stage = json.loads(text), adapter
        return stage


_MARK = "has adapter"


def _read(path: Path) -> Stage | None:
    from safetensors import SafetensorError, safe_open

    if not path.exists():
        return None
    try:
        with safe_open(str(path), framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
        has_adapter = bool(arrays.pop(_MARK)[0])
    except (OSError, SafetensorError, KeyError, ValueError):
        return None
    adapter: Adapter | None = arrays if has_adapter else None
    record = metadata.get("record", "")
    if metadata.get("sha256") != _checksum(record, adapter):
        return None
    return json.loads(record), adapter


def _checksum(record: str, adapter: Adapter | None) -> str:
    digest = hashlib.sha256(record.encode())
    for name, weights in sorted((adapter or {}).items()):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(weights).tobytes())
    return digest.hexdigest()
