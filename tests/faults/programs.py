"""Programs of their own: a process can be connected to one Ray only."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}


def program(name, *more):
    done = subprocess.run(
        [sys.executable, "-m", f"tests.faults.{name}", *more],
        cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=250,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return [
        line.split()[1:] for line in done.stdout.splitlines() if line.startswith("result ")
    ]  # Ray has its say there, too
