"""How soon a run plays: `python -m experiments.bench.starting`. Seconds from a command's start, Ray's own included.

- start: of the quickstart, until its first round is over;
- resume: of the same with 1,000 rounds, killed with SIGKILL when more than half are played and given again, until the next
  round is over; and how much longer that took than a start.

Times are those of the run's log. Each figure is the median of `--times` commands, with the fastest and the slowest.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from crowd_sim.results.record import read_status

_CONFIGURATION = Path(__file__).parents[1] / "configs" / "quickstart.yaml"
_LONG = ("tournament.rounds=1000", "actors.checkpoints.seconds=0.2")


def first_round(arguments: Sequence[str], folder: Path) -> float:
    """Run the command to its end; seconds until its first round was over."""
    began = time.time()
    subprocess.run(_command(arguments, folder), check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - our own command
    log = (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()
    played = [event["time"] for event in map(json.loads, log) if event["event"] == "first round"]
    return next(at for at in played if at > began) - began


def killed_late(folder: Path) -> int:
    """Play a long run to its 500th round, or some more, and kill it; the last round whose state is kept."""
    with subprocess.Popen(_command(_LONG, folder), stdout=subprocess.DEVNULL) as running:  # noqa: S603 - our own command
        kept = 0
        while kept < 500:
            time.sleep(0.05)
            if running.poll() is not None:
                raise RuntimeError(f"the run ended with status {running.returncode} before it could be killed")
            if (folder / "status.json").exists():
                kept = int(read_status(folder).checkpoint or 0)
        running.kill()
    return kept


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=5)
    times = parser.parse_args().times
    with tempfile.TemporaryDirectory() as name:
        starts, resumes = [], []
        for turn in range(times):  # in turns, as other work on the machine comes and goes
            starts.append(first_round((), Path(name, f"start-{turn}")))
            killed_late(folder := Path(name, f"resume-{turn}"))
            resumes.append(first_round(_LONG, folder))
    for what, seconds in (("start", starts), ("resume", resumes)):
        print(f"{what}: {median(seconds):.1f} s ({min(seconds):.1f} to {max(seconds):.1f})")
    print(f"resume less start: {median(resumes) - median(starts):+.1f} s")


def _command(arguments: Sequence[str], folder: Path) -> list[str]:
    return [sys.executable, "-m", "experiments.cli", "run", str(_CONFIGURATION), *arguments, "--out", str(folder)]


if __name__ == "__main__":
    main()
