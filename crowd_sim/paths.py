"""What is at a path that someone gave: nothing is where the system takes no such name, and nobody has to catch that."""

from __future__ import annotations

import os
from pathlib import Path


def is_file(path: Path | str) -> bool:
    """Whether a regular file is there; not of a name that is too long, has a NUL, or is a circle of links."""
    return os.path.isfile(path)  # noqa: PTH113 - pathlib's raises where the name is too long


def is_folder(path: Path | str) -> bool:
    """Whether a folder is there, as `is_file` says it of files."""
    return os.path.isdir(path)  # noqa: PTH112


def exists(path: Path | str) -> bool:
    """Whether anything is there, as `is_file` says it of files."""
    return os.path.exists(path)  # noqa: PTH110
