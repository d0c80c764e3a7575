"""Supervised tuning, then preferences: `python -m experiments.crowds.preferring --out runs/preferring`.

The crowd, the trusted pairs and the 160 held-out pairs are those of `experiments.crowds.rewarding`, three seeds of them. A real
model (SmolLM2-135M) trains equally many tokens in every arm:

- sft: on the preferred comments alone, more than two passes over them;
- sft, dpo: one such pass (`task.sft_epochs=1`), then direct preference optimisation of the pairs;
- dpo: of the pairs from the start on;
- noisy: `sft, dpo` on a crowd of whom a third, drawn by the seed, has turned 30 % of its pairs round;
- dropped: the same without a third of the workers, those of the least calibrated points. They earn them in one round more, in
  which everyone is a group and DPO trains as many tokens as an arm; the 16 trusted pairs judge, the held-out ones do not.

Prints the share of held-out pairs that the model orders rightly, against its start, differences seed by seed with 95 %
intervals, and how well calibrated points tell the workers who turn pairs round from the others. Every arm of a seed is a folder
under --out: given again, the command goes on where it was stopped, and reads what is finished.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from crowd_sim import run
from crowd_sim.crowd.sources.goemotions import find_neighbourhoods
from crowd_sim.files import write_text
from crowd_sim.metrics import auc
from crowd_sim.random import Purpose, generator
from experiments.crowds.models import interval, options, provenance
from experiments.crowds.refusing import in_one_line
from experiments.crowds.rewarding import N_WORKERS, Pairs, deal, preferences, turned, write_pairs

TOKENS = 4_500
"""Trained by an arm."""
N_BAD, TURNED = N_WORKERS // 3, 0.3
"""Workers who turn pairs round, and the share of theirs that they do."""
WARM = {"objective": "dpo", "sft_epochs": 1}
ARMS: dict[str, dict[str, Any]] = {
    "sft": {"objective": "sft"},
    "sft, dpo": WARM,
    "noisy": WARM,
    "dropped": WARM,
    "dpo": {"objective": "dpo"},
}
"""What the section `task` has of its own."""
CROWDS = {"noisy": "noisy", "dropped": "dropped"}
"""The files of the arms that meet another crowd."""


def content(arm: str, seed: int, data: Path, model: str = "smollm2-135m") -> dict[str, Any]:
    """An arm's configuration on a seed's files."""
    made = preferences(seed, data, model, learning_rate=5.0e-4, tokens_per_round=TOKENS, **ARMS[arm])
    if arm in CROWDS:
        made["crowd"]["path"] = str(data / f"{CROWDS[arm]}.jsonl")
    if arm == "dropped":
        made["crowd"]["n_workers"] = N_WORKERS - N_BAD
    return made


def scouting(seed: int, data: Path, model: str = "smollm2-135m") -> dict[str, Any]:
    """The configuration of the round that earns the workers of the noisy crowd their calibrated points."""
    made = preferences(seed, data, model, learning_rate=1.0e-3, tokens_per_round=TOKENS, objective="dpo")
    # the held-out pairs are not looked at: all that points come from are the trusted ones
    made["crowd"] |= {"path": str(data / "noisy.jsonl"), "target": str(data / "few.jsonl")}
    made["tournament"] |= {"n_groups": N_WORKERS, "observe": ["calibrated"]}
    made["task"]["batch_size"] = 4
    return made


def bad_of(seed: int) -> set[str]:
    """The names of the workers who turn pairs round."""
    drawn = generator(seed, 2, Purpose.PEOPLE).permutation(N_WORKERS)[:N_BAD]
    return {f"w{i}" for i in drawn.tolist()}


def noisy(pairs: Pairs, seed: int) -> Pairs:
    """A crowd's pairs, of which bad workers have turned their share round."""
    bad, crowd = bad_of(seed), list(pairs)
    for number, worker in enumerate(sorted({pair["worker"] for pair in pairs})):
        places = [i for i, pair in enumerate(pairs) if pair["worker"] == worker]
        own = [pairs[i] for i in places]
        for i, pair in zip(places, turned(own, TURNED, 1000 * seed + number) if worker in bad else own, strict=True):
            crowd[i] = pair
    return crowd


