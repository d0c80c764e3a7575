"""What a file of data holds, as bytes: only regular files are opened, and compressed ones are unpacked."""

from __future__ import annotations

import gzip
import os
import stat
import zlib
from pathlib import Path

from crowd_sim.errors import InputError


def check_is_file(path: Path, field: str = "crowd.path") -> None:
    """Refuse what is no regular file, without opening it: to open a FIFO would wait for ever, and a device may never end.

    Raises:
        InputError: nothing is there, or something else.
    """
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 - a name that can be none is none that exists
    except (OSError, ValueError):
        raise InputError(field, path, "must be a file that exists") from None
    if not stat.S_ISREG(mode):
        what = "a folder" if stat.S_ISDIR(mode) else "a FIFO, a socket or a device"
        raise InputError(field, path, f"must be a file that exists, and a regular one: this is {what}")


def content_of(path: Path, field: str = "crowd.path") -> bytes:
    """The bytes of a regular file; of one that ends in .gz what was compressed.

    Raises:
        InputError: no such file, or one that cannot be read or unpacked.
    """
    check_is_file(path, field)
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if path.suffix.lower() == ".gz" else content
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(str(path), None, f"a whole file compressed by gzip is needed ({error})") from None
    except OSError as error:
        raise InputError(str(path), None, f"a file that can be read is needed ({error.strerror})") from None


def kind_of(path: Path) -> str:
    """The ending that says what a file is, in lower case and without a last .gz."""
    named = Path(path.stem) if path.suffix.lower() == ".gz" else path
    return named.suffix.lower()
