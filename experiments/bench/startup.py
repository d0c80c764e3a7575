"""How soon a run plays: `python -m experiments.bench.startup`. Seconds from a command's start, Ray's own included.

- start: of the quickstart, until its first round is over;
- resume: of the same with 1,000 rounds, killed with SIGKILL when some hundreds are played and given again when the killed
  one's processes have ended, until the next round is over; and how much longer that took than a start;
- at once: the same, given again right after the kill, while Ray's processes of the killed one are still at work: they need a
  while to notice, and the machine's cores.

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

from crowd_sim.store.run_log import read_status
from experiments.bench.processes import family, is_alive

_CONFIGURATION = Path(__file__).parents[1] / "configs" / "quickstart.yaml"
_LONG = ("tournament.rounds=1000", "actors.checkpoints.seconds=0.2")


def first_round(arguments: Sequence[str], folder: Path) -> float:
    """Run the command to its end; seconds until its first round was over."""
    began = time.time()
    subprocess.run(_command(arguments, folder), check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - our own command
    log = (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()
    played = [event["time"] for event in map(json.loads, log) if event["event"] == "first round"]
    return next(at for at in played if at > began) - began


def killed_late(folder: Path) -> set[int]:
    """Play a long run to its 300th round, or some hundreds more, and kill it; the processes that it had started."""
    with subprocess.Popen(_command(_LONG, folder), stdout=subprocess.DEVNULL) as running:  # noqa: S603 - our own command
        kept = 0
        while kept < 300:  # the status is a second old, in which hundreds are played
            time.sleep(0.05)
            if running.poll() is not None:
                raise RuntimeError(f"the run ended with status {running.returncode} before it could be killed")
            if (folder / "status.json").exists():
                kept = int(read_status(folder).checkpoint or 0)
        started = set(family(running.pid))
        running.kill()
    return started


def await_end(processes: set[int]) -> None:
    """Wait until none of these processes is there, two minutes at most."""
    deadline = time.monotonic() + 120
    while any(map(is_alive, processes)):
        if time.monotonic() > deadline:
            raise RuntimeError(f"of the processes {sorted(processes)} some do not end")
        time.sleep(0.2)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=5)
    times = parser.parse_args().times
    seconds: dict[str, list[float]] = {"start": [], "resume": [], "resume at once": []}
    with tempfile.TemporaryDirectory() as name:
        for turn in range(times):  # in turns, as other work on the machine comes and goes
            seconds["start"].append(first_round((), Path(name, f"start-{turn}")))
            killed: set[int] = set()
            for what in ("resume at once", "resume"):
                folder = Path(name, f"{what}-{turn}")
                killed |= killed_late(folder)
                if what == "resume":
                    await_end(killed)
                seconds[what].append(first_round(_LONG, folder))
    for what, own in seconds.items():
        print(f"{what}: {median(own):.1f} s ({min(own):.1f} to {max(own):.1f})")
    print(f"resume less start: {median(seconds['resume']) - median(seconds['start']):+.1f} s")


def _command(arguments: Sequence[str], folder: Path) -> list[str]:
    return [sys.executable, "-m", "crowd_sim.cli.app", "run", str(_CONFIGURATION), *arguments, "--out", str(folder)]


if __name__ == "__main__":
    main()
