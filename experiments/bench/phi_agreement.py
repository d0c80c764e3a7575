"""How often a distilled Φ picks the same winner of three groups of texts as the classifier that it stands in for.

    python -m experiments.bench.phi_agreement

reads neighbourhoods.parquet, generated_scored.parquet and labels.json in goemotions/ of the environment's CROWD_SIM_DATA (or
--data). The groups of an emotion are its generated texts by ``n_train``, some 50 each; the winner is the group with the least
mean distance to the centroid of the emotion's neighbours. Every text is judged by a head that was not fitted to it. Printed:
the share of the emotions with the same winner; the same for groups drawn anew from each group's texts, 100 times an emotion;
how much of the way from the worst to the best group the choices are worth by the classifier's distances (chance: about half).
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet
from numpy.typing import NDArray

from crowd_sim.cli.distill import read_labels
from crowd_sim.crowd.sources.goemotions import find_neighbourhoods
from crowd_sim.crowd.sources.neighbourhoods import read_neighbourhoods
from crowd_sim.models.distill import distill, read_scored_texts
from crowd_sim.random import Purpose, generator

N_DRAWS = 100
Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Agreement:
    """How two judges' choices compare.

    Attributes:
        same: share of equal winners.
        worth: mean over the choices of (worst − chosen) / (worst − best), by the first judge's mean distances.
        n: choices.
    """

    same: float
    worth: float
    n: int


def agreement(first: Matrix, second: Matrix) -> Agreement:
    """Of the first judge with the second, by their mean distances [n, groups]; the least wins."""
    chosen = np.take_along_axis(first, second.argmin(axis=1)[:, None], axis=1)[:, 0]
    worst, best = first.max(axis=1), first.min(axis=1)
    same = first.argmin(axis=1) == second.argmin(axis=1)
    return Agreement(float(same.mean()), float(((worst - chosen) / (worst - best)).mean()), len(first))


def distances(scores: Matrix, centre: Matrix) -> Matrix:
    """Of each row to a centre."""
    return np.linalg.norm(scores - centre, axis=1)


def main() -> None:
    """Prints the comparison."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--data", type=Path, default=None)
    parser.add_argument("--encoder", default="minilm")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    place = find_neighbourhoods(arguments.data)
    path = place.parent / "generated_scored.parquet"
    neighbourhoods = read_neighbourhoods(place)
    given = read_scored_texts(path)
    judged = tuple(text for one in neighbourhoods for text in one.texts)
    made = distill(given, read_labels(place.parent / "labels.json"), arguments.encoder, arguments.seed, judged)
    groups = pyarrow.parquet.read_table(path, columns=["emotion", "n_train"]).to_pandas().iloc[made.rows]
    real, guessed = given.scores[made.rows], made.held_out
    whole: list[tuple[list[float], list[float]]] = []
    drawn: list[tuple[list[float], list[float]]] = []
    for number, one in enumerate(neighbourhoods):
        by_real = distances(real, one.scores[1:].mean(axis=0))
        by_guess = distances(guessed, made.phi(one.texts[1:]).mean(axis=0))
        rows = [np.flatnonzero((groups["emotion"] == one.emotion) & (groups["n_train"] == k)) for k in (33, 66, 100)]
        whole.append(([by_real[r].mean() for r in rows], [by_guess[r].mean() for r in rows]))
        draws = generator(arguments.seed, number, Purpose.DISTILL, round_index=1)
        for _ in range(N_DRAWS):
            again = [draws.choice(r, len(r)) for r in rows]
            drawn.append(([by_real[r].mean() for r in again], [by_guess[r].mean() for r in again]))
    print(f"held out: {made.quality}")
    print("| groups | choices | same winner | worth |\n| --- | --- | --- | --- |")
    for name, pairs in (("as they are", whole), ("drawn anew", drawn)):
        found = agreement(np.array([first for first, _ in pairs]), np.array([second for _, second in pairs]))
        print(f"| {name} | {found.n} | {found.same:.1%} | {found.worth:.2f} |")


if __name__ == "__main__":
    main()
