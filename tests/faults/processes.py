"""What processes there are."""

import time
from pathlib import Path


def descendants(pid: int) -> set[int]:
    """Processes that this one, or one of these, has started."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[0] != "Z":
            parents[int(path.parent.name)] = int(fields[1])
    found: set[int] = set()
    fresh = {pid}
    while fresh:
        fresh = {child for child, parent in parents.items() if parent in fresh} - found
        found |= fresh
    return found


def is_agent(pid: int) -> bool:
    """Whether it is one of Ray's agents, which take a minute to notice that their node was killed."""
    try:
        return "Agent" in Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return False


def alive(pid: int) -> bool:
    """Whether there is such a process, other than one that only waits to be noticed."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def gone(pids: set[int], seconds: float) -> bool:
    """Whether all of them end; waits for it."""
    patience = time.monotonic() + seconds
    while any(map(alive, pids)) and time.monotonic() < patience:
        time.sleep(0.1)
    return not any(map(alive, pids))
