"""Where effort settles by payment: `python -m experiments.crowds.effort`.

Full effort costs 0.3 of the mean pay. Without effort a worker's error, vector − target, is twice as large; with
`--errors random` it has normal noise of standard deviation 5 instead. Then a contest whose equilibrium is known, and peer
prediction by labels.
"""

from __future__ import annotations

import argparse

import numpy as np
from numpy.typing import NDArray

from crowd_sim.commands.equilibrium import Errors, equilibrium
from crowd_sim.config import RunConfig
from crowd_sim.payment.division import divide, raised
from crowd_sim.payment.effort import EffortGame
from crowd_sim.payment.labels import dmi
from experiments.crowds.paying import setting
from experiments.crowds.refusing import in_one_line

RULES = (("equal", 1.0), ("points", 1.0), ("points", 10.0), ("calibrated", 10.0), ("shapley", 1.0), ("gold", 1.0))
NOISE = {Errors.OWN: 1.0, Errors.RANDOM: 5.0}


def effort_rows(errors: Errors, cost: float, levels: int, seeds: int, runs: int) -> None:
    """Print a row per rule; gains and distances are means over seeds."""
    heads = (
        "rule",
        "settles from 1",
        "from 0",
        "equilibria",
        "regret of full effort",
        "distance there",
        "at full effort",
    )
    print(f"| {' | '.join(heads)} |\n|{' --: |' * len(heads)}")
    for rule, power in RULES:
        found = []
        for seed in range(1, seeds + 1):
            content = setting(seed, runs).model_dump()
            content["payment"] = {"rule": rule, "power": power}
            found.append(equilibrium(RunConfig.parse(content), cost, NOISE[errors], levels, errors))
        game = EffortGame(found[0].game.levels, cost, np.concatenate([one.game.pays for one in found], axis=2))
        distances = np.concatenate([one.distances for one in found], axis=1).mean(axis=1)
        ends = [game.settles(start) for start in (levels - 1, 0)]
        told = [" to ".join(f"{game.levels[number]:.2g}" for number in end) for end in ends]
        stays = ", ".join(f"{game.levels[number]:.2g}" for number in game.equilibria) or "none"
        regret, error = game.regret
        name = rule + (f"^{power:g}" if power != 1.0 else "")
        print(
            f"| {name} | {told[0]} | {told[1]} | {stays} | {max(regret, 0.0):.2f} ± {error:.2f} | "
            f"{distances[ends[0][0]]:.2f} | {distances[-1]:.2f} |",
            flush=True,
        )


def contest(n: int, power: float, cost: float) -> tuple[float, float]:
    """Tullock's equilibrium, and that of the grid."""

    def pays(others: float, own: float) -> NDArray[np.float64]:
        scores = np.full(n, others)
        scores[0] = own
        return divide(raised(scores, power), float(n))[0][:1]

    expected = power * (n - 1) / (n * cost)
    game = EffortGame.of(pays, expected * np.linspace(0.5, 1.5, 52), cost)
    return expected, float(game.levels[game.equilibria].mean())


def reporters(runs: int) -> dict[str, tuple[float, float]]:
    """DMI of those who look, say the same always, or say anything: mean and standard error."""
    draws = np.random.default_rng(0)
    scores = []
    for _ in range(runs):
        truth = draws.integers(0, 2, 60)
        labels = [np.where(draws.random(60) < 0.8, truth, 1 - truth) for _ in range(8)]
        scores.append(dmi(np.column_stack([*labels, np.zeros(60, dtype=np.int64), draws.integers(0, 2, 60)]), 2))
    kept = np.array(scores)
    mean, error = kept.mean(axis=0), kept.std(axis=0, ddof=1) / np.sqrt(runs)
    return {
        "honest, right in 80 %": (mean[:8].mean(), error[:8].mean()),
        "constant": (mean[8], error[8]),
        "random": (mean[9], error[9]),
    }


@in_one_line
def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--levels", type=int, default=5)
    parser.add_argument("--cost", type=float, default=0.3)
    parser.add_argument("--errors", type=Errors, choices=list(Errors), default=Errors.OWN)
    asked = parser.parse_args()
    effort_rows(asked.errors, asked.cost, asked.levels, asked.seeds, asked.runs)
    print("\n| contest: n, power, cost | Tullock | here |\n| --- | --: | --: |")
    for n, power, cost in ((10, 1.0, 2.0), (5, 1.2, 1.7), (40, 0.5, 0.9)):
        expected, found = contest(n, power, cost)
        print(f"| {n}, {power:g}, {cost:g} | {expected:.4f} | {found:.4f} |")
    print("\n| reporter | DMI, mean ± standard error |\n| --- | --: |")
    for name, (mean, error) in reporters(500).items():
        print(f"| {name} | {mean:.5f} ± {error:.5f} |")


if __name__ == "__main__":
    main()
