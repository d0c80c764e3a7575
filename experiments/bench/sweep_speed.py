"""How fast sweeps are: `python -m experiments.bench.sweep_speed`. Every figure is measured in this one run, on this machine.

- start: seconds from the command's start, Ray's included, until its first batch is on disk;
- points/s: 100,000 trivial points (ten workers, two rounds, nothing valued), over the whole command with its tables and report;
- memory: the same in 10,000 batches; growth of the driver's resident memory between 20 % and the last percent of the points;
- two workers: seconds of batches with one place for them over seconds with two, the best of two each, on one Ray that is up and
  workers that have started; and the same of two bare processes that share the batches, which is what the machine's cores allow.
"""

from __future__ import annotations

import argparse
import multiprocessing
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from rich.console import Console
from threadpoolctl import threadpool_limits

from crowd_sim.sweeps.batch import run_batch
from crowd_sim.sweeps.partition import batches
from crowd_sim.sweeps.plan import Sweep
from crowd_sim.tasks.load import load_task

N_POINTS = 100_000

TRIVIAL: dict[str, Any] = {
    "runs": 1,
    "crowd": {"n_workers": 10},
    "tournament": {"rounds": 2, "n_groups": 2},
    "valuation": {"method": "none"},
    "sweep": {
        "tournament": {"step": [i / 100 for i in range(1, 101)], "mistake_probability": [i / 100 for i in range(10)]},
        "seed": list(range(N_POINTS // 1000)),
    },
}

WORK: dict[str, Any] = {
    "runs": 10,
    "crowd": {"n_workers": 50},
    "valuation": {"budget": 5_000, "kernel_shap_budget": 0},
    "actors": {"sweep": {"max_runs": 40}},
    "sweep": {"seed": list(range(160)), "tournament": {"n_groups": [2, 3, 4, 5]}},
}
"""160 batches of a tenth of a second or more: their way to the workers and back counts for little."""


@dataclass
class Watched:
    """A command as it went on.

    Attributes:
        seconds: from start to end; first: until the first part was on disk.
        memory: resident bytes of the driver by the share of the points that were done.
    """

    seconds: float = 0.0
    first: float = 0.0
    memory: list[tuple[float, int]] = field(default_factory=list)

    def growth(self) -> float:
        """Of the driver's memory between 20 % of the points and the last percent."""
        (_, early), *_ = (sample for sample in self.memory if sample[0] >= 0.2)
        *_, (_, late) = (sample for sample in self.memory if sample[0] < 1)
        return late / early - 1


def watch(overrides: Sequence[str], folder: Path) -> Watched:
    """Run `crowd-sim sweep` on the trivial points and watch its driver."""
    (folder / "trivial.yaml").write_text(yaml.safe_dump(TRIVIAL), encoding="utf-8")
    out = folder / f"out-{len(list(folder.iterdir()))}"
    command = [
        sys.executable,
        "-m",
        "crowd_sim.cli.app",
        "sweep",
        str(folder / "trivial.yaml"),
        *overrides,
        "--out",
        str(out),
    ]
    start, watched = time.perf_counter(), Watched()
    running = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own command
    share = [0.0]
    reader = threading.Thread(target=lambda: share.extend(_shares(running)))
    reader.start()
    while running.poll() is None:
        if not watched.first and next((out / "parts").glob("points/*.parquet"), None):
            watched.first = time.perf_counter() - start
        watched.memory.append((share[-1], _resident(running.pid)))
        time.sleep(0.05)
    watched.seconds = time.perf_counter() - start
    reader.join()
    if running.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with status {running.returncode}")
    return watched


def _shares(running: subprocess.Popen[str]) -> Iterator[float]:
    for line in running.stdout or ():
        if found := re.match(r"points: ([0-9,]+) of ([0-9,]+)", line):
            done, total = (int(number.replace(",", "")) for number in found.groups())
            yield done / total


def _resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096
    except (OSError, IndexError):
        return 0


def two_workers() -> float:
    """Seconds with one place for batches over seconds with two."""
    import ray

    from crowd_sim.actors.run_metrics import RunMetrics
    from crowd_sim.actors.sweep import run_batches_on_ray

    def seconds(cpus: float) -> float:
        plan = Sweep.parse({**WORK, "actors": {"sweep": {**WORK["actors"]["sweep"], "cpus": cpus}}})
        start = time.perf_counter()
        done = 0
        for results in run_batches_on_ray(
            plan, batches(plan, plan.first.actors.sweep.max_runs), load_task, False, RunMetrics("sweep_speed")
        ):
            done += sum(len(result.points) for result in results)
        if done != plan.n_points:
            raise RuntimeError(f"{done} of {plan.n_points} points have a result")
        return time.perf_counter() - start

    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        one, two = [], []
        for _ in range(2):  # in turns, as other work on the machine comes and goes
            one.append(seconds(2.0))
            seconds(1.0)  # starts a second worker, which Ray ends when it has been idle
            two.append(seconds(1.0))
        return min(one) / min(two)
    finally:
        ray.shutdown()


def two_processes() -> float:
    """The same without Ray: what two cores gain on this machine."""
    numbers = list(batches(plan := Sweep.parse(WORK), plan.first.actors.sweep.max_runs))
    seconds: dict[int, list[float]] = {1: [], 2: []}
    for places in (1, 2) * 2:
        with multiprocessing.get_context("spawn").Pool(places) as pool:
            pool.map(_bare, [numbers[0]] * 2 * places, chunksize=1)  # starts and imports
            start = time.perf_counter()
            pool.map(_bare, numbers, chunksize=1)
            seconds[places].append(time.perf_counter() - start)
    return min(seconds[1]) / min(seconds[2])


def _bare(numbers: NDArray[np.int64]) -> None:
    plan = Sweep.parse(WORK)
    with threadpool_limits(1):
        run_batch(plan, numbers, load_task(plan.first), False)


def main() -> None:
    """Measure and print."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    console = Console(highlight=False)
    with tempfile.TemporaryDirectory() as name:
        large = watch([], Path(name))
        console.print(f"start: {large.first:.1f} s")
        rate = N_POINTS / large.seconds
        console.print(f"points/s: {rate:,.0f} ({N_POINTS:,} points in {large.seconds:.1f} s)")
        small = watch(["actors.sweep.max_runs=10"], Path(name))
        console.print(f"memory: {small.growth():+.1%} in 10,000 batches ({small.seconds:.1f} s)")
    console.print(
        f"two workers: {two_workers():.2f} times as fast as one (two bare processes: {two_processes():.2f} times)"
    )


if __name__ == "__main__":
    main()
