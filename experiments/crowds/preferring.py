"""Supervised tuning, then preferences: `python -m experiments.crowds.preferring --out runs/preferring`.

The crowd, the trusted pairs and the 160 held-out pairs are those of `experiments.crowds.rewarding`, three seeds of them. A real
model (SmolLM2-135M) trains equally many tokens in every arm:

- sft: on the preferred comments alone, more than two passes over them;
- sft, dpo: one such pass (`task.sft_epochs=1`), then direct preference optimisation of the pairs;
- dpo: of the pairs from the start on;
- noisy: `sft, dpo` on a crowd of whom a third, drawn by the seed, has turned 30 % of its pairs round;
- dropped: the same without whom the screen `peers` flags: a Bradley-Terry reward on Φ, fitted to all others' pairs, reads
  everyone's. It trains no token of the language model.

Prints the share of held-out pairs that the model orders rightly, against its start, differences seed by seed with 95 %
intervals, and how well the workers who turn pairs round are told from the others by that screen, by
`experiments.crowds.pair_readers`, and by calibrated points of one round more (`scouting`), in which everyone is a group and DPO
trains as many tokens as an arm. Thirty-six trusted pairs judge there, each of another comment, as sixteen tell twelve
candidates apart less surely and four hardly; the report, which has lost most of its comments to them, is not looked at.

Every arm of a seed is a folder under --out: given again, the command goes on where it was stopped, and reads what is finished.
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
from crowd_sim.metrics import auc
from crowd_sim.models.phi import Phi, load_phi
from crowd_sim.random import Purpose, generator
from experiments.crowds.models import interval, options, provenance
from experiments.crowds.pair_readers import Sides, read
from experiments.crowds.refusing import in_one_line
from experiments.crowds.rewarding import N_WORKERS, Pairs, deal, preferences, turned, write_pairs

TOKENS = 4_500
"""Trained by an arm, and by the round that calibrated points come from."""
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
SCOUTING = "scouting"
JUDGES = 36
"""Trusted pairs of the round that calibrated points come from, each of another comment."""


def content(arm: str, seed: int, data: Path, phi: Path | None = None, model: str = "smollm2-135m") -> dict[str, Any]:
    """An arm's configuration on a seed's files."""
    made = preferences(seed, data, model, learning_rate=5.0e-4, tokens_per_round=TOKENS, **ARMS[arm])
    if arm in ("noisy", "dropped"):
        made["crowd"]["path"] = str(data / "noisy.jsonl")
    if arm == "dropped":
        made["screens"] = {"action": "exclude", "use": ["peers"]}
        made["task"]["phi"] = {"kind": "classifier"} if phi is None else {"kind": "distilled", "model": str(phi)}
    return made


def scouting(seed: int, data: Path, model: str = "smollm2-135m") -> dict[str, Any]:
    """The configuration of the round that earns the workers of the noisy crowd their calibrated points."""
    made = preferences(seed, data, model, learning_rate=1.0e-3, tokens_per_round=TOKENS, objective="dpo")
    # the held-out pairs are not looked at: all that points come from are the trusted ones
    made["crowd"] |= {"path": str(data / "noisy.jsonl"), "target": str(data / "few.jsonl")}
    made["task"]["expert"] = str(data / "judges.jsonl")
    made["tournament"] |= {"n_groups": N_WORKERS, "observe": ["calibrated"]}
    made["task"]["batch_size"] = 4
    return made


def bad_of(seed: int) -> set[str]:
    """The names of the workers who turn pairs round."""
    drawn = generator(seed, 2, Purpose.PEOPLE).permutation(N_WORKERS)[:N_BAD]
    return {f"w{i}" for i in drawn.tolist()}


def noisy(pairs: Pairs, seed: int, share: float = TURNED) -> Pairs:
    """A crowd's pairs, of which bad workers have turned a share round."""
    bad, crowd = bad_of(seed), list(pairs)
    for number, worker in enumerate(sorted({pair["worker"] for pair in pairs})):
        places = [i for i, pair in enumerate(pairs) if pair["worker"] == worker]
        own = [pairs[i] for i in places]
        for i, pair in zip(places, turned(own, share, 1000 * seed + number) if worker in bad else own, strict=True):
            crowd[i] = pair
    return crowd


def scouted(seed: int, folder: Path, model: str) -> dict[str, Any]:
    """How well calibrated points tell who turns pairs round; runs what is missing."""
    run(scouting(seed, folder / "data", model), folder / SCOUTING)
    workers = pd.read_parquet(folder / SCOUTING / "workers.parquet")
    bad = workers["worker"].isin(bad_of(seed)).to_numpy()
    found = float(auc(workers["points_calibrated"].to_numpy()[None], bad[None])[0])
    print(f"seed {seed}, calibrated points: AUC {found:.2f}", flush=True)
    return {"seed": seed, "way": "calibrated points", "auc": found}


