"""How far every attack leaves the plain tournament from its target.

    python -m experiments.crowds.attacks

prints, for each behaviour and share of bad workers, the mean final distance over runs and seeds, as a Markdown table. MovieLens
is read from the environment's `CROWD_SIM_DATA`.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

import numpy as np

from crowd_sim import run
from crowd_sim.crowd.behaviours import BAD_BEHAVIOURS
from experiments.crowds.refusing import in_one_line

SETTING: dict[str, Any] = {
    "crowd": {"source": "movielens", "n_workers": 75},
    "tournament": {"rounds": 100, "n_groups": 4},
    "valuation": {"method": "none"},
}


def distance(behaviour: str, share: float, runs: int, seeds: Sequence[int]) -> float:
    """Mean final distance."""
    bad = {"behaviour": behaviour, "share": share}
    outcomes = [run(SETTING, runs=runs, seed=seed, crowd__bad=bad) for seed in seeds]
    return float(np.mean([outcome.metrics["final_distance"] for outcome in outcomes]))


@in_one_line
def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--shares", type=float, nargs="+", default=[0.1, 0.3, 0.5])
    parser.add_argument(
        "--behaviours", nargs="+", default=[name for name in BAD_BEHAVIOURS if name != "honest"], metavar="NAME"
    )
    given = parser.parse_args(arguments)
    print(f"nobody bad: {distance('honest', 0.0, given.runs, given.seeds):.2f}\n")
    print("| behaviour |" + "".join(f" {share:.0%} |" for share in given.shares))
    print("| --- |" + " --: |" * len(given.shares))
    for name in given.behaviours:
        found = [distance(name, share, given.runs, given.seeds) for share in given.shares]
        print(f"| `{name}` |" + "".join(f" {one:.2f} |" for one in found), flush=True)


if __name__ == "__main__":
    main()
