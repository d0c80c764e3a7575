"""A user's own grouping that breaks by script, in whatever process it runs.

The script is the folder that the environment's CROWD_SIM_FAULTS names. Each file in it is one fault, which happens once:
``exit-…`` ends the process, ``kill-…`` kills it as the kernel does when memory runs out, ``hang-…`` never comes back,
``raise-…`` raises. Others stay: ``always-<fault>-<n>`` strikes whoever has n workers, ``slow`` makes every call take a
while. Every run that is grouped leaves a file in ``calls``, every fault one in ``done``.
"""

import os
import signal
import time
import uuid
from pathlib import Path

import numpy as np

VARIABLE = "CROWD_SIM_FAULTS"


def grouping(points, n_groups, draws, rounds):
    """Everyone in turn, unless the script says otherwise."""
    folder = Path(os.environ[VARIABLE])
    n_workers = points.shape[1]
    for _ in points:
        leave(folder / "calls", str(n_workers))
    if (folder / "slow").exists():
        time.sleep(0.1)
    for path in sorted(folder.iterdir()):
        what, _, rest = path.name.partition("-")
        if what == "always" and rest.endswith(f"-{n_workers}"):
            strike(rest.partition("-")[0], folder)
        elif what in ("exit", "kill", "hang", "raise"):
            try:
                path.unlink()
            except FileNotFoundError:
                continue  # another process was faster
            strike(what, folder)
    return np.arange(n_workers) % n_groups + np.zeros((len(points), 1), dtype=np.int64)


def strike(what, folder):
    leave(folder / "done", what)
    if what == "exit":
        os._exit(1)
    if what == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    while what == "hang":  # busy: a process that only sleeps is easier to end
        pass
    raise ZeroDivisionError("a bug of the user's own")


def leave(folder, name):
    folder.mkdir(exist_ok=True)
    (folder / f"{name}-{os.getpid()}-{uuid.uuid4().hex}").touch()


class Script:
    """Writes the script and reads what has happened."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(self, *faults: str) -> None:
        for fault in faults:
            (self.folder / fault).touch()

    def remove(self, fault: str) -> None:
        (self.folder / fault).unlink()

    def clear(self) -> None:
        for path in self.folder.rglob("*"):
            if path.is_file():
                path.unlink()

    def count(self, kind: str) -> list[str]:
        """What was called, or what faults were done, in alphabetical order."""
        found = self.folder / kind
        return sorted(path.name.partition("-")[0] for path in found.iterdir()) if found.exists() else []

    def processes(self) -> set[int]:
        """Those that faults have struck."""
        return {int(path.name.split("-")[1]) for path in self.folder.glob("done/*")}
