"""Whom the screen `peers` flags, on many crowds: `python -m experiments.crowds.peers --out runs/peers --phi phi`.

Twelve workers with twenty pairs each, those of `experiments.crowds.rewarding`, on seeds that no other experiment has: a third
of them, drawn by the seed, turns a share of its pairs round. No language model is asked.

Prints, by share, the screen's AUC, whom it flags of these workers and of the others, and the AUC of a reward fitted to sixteen
trusted pairs, which reads everyone's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crowd_sim.crowd.screens.peers import PEERS
from crowd_sim.crowd.sources.goemotions import find_neighbourhoods
from crowd_sim.files import write_text
from crowd_sim.metrics import auc
from crowd_sim.models.phi import load_phi
from crowd_sim.models.reward_model import fit_reward
from crowd_sim.tasks.choose.screening import peer_agreement
from experiments.crowds.models import options, provenance
from experiments.crowds.preferring import N_BAD, bad_of, noisy
from experiments.crowds.refusing import in_one_line
from experiments.crowds.rewarding import N_WORKERS, Pairs, deal

SHARES = (0.0, 0.2, 0.3, 0.5, 1.0)
"""Of a bad worker's pairs, turned round."""


def rows_of(
    seed: int, pairs: Mapping[str, Pairs], vectors: Mapping[str, NDArray[np.float64]]
) -> Iterator[dict[str, float]]:
    """A row per share."""

    def sides(own: Pairs) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        better, worse = (np.array([vectors[pair[side]] for pair in own]) for side in ("chosen", "rejected"))
        return better, worse

    names = [f"w{i}" for i in range(N_WORKERS)]
    bad = np.array([name in bad_of(seed) for name in names])
    reward = fit_reward(*sides(pairs["expert"]))
    for share in SHARES:
        crowd = noisy(pairs["crowd"], seed, share)
        own = [sides([pair for pair in crowd if pair["worker"] == name]) for name in names]
        scores = PEERS.scores(peer_agreement([better for better, _ in own], [worse for _, worse in own]))
        flagged, trusted = PEERS.rule(scores), np.array([reward.accuracy(*pairs_of) for pairs_of in own])
        row = {"found": flagged[bad].mean(), "lost": flagged[~bad].mean()}
        row |= {"peers": auc(-scores[None], bad[None])[0], "expert": auc(trusted[None], bad[None])[0]}
        yield {"seed": seed, "share": share, **row}


def table(rows: pd.DataFrame) -> Iterator[str]:
    """Lines of Markdown."""
    yield "| pairs turned round by a third | AUC | they are flagged, % | others are, % | AUC of the expert's reward |"
    yield "| --: | --: | --: | --: | --: |"
    for share in SHARES:
        own = rows[rows["share"] == share]
        found, lost, peers, expert = (float(own[what].mean()) for what in ("found", "lost", "peers", "expert"))
        told = f"{peers:.3f} | {100 * found:.1f} | {100 * lost:.1f} | {expert:.3f}"
        if share == 0:  # nobody is bad: those are like the others
            told = f" |  | {100 * (found * N_BAD + lost * (N_WORKERS - N_BAD)) / N_WORKERS:.1f} | "
        yield f"| {100 * share:.0f} % | {told} |"


@in_one_line
def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = options(__doc__)
    parser.set_defaults(seeds=list(range(11, 41)))
    parser.add_argument("--phi", type=Path, help="a folder of `crowd-sim data distill`; absent: the paper's classifier")
    parser.add_argument("--emotion", default="admiration")
    given = parser.parse_args(arguments)
    phi = load_phi("classifier" if given.phi is None else "distilled", given.phi and str(given.phi))
    source = find_neighbourhoods(given.data)
    pairs = {seed: deal(source, given.emotion, seed) for seed in given.seeds}
    used = chain.from_iterable(own[part] for own in pairs.values() for part in ("crowd", "expert"))
    texts = list(dict.fromkeys(pair[side] for pair in used for side in ("chosen", "rejected")))
    vectors = dict(zip(texts, phi(texts), strict=True))
    rows = [row for seed, own in pairs.items() for row in rows_of(seed, own, vectors)]
    told = f"Seeds: {len(pairs)}, from {min(pairs)} to {max(pairs)}. Emotion: {given.emotion}."
    lines = [*table(pd.DataFrame(rows)), "", told, "", provenance()]
    write_text(given.out / "peers.md", "\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
