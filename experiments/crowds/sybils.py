"""What a worker gains who opens several accounts: `python -m experiments.crowds.sybils`.

One person of a crowd of 75 accounts has k of them. The gain is the pay of all its accounts, over what it is paid in a crowd of
the same persons with an account each: means over runs and seeds. Noise is normal, on what each account contributes: fixed, or
drawn anew every round. `--frontier` goes on to larger fixed noise.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from crowd_sim.metrics import pearson, spearman
from crowd_sim.participants import roles
from crowd_sim.report.pay_figures import pay_by_field
from crowd_sim.report.style import png, write_atomically
from experiments.crowds.paying import N, persons, played, setting
from experiments.crowds.refusing import in_one_line

RULES = (("rank", 1.0), ("calibrated", 1.0), ("shapley", 1.0))
NOISES = ((0.0, False), (0.1, False), (1.0, True))
FRONTIER = ((0.0, False), (0.1, False), (0.2, False), (0.3, False), (0.5, False), (0.7, False), (1.0, False))


def cell(k: int, jitter: float, fresh: bool, seeds: int, runs: int) -> dict[str, float]:
    """Gains by rule, unmerged and merged, and of the crowd of persons how merging treats the honest."""
    earned: dict[str, list[float]] = {}
    for seed in range(1, seeds + 1):
        bad = {"behaviour": "honest", "share": k / N, "identities": k, "jitter": jitter, "fresh": fresh}
        with played(setting(seed, runs, bad=bad)) as many:
            found = roles([many.outcome.config])
            assert found is not None  # noqa: S101 - there are bad ones
            people = persons(many, found.operators)
            owner = [int(operators[bad][0]) for operators, bad in zip(found.operators, found.bad, strict=True)]
            place = [
                int((rows[:first] >= 0).sum() - is_bad[:first].sum())
                for rows, first, is_bad in zip(many.outcome.workers, owner, found.bad, strict=True)
            ]
            with played(setting(seed, runs, N - k + 1), people) as alone:
                for rule, power in RULES:
                    for merge in (False, True):
                        pays = many.paid(rule, power, merge=merge).pay
                        base = alone.paid(rule, power, merge=merge).pay
                        name = f"{rule} {'merged' if merge else 'separate'}"
                        earned.setdefault(name, []).extend((pays * found.bad).sum(axis=1))
                        earned.setdefault(f"{name} alone", []).extend(base[np.arange(runs), place])
                merged = alone.paid("shapley", merge=True)
                values = alone.outcome.values
                assert merged.clusters is not None  # noqa: S101 - identities are merged
                assert values is not None  # noqa: S101 - they are asked for
                shared = [(np.bincount(own)[own] > 1).mean() for own in merged.clusters]
                earned.setdefault("honest merged", []).extend(shared)
                earned.setdefault("correlation", []).extend(pearson(merged.pay, values))
                earned.setdefault("rank correlation", []).extend(spearman(merged.pay, values))
    gains = {
        name: float(np.sum(earned[name]) / np.sum(earned[f"{name} alone"]))
        for name in earned
        if f"{name} alone" in earned
    }
    return gains | {name: float(np.mean(earned[name])) for name in ("honest merged", "correlation", "rank correlation")}


def draw(path: Path, gains: dict[float, dict[str, float]]) -> None:
    """The gains by noise, unmerged and merged, a line per rule."""
    rows = [
        {
            "payment.identities": kind,
            "crowd.bad.jitter": noise,
            "payment.rule": rule,
            "pay_sybil_gain_mean": found[head],
        }
        for noise, found in gains.items()
        for rule, _ in RULES
        for kind in ("separate", "merged")
        if (head := f"{rule} {kind}") in found
    ]
    write_atomically(path, png(pay_by_field(pd.DataFrame(rows), "pay_sybil_gain")))


@in_one_line
def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--identities", type=int, nargs="+", default=[2, 5, 10])
    parser.add_argument(
        "--frontier", action="store_true", help="larger fixed noise, for the largest number of identities"
    )
    parser.add_argument("--draw", type=Path, help="a file for the figure of the frontier")
    asked = parser.parse_args()
    cells = [(k, *noise) for k in asked.identities for noise in NOISES]
    if asked.frontier:
        cells = [(max(asked.identities), *noise) for noise in FRONTIER]
    heads = [f"{rule} {kind}" for rule, _ in RULES for kind in ("separate", "merged")]
    heads += ["honest merged", "correlation", "rank correlation"]
    print(f"| identities | noise | {' | '.join(heads)} |\n|{' --: |' * (len(heads) + 2)}")
    gains: dict[float, dict[str, float]] = {}
    for k, jitter, fresh in cells:
        found = gains[jitter] = cell(k, jitter, fresh, asked.seeds, asked.runs)
        shown = [
            f"{found[head]:.1%}"
            if head == "honest merged"
            else f"{found[head]:.3f}"
            if "corr" in head
            else f"{found[head]:.2f}"
            for head in heads
        ]
        print(f"| {k} | {jitter:g}{' fresh' if fresh else ''} | {' | '.join(shown)} |", flush=True)
    if asked.draw:
        draw(asked.draw, gains)


if __name__ == "__main__":
    main()
