"""Supervised tuning, then preferences: `python -m experiments.crowds.preferring --out runs/preferring`.

The crowd, the trusted pairs and the 160 held-out pairs are those of `experiments.crowds.rewarding`, three seeds of them. A real
model (SmolLM2-135M) trains equally many tokens in every arm:

- sft: on the preferred comments alone, about three passes over them;
- sft, dpo: one such pass (`task.sft_epochs=1`), then direct preference optimisation of the pairs;
- dpo: of the pairs from the start on.

Prints the share of held-out pairs that the model orders rightly, against its start, and differences seed by seed with 95 %
intervals. Every arm of a seed is a folder under --out: given again, the command goes on where it was stopped, and reads what is
finished.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from crowd_sim import run
from crowd_sim.crowd.sources.goemotions import find_neighbourhoods
from crowd_sim.files import write_text
from experiments.crowds.models import interval, options, provenance
from experiments.crowds.refusing import in_one_line
from experiments.crowds.rewarding import deal, preferences, write_pairs

TOKENS = 9_000
"""Trained by an arm."""
ARMS: dict[str, dict[str, Any]] = {
    "sft": {"objective": "sft"},
    "sft, dpo": {"objective": "dpo", "sft_epochs": 1},
    "dpo": {"objective": "dpo"},
}
"""What the section `task` has of its own."""


def content(arm: str, seed: int, data: Path, model: str = "smollm2-135m") -> dict[str, Any]:
    """An arm's configuration on a seed's files."""
    return preferences(seed, data, model, learning_rate=5.0e-4, tokens_per_round=TOKENS, **ARMS[arm])


def rows_of(seed: int, out: Path, arms: Sequence[str], model: str) -> Iterator[dict[str, Any]]:
    """A row per arm; runs what is missing."""
    for arm in arms:
        folder = out / f"seed-{seed}" / arm.replace(", ", "-")
        run(content(arm, seed, out / f"seed-{seed}" / "data", model), folder)
        found = json.loads((folder / "summary.json").read_text())["choices"]
        row = {"accuracy": 100 * found["accuracy_after"]["mean"], "margin": found["margin_after"]["mean"]}
        print(f"seed {seed}, {arm}: {row['accuracy']:.1f} %", flush=True)
        yield {"seed": seed, "arm": arm, "tokens": found["tokens"]["mean"], **row}


def table(found: pd.DataFrame) -> Iterator[str]:
    """Lines of Markdown."""
    yield "| arm | held-out pairs, % | by seed | margin, nats | trained tokens |"
    yield "| --- | --: | --- | --: | --: |"
    wide = found.pivot_table(index="seed", columns="arm", values="accuracy")
    for arm in [arm for arm in ARMS if arm in wide]:
        own = found[found["arm"] == arm]
        by_seed = ", ".join(f"{value:.1f}" for value in wide[arm])
        told = f"{own['margin'].mean():.2f} | {own['tokens'].mean():,.0f}"
        yield f"| {arm} | {interval(wide[arm])} | {by_seed} | {told} |"
    yield ""
    yield "| difference, points | mean | by seed | wanted |"
    yield "| --- | --: | --- | --- |"
    for arm, wanted in (("sft, dpo", "≥ 6, interval above 0"), ("dpo", "")):
        if arm in wide and "sft" in wide:
            gaps = wide[arm] - wide["sft"]
            yield f"| {arm} and sft | {interval(gaps)} | {', '.join(f'{gap:+.1f}' for gap in gaps)} | {wanted} |"
    yield ""
    yield f"Seeds: {len(wide)}; 95 % intervals by Student's t over them."


@in_one_line
def main(arguments: Sequence[str] | None = None) -> None:
    """Run what is missing, and print the tables."""
    parser = options(__doc__)
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=ARMS, metavar="ARM")
    parser.add_argument("--emotion", default="admiration")
    given = parser.parse_args(arguments)
    source = find_neighbourhoods(given.data)
    found: list[dict[str, Any]] = []
    for seed in given.seeds:
        for name, own in deal(source, given.emotion, seed).items():
            write_pairs(given.out / f"seed-{seed}" / "data" / f"{name}.jsonl", own)
        found += rows_of(seed, given.out, given.arms, given.model)
    lines = [*table(pd.DataFrame(found)), "", provenance()]
    write_text(given.out / "preferring.md", "\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
