"""The result table of many LLM runs: `python -m experiments.paper.llm_table FOLDER...`.

The FOLDERs are of sweeps over emotions and seeds that have, together, every `tournament.search`: `best` is the variant
`tournament`, `merge` is `merging`, and `halving`. Written into the first, or to --out, are llm_table.csv (a row per emotion),
llm_overall.csv (means over all, with intervals), llm_table.md and llm_bars.png. Distances are means over fresh outputs; a
reduction is 100 (1 − distance / a single model's distance) of a seed, then averaged. A variant of smaller steps is also held
against single models of steps as small.
Exit status 1 if the best variant's mean reduction against the single model of 100 examples is below the paper's mean.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from crowd_sim.characters import csv_cell
from crowd_sim.errors import InputError
from crowd_sim.files import write_text
from crowd_sim.report.labels import minus, model_words, phi_words
from crowd_sim.report.style import png, write_atomically
from experiments.paper.llm_bars import bars_by_emotion
from experiments.paper.llm_folder import EQUAL, LARGEST, MODELS, OWN, REDUCTIONS, SHARES, VARIANTS, Cells, read_cells

WANTED = 28.5
"""The paper's mean reduction in percent over its 28 emotions; 22 of them are published one by one."""

PAPER_PHI = "SamLowe/roberta-base-go_emotions"

FIGURES = (*MODELS, *REDUCTIONS, *(f"{model}_{share}" for model in MODELS for share in SHARES))
PUBLISHED = {"single": "published_single_100", "multi": "published_tournament", "reduction_pct": "published_reduction"}
"""Columns of the published table and what they are called here."""


def published() -> pd.DataFrame:
    """The paper's single model of 100 examples and its third round, 22 emotions (arXiv 2506.04063)."""
    with files("experiments.paper").joinpath("published_llm.csv").open(encoding="utf-8") as file:
        return pd.read_csv(file).rename(columns=PUBLISHED)


def by_emotion(cells: pd.DataFrame) -> pd.DataFrame:
    """One row per emotion: seeds, means over them, standard errors as ``<column>_se``, and the published figures."""
    grouped = cells.groupby("emotion", sort=False)
    columns = list(FIGURES)
    table = pd.concat(
        [grouped.size().rename("seeds"), grouped[columns].mean(), grouped[columns].sem().add_suffix("_se")], axis=1
    )
    return table.reset_index().merge(published(), on="emotion", how="left", validate="one_to_one")


def overall(cells: pd.DataFrame) -> pd.DataFrame:
    """Means with 95 % intervals, for every column twice.

    ``over`` is `cells` (Student's t over all cells, taken for independent) or `emotions` (over the emotions' means, which
    allows for seeds of one emotion being alike: each emotion is a cluster). Columns besides: ``column``, ``n``, ``mean``,
    ``lower``, ``upper``, the last two NaN where n = 1.
    """
    emotions = cells.groupby("emotion")[list(FIGURES)].mean()
    rows = [
        {"column": column, "over": over, **_interval(sample[column].to_numpy(float))}
        for column in FIGURES
        for over, sample in (("cells", cells), ("emotions", emotions))
    ]
    return pd.DataFrame(rows)


def best_variant(cells: pd.DataFrame) -> str:
    """The variant whose mean reduction against the single model of 100 examples, each emotion counting once, is larger."""
    means = cells.groupby("emotion")[[f"{variant}_{LARGEST}" for variant in VARIANTS]].mean().mean()
    return VARIANTS[int(means.to_numpy().argmax())]


def markdown(table: pd.DataFrame, means: pd.DataFrame, best: str, phi: str) -> Iterator[str]:
    """The lines of llm_table.md."""
    heads = ["emotion", "seeds", *(_head(name) for name in (*MODELS, *REDUCTIONS)), *_PUBLISHED_HEADS]
    yield f"| {' | '.join(heads)} |"
    yield "| --- |" + " ---: |" * (len(heads) - 1)
    for row in table.to_dict("records"):
        figures = [_figure(row[name], name) for name in (*MODELS, *REDUCTIONS, *PUBLISHED.values())]
        yield f"| {row['emotion']} | {row['seeds']} | {' | '.join(figures)} |"
    columns = [*MODELS, *REDUCTIONS, *PUBLISHED.values()]
    averages = [_figure(table[name].mean(), name) for name in columns]
    yield f"| **mean over emotions** | {table['seeds'].sum()} | {' | '.join(averages)} |"
    yield ""
    yield "Mean distance of fresh outputs, then over seeds. % nearer: 100 (1 − distance / the other's), mean of the seeds' own."
    yield f"Φ = {phi_words(phi)}. Published: under the paper's Φ, {PAPER_PHI}; distances under different Φ do not compare."
    yield ""
    yield "| mean | over cells, taken for independent | over emotions, each a cluster | % distinct | % copied |"
    yield "| --- | ---: | ---: | ---: | ---: |"
    for name in (*MODELS, *REDUCTIONS):
        both = [_with_interval(_mean(means, name, over)) for over in ("cells", "emotions")]
        shares = [f"{_mean(means, f'{name}_{share}')['mean']:.0f}" if name in MODELS else "" for share in SHARES]
        yield f"| {_head(name)} | {' | '.join([*both, *shares])} |"
    yield ""
    yield f"% nearer than {_head(EQUAL)}: for halving, in steps of its size."
    yield "% distinct: different ones among a model's outputs. % copied: outputs that are, or begin, one of the 100 examples."
    n = {over: int(part["n"].iloc[0]) for over, part in means.groupby("over")}
    yield f"95 % intervals: Student's t over {n['cells']} cells (emotion and seed), or over {n['emotions']} emotions' means."
    yield ""
    yield verdict(means, best)


