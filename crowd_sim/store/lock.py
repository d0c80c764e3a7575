"""Who is at work in a folder: a file that is locked for as long as a process lives, however it ends."""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TypeVar

from crowd_sim.errors import InputError

RUN = "run.lock"
"""The lock of a run's folder."""

T = TypeVar("T")


@contextmanager
def exclusive(path: Path, check: Callable[[], T]) -> Iterator[T]:
    """Hold a folder's lock; what `check` makes of the folder while nobody else may change it.

    It is asked before, too: where it raises, the folder is left as it was, without a lock.

    Raises:
        InputError: another process has locked it.
    """
    check()
    with lock(path):
        yield check()


def lock(path: Path, *, wait: bool = False) -> IO[str]:
    """Lock a file; closing it, and the end of the process, give it free.

    Raises:
        InputError: another process has locked it, and we do not wait; or it cannot be written.
    """
    try:
        file = path.open("a")
    except OSError as error:  # another user's
        allowed = f"must be a folder that can be written ({error.strerror})"
        raise InputError("--out", str(path.parent), allowed) from None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        file.close()
        allowed = "must be a folder in which nobody is at work: see `crowd-sim status`"
        raise InputError("--out", str(path.parent), allowed) from None
    return file


def is_locked(path: Path) -> bool:
    """Whether a process has locked the file, which may be another user's."""
    try:
        file = path.open()
    except FileNotFoundError:
        return False
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)  # NFS has an exclusive one for writers only
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
