"""Who in a crowd mislabels, and what it costs: `python -m experiments.crowds.labelling --out runs/labelling`.

Short GoEmotions comments of four emotions are dealt to twelve workers, fifteen each; five workers agree on wrong labels
(`crowd.bad.behaviour=collude`). A real model (SmolLM2-135M) learns to call comments what the crowd calls them. Every arm
trains as many tokens as two passes over everyone's labels, 360 passes in all, and is reported on the same sixty comments:

- base: the model as it is; expert: tuned on sixteen trusted records alone; unfiltered: on everyone's labels;
- tournament: the paper's, four groups at random, rank points, the best of each round, scored by the expert's records;
- value-weighted: a first round tries every worker by itself, a second passes over examples by their workers' points^30;
- filtered: a model tuned for six passes on the expert's records reads all labels; whom it contradicts is left out.

Prints accuracy by arm, with 95 % intervals over the seeds, differences seed by seed, and how well workers are told apart.
Every arm of a seed is a folder under --out: given again, the command goes on where it was stopped, and reads what is finished.
Several processes may make different seeds, or arms, at once.
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
from crowd_sim.crowd.sources.neighbourhoods import read_neighbourhoods
from crowd_sim.files import write_text
from crowd_sim.random import Purpose, generator
from experiments.crowds.models import interval, options, provenance
from experiments.crowds.refusing import in_one_line

LABELS = ("admiration", "amusement", "curiosity", "love")
N_WORKERS, EACH, TRUSTED, REPORTED, MOST_WORDS = 12, 15, 4, 60, 13
"""Workers, comments of each, trusted records of each label, comments of the report, and words of a comment at most."""
TOKENS, SCREENING = 1170, 312
"""Trained by an arm: of two passes over everyone's labels; and those of the model that screens, of the same account."""

ALONE = {"rounds": 1, "n_groups": 1, "incumbent": False}

