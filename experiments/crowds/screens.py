"""How well screens find bad workers who contribute vectors.

    python -m experiments.crowds.screens

prints, for each behaviour and share of bad workers, the largest AUC among the screens and which one has it, the share of the
bad that is flagged, and the share of the others that is (false alarms). MovieLens is read from the environment's
`CROWD_SIM_DATA`.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np

from crowd_sim import run
from crowd_sim.crowd.behaviours import BAD_BEHAVIOURS
from experiments.crowds.attacks import SETTING
from experiments.crowds.refusing import in_one_line


def measured(behaviour: str, share: float, runs: int, seeds: Sequence[int], rounds: int) -> dict[str, float]:
    """Means of the metrics of screens, over runs and seeds."""
    content = SETTING | {"tournament": SETTING["tournament"] | {"rounds": rounds}, "screens": {"action": "report"}}
    bad = {"behaviour": behaviour, "share": share}
    outcomes = [run(content, runs=runs, seed=seed, crowd__bad=bad) for seed in seeds]
    names = [name for name in outcomes[0].metrics if name.startswith(("screens_", "auc_"))]
    return {name: float(np.mean([outcome.metrics[name] for outcome in outcomes])) for name in names}


@in_one_line
def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--shares", type=float, nargs="+", default=[0.1, 0.3])
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument(
        "--behaviours", nargs="+", default=[name for name in BAD_BEHAVIOURS if name != "honest"], metavar="NAME"
    )
    given = parser.parse_args(arguments)
    honest = measured("echo", 0.0, given.runs, given.seeds, given.rounds)["screens_flagged"]
    print(f"nobody bad: {honest:.1%} flagged\n")
    print("| behaviour |" + "".join(f" {share:.0%}: AUC | by | found | false |" for share in given.shares))
    print("| --- |" + " --: | --- | --: | --: |" * len(given.shares))
    for name in given.behaviours:
        cells = []
        for share in given.shares:
            found = measured(name, share, given.runs, given.seeds, given.rounds)
            best = max((key for key in found if key.startswith("auc_")), key=found.__getitem__)
            flags = f"{found['screens_found']:.0%} | {found['screens_false_alarms']:.1%}"
            cells.append(f"{found[best]:.3f} | {best.removeprefix('auc_')} | {flags}")
        print(f"| `{name}` | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
