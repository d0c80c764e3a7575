"""Trivial clients per second of Flower's simulation on Ray: the arm of `experiments.bench.callbacks` that is not ours.

    flower/bin/python -P experiments/bench/flower.py

runs where `flwr[simulation]` is installed and needs nothing of crowd-sim: Flower asks for another Ray, and for another typer,
than crowd-sim has. Prints Flower's version, clients per second in the median round, and in the fastest.
"""

from __future__ import annotations

import argparse
import time
from importlib.metadata import version
from typing import Any

import numpy as np
from flwr.client import ClientApp, NumPyClient
from flwr.common import Context, ndarrays_to_parameters
from flwr.server import ServerApp, ServerAppComponents, ServerConfig
from flwr.server.strategy import FedAvg
from flwr.simulation import run_simulation

_ONE_CORE = {"client_resources": {"num_cpus": 1.0, "num_gpus": 0.0}}
"""Flower's default, two cores a client, would leave one idle."""


class Trivial(NumPyClient):  # type: ignore[misc]
    """Answers with half of what it gets."""

    def fit(self, parameters: list[Any], config: dict[str, Any]) -> tuple[list[Any], int, dict[str, Any]]:
        """See Flower's `NumPyClient`."""
        del config
        return [0.5 * array for array in parameters], 1, {}


def seconds_per_round(clients: int, rounds: int) -> list[float]:
    """Seconds of each round in which all clients are called, but for the first, which starts Ray."""
    ends: list[float] = []

    def client(_context: Context) -> Any:
        return Trivial().to_client()

    def note(_round: int, _parameters: Any, _config: Any) -> None:
        ends.append(time.perf_counter())

    def server(_context: Context) -> ServerAppComponents:
        start = ndarrays_to_parameters([np.zeros(20)])
        strategy = FedAvg(fraction_evaluate=0.0, initial_parameters=start, evaluate_fn=note)
        return ServerAppComponents(strategy=strategy, config=ServerConfig(num_rounds=rounds))

    apps = ServerApp(server_fn=server), ClientApp(client_fn=client)
    run_simulation(*apps, num_supernodes=clients, backend_config=_ONE_CORE)
    # `note` is called before the first round, too
    return [float(seconds) for seconds in np.diff(ends)[1:]]


def main() -> None:
    """Print the line."""
    parser = argparse.ArgumentParser(description="Trivial clients per second of Flower's simulation on Ray.")
    parser.add_argument("--clients", type=int, default=300, help="called in each round (default 300)")
    parser.add_argument("--rounds", type=int, default=4, help="of which the first is not counted (default 4)")
    given = parser.parse_args()
    seconds = seconds_per_round(given.clients, given.rounds)
    print(version("flwr"), given.clients / np.median(seconds), given.clients / min(seconds))


if __name__ == "__main__":
    main()
