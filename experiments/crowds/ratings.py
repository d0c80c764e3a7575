"""What aggregation makes of ratings by annotators of whom many are bad.

    python -m experiments.crowds.ratings

draws 100 annotators who judge 500 items of two labels, ten of them each item; honest ones are right with probability 0.7 to
0.95. It prints, for each kind of bad annotator and method, the share of items that get their true label; gold questions, 25
items whose answer is known, are not among them.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crowd_sim.crowd.ratings import METHODS, aggregate
from experiments.crowds.refusing import in_one_line

WORKERS, ITEMS, EACH, GOLD = 100, 500, 10, 25

Bad = Callable[[NDArray[Any], NDArray[Any], NDArray[Any]], NDArray[Any]]
"""(truth, whether an honest one with that skill would be right, what colluders have agreed on) → labels."""

BAD: Mapping[str, Bad] = {
    "flip: the opposite of what they think": lambda truth, right, _: np.where(right, 1 - truth, truth),
    "spam: always the same label": lambda truth, _, __: np.ones_like(truth),
    "collude: the same random answers": lambda _, __, agreed: agreed,
}


def judgements(kind: str, share: float, seed: int) -> tuple[pd.DataFrame, NDArray[Any]]:
    """A table of task, worker, label, and the true labels."""
    draws = np.random.default_rng(seed)
    truth, agreed = draws.integers(2, size=(2, ITEMS))
    bad = np.arange(WORKERS) < round(share * WORKERS)
    skill = draws.uniform(0.7, 0.95, WORKERS)
    workers = np.argsort(draws.random((ITEMS, WORKERS)), axis=1)[:, :EACH].ravel()
    tasks = np.repeat(np.arange(ITEMS), EACH)
    right = draws.random(len(tasks)) < skill[workers]
    honest = np.where(right, truth[tasks], 1 - truth[tasks])
    label = np.where(bad[workers], BAD[kind](truth[tasks], right, agreed[tasks]), honest)
    return pd.DataFrame({"task": tasks, "worker": workers, "label": label}), truth


@in_one_line
def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--share", type=float, default=0.4)
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    given = parser.parse_args(arguments)
    print(f"| {given.share:.0%} bad | {' | '.join(given.methods)} |")
    print("| --- |" + " --: |" * len(given.methods))
    for kind in BAD:
        cells = []
        for method in given.methods:
            shares = []
            for seed in given.seeds:
                table, truth = judgements(kind, given.share, seed)
                gold = dict(enumerate(truth[:GOLD].tolist())) if method == "gold" else None
                labels = aggregate(table, method, gold, seed).labels
                shares.append((labels.to_numpy() == truth)[GOLD:].mean())
            cells.append(f"{np.mean(shares):.3f}")
        print(f"| {kind} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