ARMS: dict[str, dict[str, Any]] = {
    "expert": {"tournament": ALONE, "task": {"tokens_per_round": TOKENS}},
    "unfiltered": {"tournament": ALONE, "task": {"tokens_per_round": TOKENS}},
    "filtered": {
        "tournament": ALONE,
        "task": {"tokens_per_round": TOKENS - SCREENING},
        "screens": {"action": "exclude"},
    },
    "tournament": {
        "tournament": {"rounds": 2, "n_groups": 4, "grouping": "random", "reward": "rank"},
        "task": {"tokens_per_round": TOKENS // 2},
    },
    "value-weighted": {
        "tournament": {
            "rounds": 2,
            "n_groups": N_WORKERS,
            "grouping": "random",
            "reward": "marginal",
            "exploit_every": 2,
            "weight_power": 30,
        },
        "task": {"tokens_per_round": TOKENS // 2},
    },
}
"""Configurations by name, besides what all have."""

CROWD_ARMS = ("tournament", "value-weighted", "filtered")


def content(arm: str, seed: int, data: Path, model: str = "smollm2-135m") -> dict[str, Any]:
    """An arm's configuration on the files of `deal`."""
    own = ARMS[arm]
    crowd: dict[str, Any] = {"path": str(data / "crowd.jsonl"), "n_workers": N_WORKERS}
    crowd["bad"] = {"behaviour": "collude", "share": 5 / N_WORKERS}
    if arm == "expert":
        crowd = {"path": str(data / "expert.jsonl"), "n_workers": 1}
    return {
        "seed": seed,
        "crowd": {"source": "records", "target": str(data / "report.jsonl")} | crowd,
        "tournament": {"mistake_probability": 0.0} | own["tournament"],
        "valuation": {"method": "none"},
        "task": {
            "kind": "classify",
            "model": model,
            "prompt_template": "{prompt}\n",
            "question": "{text}",
            "expert": str(data / "expert.jsonl"),
            "expert_epochs": 6,
            "batch_size": 8,
            "learning_rate": 2.0e-3,
        }
        | own["task"],
    } | {name: own[name] for name in ("screens",) if name in own}


def deal(source: Path, seed: int, out: Path, n_workers: int = N_WORKERS, each: int = EACH) -> None:
    """Write the files of a seed's crowd, its expert and its report: comments that come once, equally many of each label."""
    found = [(text, own.emotion) for own in read_neighbourhoods(source) if own.emotion in LABELS for text in own.texts]
    rows = pd.DataFrame(found, columns=["text", "label"]).drop_duplicates("text", keep=False)
    rows = rows[[len(text.split()) <= MOST_WORDS for text in rows["text"]]]
    draws = generator(seed, 0, Purpose.PEOPLE)
    left = {label: draws.permutation(rows.loc[rows["label"] == label, "text"].to_numpy()).tolist() for label in LABELS}

    def taken(of_each: int) -> list[dict[str, str]]:
        own = [{"text": left[label].pop(), "label": label} for label in LABELS for _ in range(of_each)]
        return [own[i] for i in draws.permutation(len(own))]

    expert, crowd = taken(TRUSTED), taken(n_workers * each // len(LABELS))
    rest = [{"text": text, "label": label} for label in LABELS for text in left[label]]
    report = [rest[i] for i in draws.permutation(len(rest))[:REPORTED]]
    files = {
        "expert": [row | {"worker": "expert"} for row in expert],
        "crowd": [row | {"worker": f"w{i % n_workers}"} for i, row in enumerate(crowd)],
        "report": [row | {"worker": "report"} for row in report],
    }
    for name, own in files.items():
        write_text(out / f"{name}.jsonl", "".join(json.dumps(row) + "\n" for row in own))


def rows_of(seed: int, out: Path, arms: Sequence[str], model: str = "smollm2-135m") -> Iterator[dict[str, Any]]:
    """A row per arm, and one of the model before: accuracy, cost, and how well workers are told apart; runs what is missing."""
    for arm in arms:
        folder = out / f"seed-{seed}"
        run(content(arm, seed, folder / "data", model), folder / arm)
        summary = json.loads((folder / arm / "summary.json").read_text())
        choices, metrics = summary["choices"], summary["metrics"]
        row = {"seed": seed, "arm": arm, "tokens": choices["tokens"]["mean"], "auc": np.nan, "lost": np.nan}
        row["accuracy"] = 100 * choices["accuracy_after"]["mean"]
        if arm == "filtered":
            workers = pd.read_parquet(folder / arm / "workers.parquet")
            row |= {"tokens": row["tokens"] + SCREENING, "auc": metrics["auc_expert"]["mean"]}
            row["lost"] = float((workers["flagged"] & ~workers["bad"]).sum())
        elif arm in CROWD_ARMS:
            row["auc"] = metrics["detection_points"]["mean"]
        print(f"seed {seed}, {arm}: {row['accuracy']:.1f} %", flush=True)
        yield row
        if arm == arms[0]:
            yield row | {
                "arm": "base",
                "accuracy": 100 * choices["accuracy_before"]["mean"],
                "tokens": 0.0,
                "auc": np.nan,
            }


def table(found: pd.DataFrame) -> Iterator[str]:
    """Lines of Markdown."""
    n_seeds = found["seed"].nunique()
    yield "| arm | accuracy, % | by seed | trained tokens | AUC | good workers lost |"
    yield "| --- | --: | --- | --: | --: | --: |"
    wide = found.pivot_table(index="seed", columns="arm", values="accuracy")
    for arm in [arm for arm in ("base", *ARMS) if arm in wide]:
        own = found[found["arm"] == arm]
        by_seed = ", ".join(f"{value:.1f}" for value in wide[arm])
        auc = "" if own["auc"].isna().all() else f"{own['auc'].mean():.3f}"
        lost = "" if own["lost"].isna().all() else ", ".join(f"{n:.0f}" for n in own["lost"])
        yield f"| {arm} | {interval(wide[arm])} | {by_seed} | {own['tokens'].mean():,.0f} | {auc} | {lost} |"
    yield ""
    yield "| difference, points | mean | by seed | wanted |"
    yield "| --- | --: | --- | --- |"
    means = {arm: found.loc[found["arm"] == arm, "accuracy"].to_numpy().mean() for arm in CROWD_ARMS if arm in wide}
    best = max(means, key=lambda arm: means[arm], default="filtered")
    for name, one, other, wanted in (
        ("best crowd arm and expert", best, "expert", "≥ 5 in the mean, none below 0"),
        ("best crowd arm and unfiltered", best, "unfiltered", "≥ 30"),
        ("value-weighted and tournament", "value-weighted", "tournament", "≥ 6"),
    ):
        if one not in wide or other not in wide:
            continue
        gaps = wide[one] - wide[other]
        shown = name.replace("best crowd arm", f"best crowd arm ({best})")
        yield f"| {shown} | {interval(gaps)} | {', '.join(f'{gap:+.1f}' for gap in gaps)} | {wanted} |"
    yield ""
    yield f"Seeds: {n_seeds}; 95 % intervals by Student's t over them. AUC: chance that who mislabels is told from another"
    yield "worker by the screen (filtered) or by points. The tokens of `filtered` are with those of the model that screens."


@in_one_line
def main(arguments: Sequence[str] | None = None) -> None:
    """Run what is missing, and print the table."""
    parser = options(__doc__)
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=ARMS, metavar="ARM")
    given = parser.parse_args(arguments)
    source = find_neighbourhoods(given.data)
    found: list[dict[str, Any]] = []
    for seed in given.seeds:
        deal(source, seed, given.out / f"seed-{seed}" / "data")
        found += rows_of(seed, given.out, given.arms, given.model)
    lines = [*table(pd.DataFrame(found)), "", provenance()]
    if given.arms == list(ARMS):
        write_text(given.out / "labelling.md", "\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