def found(seed: int, folder: Path, model: str) -> float:
    """The chance that calibrated points tell who turns pairs round; writes the pairs of those with more of them."""
    run(scouting(seed, folder / "data", model), folder / "scouting")
    workers = pd.read_parquet(folder / "scouting" / "workers.parquet").sort_values("points_calibrated")
    bad = workers["worker"].isin(bad_of(seed)).to_numpy()
    last = set(workers["worker"].iloc[:N_BAD])
    pairs = [json.loads(line) for line in (folder / "data" / "noisy.jsonl").read_text().splitlines()]
    write_pairs(folder / "data" / "dropped.jsonl", [pair for pair in pairs if pair["worker"] not in last])
    return float(auc(workers["points_calibrated"].to_numpy()[None], bad[None])[0])


def rows_of(seed: int, out: Path, arms: Sequence[str], model: str) -> Iterator[dict[str, Any]]:
    """A row per arm on the files of `dealt`; runs what is missing."""
    folder = out / f"seed-{seed}"
    for arm in arms:
        told = found(seed, folder, model) if arm == "dropped" else np.nan
        run(content(arm, seed, folder / "data", model), folder / arm.replace(", ", "-"))
        said = json.loads((folder / arm.replace(", ", "-") / "summary.json").read_text())["choices"]
        row = {"accuracy": 100 * said["accuracy_after"]["mean"], "margin": said["margin_after"]["mean"], "auc": told}
        print(f"seed {seed}, {arm}: {row['accuracy']:.1f} %, margin {row['margin']:.2f}, AUC {told:.2f}", flush=True)
        yield {"seed": seed, "arm": arm, "tokens": said["tokens"]["mean"], **row}


def table(rows: pd.DataFrame) -> Iterator[str]:
    """Lines of Markdown."""
    yield "| arm | held-out pairs, % | by seed | margin, nats | trained tokens |"
    yield "| --- | --: | --- | --: | --: |"
    wide = rows.pivot_table(index="seed", columns="arm", values="accuracy")
    for arm in [arm for arm in ARMS if arm in wide]:
        own = rows[rows["arm"] == arm]
        by_seed = ", ".join(f"{value:.1f}" for value in wide[arm])
        told = f"{own['margin'].mean():.2f} | {own['tokens'].mean():,.0f}"
        yield f"| {arm} | {interval(wide[arm])} | {by_seed} | {told} |"
    yield ""
    yield "| difference, points | mean | by seed | wanted |"
    yield "| --- | --: | --- | --- |"
    for one, other, wanted in (
        ("sft, dpo", "sft", "≥ 6, interval above 0"),
        ("sft, dpo", "noisy", ""),
        ("dropped", "noisy", "≥ half of the row above"),
        ("dpo", "sft", ""),
    ):
        if one in wide and other in wide:
            gaps = wide[one] - wide[other]
            by_seed = ", ".join(f"{gap:+.1f}" for gap in gaps)
            yield f"| {one} and {other} | {interval(gaps)} | {by_seed} | {wanted} |"
    yield ""
    if "dropped" in wide:
        by_points = rows.loc[rows["arm"] == "dropped", "auc"]
        by_seed = ", ".join(f"{value:.2f}" for value in by_points)
        yield f"AUC of calibrated points: {by_points.mean():.2f} in the mean ({by_seed}), wanted at least 0.85."
    yield f"Seeds: {len(wide)}; 95 % intervals by Student's t over them."


def dealt(source: Path, emotion: str, seed: int, data: Path) -> None:
    """Write the files of a seed, but for that of `dropped`."""
    pairs = deal(source, emotion, seed)
    pairs |= {"noisy": noisy(pairs["crowd"], seed), "few": pairs["report"][:2]}
    for name, own in pairs.items():
        write_pairs(data / f"{name}.jsonl", own)


@in_one_line
def main(arguments: Sequence[str] | None = None) -> None:
    """Run what is missing, and print the tables."""
    parser = options(__doc__)
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=ARMS, metavar="ARM")
    parser.add_argument("--emotion", default="admiration")
    given = parser.parse_args(arguments)
    source = find_neighbourhoods(given.data)
    rows: list[dict[str, Any]] = []
    for seed in given.seeds:
        dealt(source, given.emotion, seed, given.out / f"seed-{seed}" / "data")
        rows += rows_of(seed, given.out, given.arms, given.model)
    lines = [*table(pd.DataFrame(rows)), "", provenance()]
    write_text(given.out / "preferring.md", "\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
