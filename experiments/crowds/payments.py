"""What the bad are paid per head, over the others, by rule and attack: `python -m experiments.crowds.payments`.

Means over runs and seeds of the ratio of totals per head, and for each rule, with nobody bad, how fair it is.
"""

from __future__ import annotations

import argparse

import numpy as np

from crowd_sim.metrics import spearman
from crowd_sim.participants import roles
from crowd_sim.payment.fairness import gini, jain, per_head
from experiments.crowds.paying import played, setting
from experiments.crowds.refusing import in_one_line

ATTACKS = ("alie", "mimic", "min_max", "away", "corner")
RULES = (
    ("rank", 1.0, False),
    ("rank", 10.0, False),
    ("calibrated", 10.0, False),
    ("shapley", 1.0, False),
    ("shapley", 2.0, False),
    ("banzhaf", 1.0, False),
    ("leave_one_out", 1.0, False),
    ("least_core", 1.0, False),
    ("gold", 1.0, False),
    ("calibrated", 10.0, True),
    ("shapley", 1.0, True),
    ("gold", 1.0, True),
)


def name_of(rule: str, power: float, merge: bool) -> str:
    """A row's name."""
    return rule + (f"^{power:g}" if power != 1.0 else "") + (", merged" if merge else "")


def ratios(attack: str | None, share: float, jitter: float, seeds: int, runs: int) -> dict[str, dict[str, float]]:
    """By rule: pay per head of the bad over the others; without an attack figures of fairness."""
    found: dict[str, dict[str, list[float]]] = {name_of(*rule): {} for rule in RULES}
    for seed in range(1, seeds + 1):
        bad = {"behaviour": attack, "share": share, "jitter": jitter} if attack else None
        with played(setting(seed, runs, bad=bad)) as rounds:
            who, values = roles([rounds.outcome.config]), rounds.outcome.values
            assert values is not None  # noqa: S101 - they are asked for
            for rule, power, merge in RULES:
                pay = rounds.paid(rule, power, merge=merge).pay
                row = found[name_of(rule, power, merge)]
                if who is not None:
                    row.setdefault("per head", []).extend(per_head(pay, who.bad))
                else:
                    for name, figure in (("jain", jain(pay)), ("gini", gini(pay)), ("rho", spearman(pay, values))):
                        row.setdefault(name, []).extend(figure)
    return {rule: {name: float(np.mean(sample)) for name, sample in row.items()} for rule, row in found.items()}


@in_one_line
def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--share", type=float, default=0.3)
    parser.add_argument("--jitter", type=float, default=0.0, help="fixed noise by which each of the bad differs")
    parser.add_argument("--attacks", nargs="+", default=list(ATTACKS))
    asked = parser.parse_args()
    columns = {attack: ratios(attack, asked.share, asked.jitter, asked.seeds, asked.runs) for attack in asked.attacks}
    honest = ratios(None, 0.0, 0.0, asked.seeds, asked.runs)
    heads = [*columns, "Jain", "Gini", "ρ with values"]
    print(f"| rule | {' | '.join(heads)} |\n| --- |{' --: |' * len(heads)}")
    for rule in (name_of(*rule) for rule in RULES):
        shown = [f"{column[rule]['per head']:.2f}" for column in columns.values()]
        shown += [f"{honest[rule][name]:.2f}" for name in ("jain", "gini", "rho")]
        print(f"| {rule} | {' | '.join(shown)} |")


if __name__ == "__main__":
    main()
