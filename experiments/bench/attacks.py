"""Seconds per round of a large crowd with bad workers, beside honest ones and a user-defined behaviour, in this process.

    python -m experiments.bench.attacks

prints the median and the fastest round; the first, in which the bad find out what they have to know of a crowd that does not
change, is not counted. Rows take turns.
"""

from __future__ import annotations

import argparse
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crowd_sim.config import RunConfig
from crowd_sim.crowd.behaviours import Members, per_shard
from crowd_sim.host import InProcess
from crowd_sim.tasks.load import load_task
from experiments.bench.large_crowd import play


@per_shard
def shrunk(members: Members) -> NDArray[np.float64]:
    """Half way between everyone's vector and the model."""
    return 0.5 * (members.vectors + members.model)


ROWS: dict[str, dict[str, Any]] = {
    "honest workers": {},
    "a user-defined behaviour of all, per shard": {"behaviour": "experiments.bench.attacks:shrunk"},
    "30 % alie": {"bad": {"behaviour": "alie", "share": 0.3}},
    "30 % alie among workers of the user-defined behaviour": {
        "behaviour": "experiments.bench.attacks:shrunk",
        "bad": {"behaviour": "alie", "share": 0.3},
    },
    "30 % corner": {"bad": {"behaviour": "corner", "share": 0.3}},
    "30 % gauss": {"bad": {"behaviour": "gauss", "share": 0.3}},
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Seconds per round of a large crowd with bad workers.")
    parser.add_argument("--workers", type=int, default=1_000_000, help="(default a million)")
    parser.add_argument("--rounds", type=int, default=4, help="of which the first is not counted (default 4)")
    parser.add_argument("--turns", type=int, default=2, help="(default 2)")
    given = parser.parse_args()
    seconds: dict[str, list[float]] = {words: [] for words in ROWS}
    for _ in range(given.turns):
        for words, crowd in ROWS.items():
            config = RunConfig.parse(
                {
                    "crowd": {"n_workers": given.workers, "chunk_size": 8192, **crowd},
                    "tournament": {"rounds": given.rounds},
                    "valuation": {"method": "none"},
                }
            )
            seconds[words] += play(config, load_task(config), InProcess())[0]
    print("| crowd | seconds per round, median | fastest |\n| --- | --: | --: |")
    for words, found in seconds.items():
        print(f"| {words} | {median(found):.3f} | {min(found):.3f} |")


if __name__ == "__main__":
    main()
