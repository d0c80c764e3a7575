"""Does the worker who mislabels come last by value? `python -m experiments.crowds.label_values --out runs/label-values`.

Six workers label four short GoEmotions comments each, one of each emotion (`task.kind=classify`, dealt by
`experiments.crowds.labelling`); one of them, drawn by the seed, says wrong labels. A real model (SmolLM2-135M) is tuned on each
of the 64 coalitions; exact values stand beside the calibrated points of one round, in which everyone tunes by itself.

Prints everyone's value and calibrated points by seed, the bad worker's place by either, and Spearman's correlation of the two.
Every seed is a folder under --out: given again, the command goes on where it was stopped.
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
from experiments.crowds.labelling import deal
from experiments.crowds.models import interval, options, provenance
from experiments.crowds.refusing import in_one_line

N_WORKERS, EACH = 6, 4


def content(seed: int, data: Path, model: str = "smollm2-135m") -> dict[str, Any]:
    """A seed's configuration on the files of `deal`."""
    files = {name: str(data / f"{file}.jsonl") for name, file in (("path", "crowd"), ("target", "report"))}
    return {
        "seed": seed,
        "crowd": files
        | {"source": "records", "n_workers": N_WORKERS, "bad": {"behaviour": "flip", "share": 1 / N_WORKERS}},
        # values are those of models tuned from the start: later rounds say what somebody adds to a model that others have tuned
        "tournament": {
            "rounds": 1,
            "n_groups": N_WORKERS,
            "mistake_probability": 0.0,
            "incumbent": False,
            "observe": ["calibrated"],
        },
        "valuation": {"method": "exact"},
        "task": {
            "kind": "classify",
            "model": model,
            "prompt_template": "{prompt}\n",
            "question": "{text}",
            "expert": str(data / "expert.jsonl"),
            "epochs": 4,
            "batch_size": 100,  # a step per epoch for every coalition: more examples do not mean more steps
            "learning_rate": 2.0e-3,
            "dtype": "auto",  # bfloat16 where that is fast: half the time
        },
    }


def dealt(source: Path, seed: int, data: Path) -> None:
    """Write the files of a seed; everyone has equally many comments of each emotion, lest values be those of the shares."""
    deal(source, seed, data, N_WORKERS, EACH)
    rows = [json.loads(line) for line in (data / "crowd.jsonl").read_text().splitlines()]
    rows.sort(key=lambda row: row["label"])
    own = [row | {"worker": f"w{i % N_WORKERS}"} for i, row in enumerate(rows)]
    write_text(data / "crowd.jsonl", "".join(json.dumps(row) + "\n" for row in own))


def rows_of(seed: int, out: Path, model: str) -> pd.DataFrame:
    """The workers of a seed, those with the least value first; runs what is missing."""
    folder = out / f"seed-{seed}"
    run(content(seed, folder / "data", model), folder / "run")
    workers = pd.read_parquet(folder / "run" / "workers.parquet")
    print(f"seed {seed}: the bad worker's value is {_place(workers, 'shapley')} of {N_WORKERS}", flush=True)
    return workers.assign(seed=seed)


def _place(workers: pd.DataFrame, column: str) -> int:
    """The bad worker's place from the top, the last of those alike."""
    own = float(workers.loc[workers["bad"], column].iloc[0])
    return int((workers[column] >= own).sum())


def table(found: pd.DataFrame) -> Iterator[str]:
    """Lines of Markdown."""
    heads = " | ".join(f"w{i}" for i in range(N_WORKERS))
    yield f"| seed | {heads} | place by value | place by calibrated points | Spearman |"
    yield "| --: |" + " ---: |" * (N_WORKERS + 3)
    places, correlations = [], []
    for seed, own in found.groupby("seed"):
        shown = [
            f"{'**' * bad}{value:.3f} / {points:.1f}{'**' * bad}"
            for value, points, bad in zip(own["shapley"], own["points_calibrated"], own["bad"], strict=True)
        ]
        places.append(_place(own, "shapley"))
        correlations.append(float(own["shapley"].corr(own["points_calibrated"], method="spearman")))
        last = f"{places[-1]} | {_place(own, 'points_calibrated')} | {correlations[-1]:.2f}"
        yield f"| {seed} | {' | '.join(shown)} | {last} |"
    yield ""
    yield "Shapley value in nats / calibrated points; the bad worker's are bold."
    yield ""
    last_by_value = sum(place == N_WORKERS for place in places)
    yield f"The bad worker is last by value in {last_by_value} of {len(places)} seeds, wanted at least 4 of 5; Spearman's"
    yield f"correlation of calibrated points with the values is {interval(pd.Series(correlations))}, wanted at least 0.7."


@in_one_line
def main(arguments: Sequence[str] | None = None) -> None:
    """Run what is missing, and print the table."""
    parser = options(__doc__, 5)
    given = parser.parse_args(arguments)
    source, found = find_neighbourhoods(given.data), []
    for seed in given.seeds:
        dealt(source, seed, given.out / f"seed-{seed}" / "data")
        found.append(rows_of(seed, given.out, given.model))
    lines = [*table(pd.concat(found)), "", provenance()]
    write_text(given.out / "label_values.md", "\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
