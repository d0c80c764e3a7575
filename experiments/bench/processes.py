"""Processes of this machine, as Linux shows them in /proc."""

from __future__ import annotations

from pathlib import Path


def family(pid: int) -> dict[int, str]:
    """Children of a process, their children and so on: process id -> title (its command line)."""
    parents = {int(path.name): _parent(path) for path in Path("/proc").iterdir() if path.name.isdigit()}
    found: dict[int, str] = {}
    generation = {pid}
    while generation:
        generation = {child for child, parent in parents.items() if parent in generation}
        found |= {child: _title(child) for child in generation}
    return found


def is_alive(pid: int) -> bool:
    """Whether there is such a process, other than one that only waits for its parent to notice its end."""
    try:
        return (Path(f"/proc/{pid}") / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _parent(process: Path) -> int:
    try:  # the name, in brackets, may hold anything; the state and then the parent follow it
        return int((process / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:  # it has ended on_idle
        return 0


def _title(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""
