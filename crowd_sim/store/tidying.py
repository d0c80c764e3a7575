"""What a process that was killed, or a bit that flipped, has left in a folder."""

from __future__ import annotations

import json
from pathlib import Path

from crowd_sim.files import write_bytes
from crowd_sim.integrity import unsealed
from crowd_sim.paths import is_file


def tidy(folder: Path) -> None:
    """Remove halves of files from a run's folder, and mend its log; nobody else is at work there.

    Raises:
        StorageError: the log cannot be written.
    """
    for place in (folder, folder / "checkpoints", folder / "figures"):
        for path in place.glob(".*.part"):
            path.unlink(missing_ok=True)
    mend(folder / "log.jsonl")


def mend(log: Path) -> None:
    """Move damaged lines of a log, which nobody else writes, into a file of their own, which `verify` knows as set aside.

    Raises:
        StorageError: it cannot be written.
    """
    if not is_file(log):  # a device is read without end
        return
    lines = log.read_bytes().splitlines(keepends=True)
    good = [line for line in lines if _is_whole(line, log)]
    if len(good) == len(lines):
        return
    aside = log.with_name(f"{log.name}.damaged")
    before = aside.read_bytes() if is_file(aside) else b""
    write_bytes(aside, before + b"".join(line for line in lines if not _is_whole(line, log)))
    write_bytes(log, b"".join(good))


def _is_whole(line: bytes, log: Path) -> bool:
    try:
        unsealed(json.loads(line), log)
    except (ValueError, RecursionError):  # a DamagedError, too
        return False
    return line.endswith(b"\n")
