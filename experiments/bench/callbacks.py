"""Workers per second through a user-defined Python function, called once per worker, on Ray.

    python -m experiments.bench.callbacks

plays a few rounds whose behaviour is a plain Python function (one call per worker; another draws a random number in it; a
third is called once per shard). With `--flower PYTHON`, the interpreter of an environment of Flower's own, it then has Flower's
Ray simulation call as trivial a client (`experiments/bench/flower.py`).
"""

from __future__ import annotations

import argparse
import subprocess
from pathlib import Path

import numpy as np
import ray
from numpy.typing import NDArray

from crowd_sim.actors.cluster import connected
from crowd_sim.actors.host import RayHost
from crowd_sim.actors.placement import required_by_run
from crowd_sim.config import RunConfig
from crowd_sim.crowd.behaviours import Members, Worker, per_shard
from crowd_sim.tasks.load import load_task
from experiments.bench.large_crowd import play

_FLOWER = Path(__file__).with_name("flower.py")


def plain(worker: Worker) -> NDArray[np.float64]:
    """Half way between the worker's vector and the model."""
    return 0.5 * (worker.vector + worker.model)


def drawing(worker: Worker) -> NDArray[np.float64]:
    """Three in ten contribute the model."""
    return worker.model if worker.generator().random() < 0.3 else worker.vector


@per_shard
def together(members: Members) -> NDArray[np.float64]:
    """The same as `drawing`, for all at once."""
    return np.where(members.uniforms(1) < 0.3, members.model, members.vectors)


@ray.remote(num_cpus=0)
def _play(config: RunConfig) -> list[float]:
    return play(config, load_task(config), RayHost(config.actors))[0]


def _config(behaviour: str, n_workers: int, shards: int, rounds: int) -> RunConfig:
    return RunConfig.parse(
        {
            "crowd": {
                "n_workers": n_workers,
                "chunk_size": 2048,
                "behaviour": f"experiments.bench.callbacks:{behaviour}",
            },
            "tournament": {"rounds": rounds},
            "valuation": {"method": "none"},
            "actors": {
                "crowd": {"number": shards, "cpus": 0.5},
                "trainers": {"cpus": 0.25},
                "evaluators": {"cpus": 0.0},
            },
        }
    )


def flower(python: Path) -> tuple[str, float, float]:
    """Version of the Flower that an interpreter has, and its trivial clients per second: median and best.

    Raises:
        SystemExit: it has none, or one that does not run; with what it said last.
    """
    try:
        done = subprocess.run([python, "-P", _FLOWER], capture_output=True, text=True, timeout=600, check=False)  # noqa: S603
    except OSError as error:
        raise SystemExit(f"--flower {python}: {error.strerror}") from None
    if done.returncode:
        raise SystemExit(f"--flower {python}: {done.stderr.strip().splitlines()[-1]}")
    version, median, best = done.stdout.splitlines()[-1].split()
    return version, float(median), float(best)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Workers per second through a user-defined Python function.")
    parser.add_argument("--workers", type=int, default=100_000, help="per round (default 100,000)")
    parser.add_argument("--shards", type=int, default=2, help="of the crowd (default 2)")
    parser.add_argument("--rounds", type=int, default=5, help="of which the first is not counted (default 5)")
    parser.add_argument("--flower", type=Path, metavar="PYTHON", help="an interpreter that has `flwr[simulation]`")
    given = parser.parse_args()
    print("| what is called | workers/s, median | best |\n| --- | --: | --: |")
    with connected(None, required_by_run(_config("plain", 100, given.shards, 2).actors)):
        for name, words in (
            ("plain", "a function, per worker"),
            ("drawing", "a function that draws a random number, per worker"),
            ("together", "a function, per shard"),
        ):
            config = _config(name, given.workers, given.shards, given.rounds)
            seconds = ray.get(_play.remote(config), timeout=3600)
            print(
                f"| {words} | {given.workers / np.median(seconds):,.0f} | {given.workers / min(seconds):,.0f} |",
                flush=True,
            )
    if given.flower:
        version, median, best = flower(given.flower)
        print(f"| Flower {version}'s Ray simulation, per trivial client | {median:,.0f} | {best:,.0f} |")


if __name__ == "__main__":
    main()