def told_apart(seed: int, folder: Path, phi: Phi) -> Iterator[dict[str, Any]]:
    """A row per other way of telling who turns pairs round, of a finished `dropped`: its AUC."""
    files = {name: folder / "data" / f"{name}.jsonl" for name in ("noisy", "expert")}
    pairs = {name: [json.loads(line) for line in path.read_text().splitlines()] for name, path in files.items()}

    def sides(own: Pairs) -> Sides:
        vectors = phi([pair[side] for side in ("chosen", "rejected") for pair in own])
        return vectors[: len(own)], vectors[len(own) :]

    screened = pd.read_parquet(folder / "dropped" / "workers.parquet").set_index("worker")
    names = screened.index
    own = [sides([pair for pair in pairs["noisy"] if pair["worker"] == name]) for name in names]
    scores = {"screen `peers`": -screened["screen_peers"].to_numpy(), **read(own, sides(pairs["expert"]))}
    bad = names.isin(bad_of(seed))
    for way, told in scores.items():
        row = {"seed": seed, "way": way, "auc": float(auc(told[None], bad[None])[0])}
        if way == "screen `peers`":
            flagged = screened["flagged"].to_numpy()
            row |= {"found": int((flagged & bad).sum()), "lost": int((flagged & ~bad).sum())}
        print(f"seed {seed}, {way}: AUC {row['auc']:.2f}", flush=True)
        yield row


def rows_of(seed: int, out: Path, arms: Sequence[str], phi: Path | None, model: str) -> Iterator[dict[str, Any]]:
    """A row per arm on the files of `dealt`; runs what is missing."""
    folder = out / f"seed-{seed}"
    for arm in [arm for arm in arms if arm != SCOUTING]:
        run(content(arm, seed, folder / "data", phi, model), folder / arm.replace(", ", "-"))
        said = json.loads((folder / arm.replace(", ", "-") / "summary.json").read_text())["choices"]
        row = {"accuracy": 100 * said["accuracy_after"]["mean"], "margin": said["margin_after"]["mean"]}
        print(f"seed {seed}, {arm}: {row['accuracy']:.1f} %, margin {row['margin']:.2f}", flush=True)
        yield {"seed": seed, "arm": arm, "tokens": said["tokens"]["mean"], **row}


def table(rows: pd.DataFrame, found: pd.DataFrame) -> Iterator[str]:
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
    yield from ways(found)
    yield f"Seeds: {len(wide)}; 95 % intervals by Student's t over them."


def ways(found: pd.DataFrame) -> Iterator[str]:
    """Lines of Markdown: how well who turns pairs round is told from the others; none of no rows."""
    if found.empty:
        return
    yield "| who turns pairs round, by | AUC | by seed | wanted |"
    yield "| --- | --: | --- | --- |"
    for way, own in found.groupby("way", sort=False):
        by_seed = ", ".join(f"{value:.2f}" for value in own["auc"])
        yield f"| {way} | {own['auc'].mean():.2f} | {by_seed} | {'≥ 0.85' if way == 'calibrated points' else ''} |"
    yield ""
    flagged = found[found["way"] == "screen `peers`"]
    if flagged.empty:
        return
    right, wrong = (", ".join(f"{n:.0f}" for n in flagged[what]) for what in ("found", "lost"))
    yield f"The screen flags {right} of the {N_BAD} who turn pairs round, and {wrong} of the {N_WORKERS - N_BAD} others."


def dealt(source: Path, emotion: str, seed: int, data: Path) -> None:
    """Write the files of a seed."""
    pairs = deal(source, emotion, seed)
    judging = deal(source, emotion, seed, JUDGES)
    pairs |= {"noisy": noisy(pairs["crowd"], seed), "judges": judging["expert"], "few": judging["report"][:2]}
    for name, own in pairs.items():
        write_pairs(data / f"{name}.jsonl", own)


@in_one_line
def main(arguments: Sequence[str] | None = None) -> None:
    """Run what is missing, and print the tables."""
    parser = options(__doc__)
    parser.add_argument("--arms", nargs="+", default=[*ARMS, SCOUTING], choices=[*ARMS, SCOUTING], metavar="ARM")
    parser.add_argument("--phi", type=Path, help="a folder of `crowd-sim data distill`; absent: the paper's classifier")
    parser.add_argument("--emotion", default="admiration")
    given = parser.parse_args(arguments)
    source = find_neighbourhoods(given.data)
    rows: list[dict[str, Any]] = []
    told: list[dict[str, Any]] = []
    for seed in given.seeds:
        folder = given.out / f"seed-{seed}"
        dealt(source, given.emotion, seed, folder / "data")
        rows += rows_of(seed, given.out, given.arms, given.phi, given.model)
        if "dropped" in given.arms:
            phi = load_phi("classifier" if given.phi is None else "distilled", given.phi and str(given.phi))
            told += told_apart(seed, folder, phi)
        if SCOUTING in given.arms:
            told.append(scouted(seed, folder, given.model))
    lines = [*(table(pd.DataFrame(rows), pd.DataFrame(told)) if rows else ways(pd.DataFrame(told))), "", provenance()]
    write_text(given.out / "preferring.md", "\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
