"""`crowd-sim configs` and `crowd-sim init`: what ships, and a copy of it to edit."""

from __future__ import annotations

from pathlib import Path

from rich import box
from rich.table import Table

from crowd_sim.config.io import load_content
from crowd_sim.config.shipped import job_scripts, shipped, shipped_file
from crowd_sim.errors import InputError


def configs_table() -> Table:
    """A row for each shipped configuration and job script: name, run or sweep, task, and the first line of its comment."""
    table = Table(box=box.SIMPLE, pad_edge=False)
    for name in ("name", "kind", "task"):
        table.add_column(name, no_wrap=True)
    table.add_column("what it shows")
    for name, path in shipped().items():
        content = load_content(path)
        kind = "sweep" if "sweep" in content else "run"
        task = content.get("task", {}).get("kind", "vector")
        table.add_row(name, kind, task, first_comment(path))
    for name, path in job_scripts().items():
        table.add_row(name, "job script", "", first_comment(path))
    return table


def first_comment(path: Path) -> str:
    """The comment in a file's first line, or below the line that names its shell; empty where there is none."""
    lines = path.read_text(encoding="utf-8").splitlines()
    first = next((line for line in lines if not line.startswith("#!")), "")
    return first.removeprefix("#").strip() if first.startswith("#") else ""


def write_copy(name: str, path: Path | None) -> Path:
    """Copy what ships as `name` to `path`, or to a file of its own name in the folder one works in; the copy's path.

    Raises:
        InputError: no such configuration, or a file that exists already or cannot be written.
    """
    source = shipped_file(name)
    text, copy = source.read_bytes(), path or Path(source.name)
    try:
        with copy.open("xb") as file:
            file.write(text)
    except FileExistsError:
        raise InputError("PATH", str(copy), "exists already; must be a new file") from None
    except OSError as error:
        raise InputError("PATH", str(copy), f"cannot be written ({error.strerror})") from None
    return copy
