"""A run of 200 rounds on Ray, one of whose actors is killed every few seconds, against the same run left in peace.

    python -m experiments.bench.soak

kills, with SIGKILL, whichever comes: a shard, a trainer, an evaluator, the round manager. It ends with status 1 unless the
tables and the summary are those of the run in peace, byte by byte. Kills are random: this is no test, but a search for one.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import tempfile
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from crowd_sim.cli.run import run
from crowd_sim.commands import IN_PROCESS
from crowd_sim.config import RunConfig
from crowd_sim.crowd.behaviours import Members, per_shard
from crowd_sim.store.run_log import read_status
from experiments.bench.processes import family

_ACTORS = ("RoundManager", "CrowdActor", "TrainerActor", "ShapleyEvaluator")
_FILES = ("rounds.parquet", "workers.parquet", "runs.parquet", "summary.json")


@per_shard
def busy(members: Members) -> NDArray[np.float64]:
    """A third of the workers contribute the model; the shard takes its time over it, so that kills find it at work."""
    time.sleep(0.1)
    return np.where(members.uniforms(1) < 1 / 3, members.model, members.vectors)


def _config(rounds: int) -> RunConfig:
    return RunConfig.parse(
        {
            "crowd": {"n_workers": 200, "chunk_size": 25, "behaviour": "experiments.bench.soak:busy"},
            "tournament": {"rounds": rounds, "grouping": "epsilon_greedy", "reward": "marginal"},
            "valuation": {"budget": 2_000, "kernel_shap_budget": 1_000},
            "actors": {
                "crowd": {"number": 2, "cpus": 0.2},
                "trainers": {"number": 1, "cpus": 0.2},
                "evaluators": {"number": 2, "cpus": 0.2},
                "checkpoints": {"seconds": 1.0},
                "failures": {"deaths": 20},  # what is killed this often may die often without an answer
            },
        }
    )


class Killer(threading.Thread):
    """Kills one of this process's actors every few seconds until it is stopped."""

    def __init__(self, low: float, high: float, seed: int) -> None:
        super().__init__(daemon=True)
        self._pause, self._random = (low, high), random.Random(seed)  # noqa: S311 no secret
        self._over = threading.Event()
        self.killed: Counter[str] = Counter()

    def run(self) -> None:
        """See the class."""
        while not self._over.wait(self._random.uniform(*self._pause)):
            name = self._random.choice(_ACTORS)  # first the kind, lest one that stands alone be the only choice
            actors = [pid for pid, title in family(os.getpid()).items() if title.startswith(f"ray::{name}")]
            if actors:
                with suppress(ProcessLookupError):
                    os.kill(self._random.choice(actors), signal.SIGKILL)
                    self.killed[name] += 1

    def stop(self) -> None:
        """No more kills."""
        self._over.set()
        self.join()


def main() -> None:
    """Soak, compare, report."""
    parser = argparse.ArgumentParser(description="A run whose actors are killed every few seconds.")
    parser.add_argument("--rounds", type=int, default=200, help="default 200")
    parser.add_argument("--every", type=float, nargs=2, default=(2.0, 6.0), metavar=("LOW", "HIGH"), help="seconds")
    parser.add_argument("--seed", type=int, default=0, help="of the kills")
    parser.add_argument("--out", type=Path, help="where the two run folders are left (default: nowhere)")
    given = parser.parse_args()
    config, console = _config(given.rounds), Console()
    with tempfile.TemporaryDirectory() as name:
        folder = given.out or Path(name)
        peace, storm = folder / "peace", folder / "storm"
        run(config, "soak", peace, IN_PROCESS, console)
        low, high = given.every
        killer = Killer(low, high, given.seed)
        killer.start()
        start = time.perf_counter()
        try:
            run(config, "soak", storm, None, console)
        finally:
            killer.stop()
        seconds = time.perf_counter() - start
        same = [file for file in _FILES if (peace / file).read_bytes() == (storm / file).read_bytes()]
        events = [json.loads(line) for line in (storm / "log.jsonl").read_text(encoding="utf-8").splitlines()]
        recoveries = [event["seconds"] for event in events if event["event"] == "actor replaced"]
        print(f"{given.rounds} rounds in {seconds:.0f} s; killed: {dict(killer.killed)}")
        print(
            f"replaced {len(recoveries)}, slowest in {max(recoveries, default=0):.1f} s; {read_status(storm).failures}"
        )
        print(f"identical: {', '.join(same) or 'nothing'}")
    raise SystemExit(len(same) != len(_FILES))


if __name__ == "__main__":
    main()
