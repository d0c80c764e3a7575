"""Seconds per round of a large crowd, in process and on Ray's shards, in one run.

    python -m experiments.bench.large_crowd

plays experiments/configs/large_crowd.yaml (a million workers, two shards) both ways, taking turns, and prints the median
seconds per round of each and what Ray adds. Overrides as for `crowd-sim run`.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from statistics import median
from typing import Any

import ray
from threadpoolctl import threadpool_limits

from crowd_sim.actors.cluster import connected
from crowd_sim.actors.host import RayHost
from crowd_sim.actors.placement import required_by_run
from crowd_sim.config import RunConfig
from crowd_sim.config.io import load_config
from crowd_sim.engine import simulate
from crowd_sim.errors import ClusterError, InputError
from crowd_sim.host import Host, InProcess
from crowd_sim.participants import load_population
from crowd_sim.tasks.base import Task
from crowd_sim.tasks.vector import VectorTask
from crowd_sim.tournament.log import TournamentLog
from crowd_sim.tournament.rules import Rules
from crowd_sim.valuation.log import ValuationLog

CONFIGURATION = Path(str(files("crowd_sim") / "configs" / "large_crowd.yaml"))


class Clock:
    """Notes when each round ended; keeps nothing."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def last(self, _rules: Rules, _n_workers: int) -> TournamentLog | None:
        """See `crowd_sim.engine.Saving`."""
        return None

    def after(self, _log: TournamentLog) -> None:
        """See `crowd_sim.engine.Saving`."""
        self.ends.append(time.perf_counter())

    def stopped(self, _log: TournamentLog) -> None:
        """See `crowd_sim.engine.Saving`."""

    def last_values(self) -> ValuationLog:
        """See `crowd_sim.engine.Saving`."""
        return ValuationLog()

    def after_evaluations(self, _log: ValuationLog, *, over: bool = False) -> None:
        """See `crowd_sim.engine.Saving`."""

    def stopped_valuing(self, _log: ValuationLog) -> None:
        """See `crowd_sim.engine.Saving`."""

    def seconds(self) -> list[float]:
        """Seconds of each round but the first, which waits for shards to be built and code to be compiled."""
        return [after - before for before, after in zip(self.ends, self.ends[1:], strict=False)]


def play(config: RunConfig, task: Task, host: Host) -> tuple[list[float], bytes]:
    """Seconds of the rounds, and the points' bits."""
    clock = Clock()
    (outcome,) = simulate([config], task, host, saving=clock)
    return clock.seconds(), outcome.history.points.tobytes()


class Manager:
    """Plays where a run's `RoundManager` does: in a process of the cluster, beside a thread that answers questions."""

    def play(self, config: RunConfig, task: Task) -> tuple[list[float], bytes]:
        """See the function of this name."""
        return play(config, task, RayHost(config.actors))


def compare(overrides: Sequence[str], turns: int) -> None:
    """Print the table."""
    config = load_config(CONFIGURATION, overrides)
    task = VectorTask(load_population(config.crowd))
    alone: list[float] = []
    on_ray: list[float] = []
    points = set()
    with connected(None, required_by_run(config.actors)), threadpool_limits(1):
        host = ray.remote(Manager).options(num_cpus=0, max_concurrency=2)
        for _ in range(turns):
            manager: Any = host.remote()
            for seconds, (found, bits) in (
                (alone, play(config, task, InProcess())),
                (on_ray, ray.get(manager.play.remote(config, task), timeout=3600)),
            ):
                seconds.extend(found)
                points.add(bits)
    if len(points) != 1:
        raise RuntimeError("in process and on Ray the points differ")
    shards = min(config.actors.crowd.number, -(-config.crowd.n_workers // config.crowd.chunk_size))
    print(
        f"{config.crowd.n_workers:,} workers, d = {task.population.n_features}, {config.tournament.grouping} grouping, ",
        end="",
    )
    print(f"{len(alone)} rounds each way, equal points")
    print("| where | seconds per round, median | fastest | workers/s |\n| --- | --: | --: | --: |")
    for where, seconds in (("in process", alone), (f"{shards} shards on Ray", on_ray)):
        rate = config.crowd.n_workers * config.runs / median(seconds)
        print(f"| {where} | {median(seconds):.3f} | {min(seconds):.3f} | {rate:,.0f} |")
    print(f"\nRay adds {median(on_ray) / median(alone) - 1:+.0%} (fastest: {min(on_ray) / min(alone) - 1:+.0%})")


def main() -> None:
    """Read the options, compare."""
    parser = argparse.ArgumentParser(description="Seconds per round of a large crowd, in process and on Ray.")
    parser.add_argument("overrides", nargs="*", help="of large_crowd.yaml, for example tournament.grouping=interleaved")
    parser.add_argument("--turns", type=int, default=2, help="times that each way is played (default 2)")
    arguments = parser.parse_args()
    try:
        compare(arguments.overrides, arguments.turns)
    except (InputError, ClusterError) as error:
        print(f"large_crowd: {error}", file=sys.stderr)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