def verdict(means: pd.DataFrame, best: str) -> str:
    """What the best variant came to, and whether that is what is wanted; all are seen before one is called best."""
    others = (LARGEST, EQUAL, *(f"{name}_of_{best}" for name in OWN.get(best, ()) if name == LARGEST))
    against = {name: _mean(means, f"{best}_{name}") for name in others}
    missed = "" if against[LARGEST]["mean"] >= WANTED else " (MISSED)"
    steps = "".join(
        f", and against that of 100 examples in steps as small by {_with_interval(against[name])} %"
        for name in others[2:]
    )
    return (
        f"Best variant, chosen afterwards: {best}. Against the single model of 100 examples the distance is reduced by "
        f"{_with_interval(against[LARGEST])} %, wanted {WANTED}{missed}; against that of equal tokens by "
        f"{_with_interval(against[EQUAL])} %{steps}."
    )


def write(cells: Cells, out: Path) -> bool:
    """Write table, means, page and figure; whether the best variant comes to what is wanted."""
    table, means, best = by_emotion(cells.table), overall(cells.table), best_variant(cells.table)
    write_text(out / "llm_table.csv", table.map(csv_cell).to_csv(index=False, float_format="%.6g"))
    write_text(out / "llm_overall.csv", means.to_csv(index=False, float_format="%.6g"))
    write_text(out / "llm_table.md", "\n".join(markdown(table, means, best, cells.phi)) + "\n")
    write_atomically(out / "llm_bars.png", png(bars_by_emotion(table, best)))
    return bool(_mean(means, f"{best}_{LARGEST}")["mean"] >= WANTED)


_PUBLISHED_HEADS = ("published: single 100", "published: tournament", "published: % nearer")


def _interval(sample: NDArray[np.float64]) -> dict[str, float]:
    n, mean = len(sample), float(sample.mean())
    half = float(stats.t.ppf(0.975, n - 1) * sample.std(ddof=1) / np.sqrt(n)) if n > 1 else float("nan")
    return {"n": n, "mean": mean, "lower": mean - half, "upper": mean + half}


def _mean(means: pd.DataFrame, column: str, over: str = "emotions") -> pd.Series:
    return means[(means["column"] == column) & (means["over"] == over)].iloc[0]


def _head(name: str) -> str:
    if name in REDUCTIONS:
        variant, _, other = name.partition("_")
        return f"{variant}: % nearer than {_head(other)}"
    if "_of_" in name:
        baseline, variant = name.split("_of_")
        return f"{_head(baseline)} in steps of {variant}"
    return model_words(name).replace(",", "").replace(" examples", "")


def _figure(value: float, column: str) -> str:
    if np.isnan(value):
        return ""
    return minus(f"{value:.1f}" if column in (*REDUCTIONS, "published_reduction") else f"{value:.4f}")


def _with_interval(row: pd.Series) -> str:
    lower, mean, upper = (_figure(float(row[name]), str(row["column"])) for name in ("lower", "mean", "upper"))
    return f"{mean} [{lower}, {upper}]" if lower else mean


def main() -> None:
    """Make the tables of sweeps."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example: python -m experiments.paper.llm_table runs/llm runs/llm-halving --out experiments/results",
    )
    parser.add_argument(
        "folder", type=Path, nargs="+", help="of a finished sweep, as of experiments/configs/llm_sweep.yaml"
    )
    parser.add_argument("--out", type=Path, help="where the tables go; absent: into the first folder")
    arguments = parser.parse_args()
    try:
        cells = read_cells(arguments.folder)
    except InputError as error:
        print(f"llm_table: {error}", file=sys.stderr)
        sys.exit(2)
    out = arguments.out or arguments.folder[0]
    met = write(cells, out)
    print((out / "llm_table.md").read_text(encoding="utf-8"), end="")
    if cells.unfinished:
        print(f"left out, not all variants finished: {', '.join(cells.unfinished)}")
    sys.exit(0 if met else 1)


if __name__ == "__main__":
    main()
