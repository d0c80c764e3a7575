"""Workers per second through a Python function of one's own, called once per worker, on Ray.

    python -m experiments.bench.callbacks

plays a few rounds whose behaviour is a plain Python function (one call per worker; another draws a random number in it; a
third is called once per shard), and, where the package `flwr` is installed with its extra `simulation`, has Flower's Ray
simulation call as trivial a client. Without it the arm says so.
"""

from __future__ import annotations

import argparse
import time
from importlib.util import find_spec
from typing import Any

import numpy as np
import ray
from numpy.typing import NDArray

from actors.cluster import connected
from actors.host import RayHost
from actors.resources import need_of_run
from crowd_sim.config import RunConfig
from crowd_sim.crowd.behaviours import Members, Worker, per_shard
from crowd_sim.loading import load_people
from experiments.bench.large_crowd import play

_FLOWER_CLIENTS = 100


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
    return play(config, load_people(config.crowd), RayHost(config.actors))[0]


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


def flower_clients_per_second() -> float:
    """Trivial clients per second of Flower's simulation on Ray, its start not counted."""
    from flwr.client import ClientApp, NumPyClient
    from flwr.common import Context, ndarrays_to_parameters
    from flwr.server import ServerApp, ServerAppComponents, ServerConfig
    from flwr.server.strategy import FedAvg
    from flwr.simulation import run_simulation

    ends: list[float] = []

    class Trivial(NumPyClient):  # type: ignore[misc]
        def fit(self, parameters: list[Any], config: dict[str, Any]) -> tuple[list[Any], int, dict[str, Any]]:
            del config
            return [0.5 * array for array in parameters], 1, {}

    def client(_context: Context) -> Any:
        return Trivial().to_client()

    def note(server_round: int, _parameters: Any, _config: Any) -> None:
        del server_round
        ends.append(time.perf_counter())

    def server(_context: Context) -> ServerAppComponents:
        start = ndarrays_to_parameters([np.zeros(20)])
        strategy = FedAvg(fraction_evaluate=0.0, initial_parameters=start, evaluate_fn=note)
        return ServerAppComponents(strategy=strategy, config=ServerConfig(num_rounds=4))

    run_simulation(ServerApp(server_fn=server), ClientApp(client_fn=client), num_supernodes=_FLOWER_CLIENTS)
    return _FLOWER_CLIENTS * (len(ends) - 2) / (ends[-1] - ends[1])  # but for the first round, which starts the pool


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Workers per second through a Python function of one's own.")
    parser.add_argument("--workers", type=int, default=100_000, help="per round (default 100,000)")
    parser.add_argument("--shards", type=int, default=2, help="of the crowd (default 2)")
    parser.add_argument("--rounds", type=int, default=5, help="of which the first is not counted (default 5)")
    given = parser.parse_args()
    print("| what is called | workers/s, median | best |\n| --- | --: | --: |")
    with connected(None, need_of_run(_config("plain", 100, given.shards, 2).actors)):
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
    if find_spec("flwr") is None:
        print('\nFlower is not installed: `pip install "flwr[simulation]"` adds its line.')
    else:
        print(f"| Flower's Ray simulation, per trivial client | {flower_clients_per_second():,.0f} | |")


if __name__ == "__main__":
    main()
