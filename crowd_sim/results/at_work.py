"""Who is at work in a folder: a file that is locked for as long as a process lives, however it ends."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import IO

from crowd_sim.errors import InputError


def lock(path: Path) -> IO[str]:
    """Lock a file; closing it, and the end of the process, give it free.

    Raises:
        InputError: another process has locked it.
    """
    file = path.open("a")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        allowed = "must be a folder in which nobody is at work: see `crowd-sim status`"
        raise InputError("--out", str(path.parent), allowed) from None
    return file


def is_locked(path: Path) -> bool:
    """Whether a process has locked the file."""
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def ending(error: BaseException | None) -> tuple[str, str | None]:
    """The state that a command ends in, and the first line of why it failed, if it did."""
    if error is None:
        return "finished", None
    if isinstance(error, KeyboardInterrupt):
        return "interrupted", None
    return "failed", f"{type(error).__name__}: {error}".strip().splitlines()[0][:500]
