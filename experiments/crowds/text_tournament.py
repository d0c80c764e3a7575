"""A tournament of a real language model with bad workers, undefended and screened. `--out runs/text_tournament`.

Short GoEmotions neighbours of one emotion are dealt to twelve workers, three each; a third of the workers is bad. For every
behaviour it prints the distance of the model to the target and its energy distance to honest texts at the end, with nobody
bad, with bad workers, and with bad workers whom screens exclude, and the points per head of the bad over those of the others.
Every run is a folder under --out: given again, the command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from crowd_sim import run
from crowd_sim.crowd.behaviours.texts import TEXT_BEHAVIOURS
from crowd_sim.files import write_text
from crowd_sim.outcome import Outcome
from experiments.crowds.refusing import in_one_line

SHARE = 1 / 3
BEHAVIOURS = ("filler", "empty", "off_target", "word_salad")
"""Those that cost something here. Undefended, the others end as near as the honest crowd does."""

SETTING: dict[str, Any] = {
    "crowd": {"source": "goemotions", "n_workers": 12, "examples_per_worker": 3, "max_words": 10},
    "tournament": {"rounds": 2, "n_groups": 2, "grouping": "random", "mistake_probability": 0.0},
    "valuation": {"method": "none"},
    "task": {
        "kind": "imitate",
        "model": "smollm2-135m",
        "prompt_template": "<|im_start|>user\n{prompt}<|im_end|>\n<|im_start|>assistant\n",
        "epochs": 4,
        "batch_size": 4,
        "learning_rate": 2.0e-3,
        "generation": {"selection_outputs": 12, "report_outputs": 64, "max_new_tokens": 12},
    },
}


def rows(
    seed: int, emotion: str, phi: str | None, out: Path, behaviours: Sequence[str] = BEHAVIOURS
) -> Iterator[dict[str, Any]]:
    """A row per behaviour."""
    folder = out / f"seed-{seed}"
    crowd = SETTING["crowd"] | {"target": emotion}
    task = SETTING["task"] | ({} if phi is None else {"phi": {"kind": "distilled", "model": phi}})

    def ran(name: str, **sections: Any) -> Outcome:
        content = SETTING | {"seed": seed, "task": task, "crowd": crowd | sections.pop("crowd", {})} | sections
        return run(content, folder / name)

    def energy(name: str) -> float:
        found: dict[str, Any] = json.loads((folder / name / "summary.json").read_text())["energy"]
        return float(found[f"round_{SETTING['tournament']['rounds']}"]["mean"])

    honest = ran("honest").history.distances[-1, 0]
    for behaviour in behaviours:
        bad = {"bad": {"behaviour": behaviour, "share": SHARE}}
        for action in ("report", "exclude"):
            outcome = ran(f"{behaviour}-{action}", crowd=bad, screens={"action": action})
            points = outcome.history.points[0]
            workers = pd.read_parquet(folder / f"{behaviour}-{action}" / "workers.parquet")
            is_bad = workers["bad"].to_numpy(bool)
            yield {
                "seed": seed,
                "behaviour": behaviour,
                "action": action,
                "honest": honest,
                "distance": outcome.history.distances[-1, 0],
                "honest_energy": energy("honest"),
                "energy": energy(f"{behaviour}-{action}"),
                "per_head": points[is_bad].mean() / points[~is_bad].mean(),
                "found": workers.loc[is_bad, "flagged"].mean(),
                "false_alarms": workers.loc[~is_bad, "flagged"].mean(),
            }


def table(found: pd.DataFrame) -> Iterator[str]:
    """Lines of Markdown: means over the seeds."""
    yield (
        "| behaviour | nobody bad | undefended | screened | of the cost | energy, nobody bad | undefended | screened "
        "| found | false | pay, undefended | screened |"
    )
    yield "| --- |" + " ---: |" * 11
    means = found.groupby(["behaviour", "action"], sort=False).mean(numeric_only=True)
    for behaviour in dict.fromkeys(found["behaviour"]):
        before, after = means.loc[(behaviour, "report")], means.loc[(behaviour, "exclude")]
        left = (after["distance"] - after["honest"]) / (before["distance"] - before["honest"])
        cells = [before["honest"], before["distance"], after["distance"], left]
        cells += [before["honest_energy"], before["energy"], after["energy"]]
        cells += [after["found"], after["false_alarms"], before["per_head"], after["per_head"]]
        yield f"| {behaviour} | {' | '.join(f'{cell:.3f}' for cell in cells)} |"
    yield ""
    yield "of the cost: what of the distance that the attack added is left. pay: points per head of the bad over the others'."


@in_one_line
def main(arguments: Sequence[str] | None = None) -> None:
    """Run what is missing, and print the table after every seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--behaviours", nargs="+", choices=tuple(TEXT_BEHAVIOURS), default=BEHAVIOURS)
    parser.add_argument("--emotion", default="admiration")
    parser.add_argument("--phi", help="a folder of `crowd-sim data distill`; absent: the sentence embedding")
    given = parser.parse_args(arguments)
    found: list[dict[str, Any]] = []
    for seed in given.seeds:
        for row in rows(seed, given.emotion, given.phi, given.out, given.behaviours):
            found.append(row)
            print({name: np.round(value, 3) if isinstance(value, float) else value for name, value in row.items()})
    lines = list(table(pd.DataFrame(found)))
    write_text(given.out / "text_tournament.md", "\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
