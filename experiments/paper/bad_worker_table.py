"""The table of the experiment on a worker who contributes garbage, see `experiments.paper.bad_worker`."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from crowd_sim.metrics import pearson
from crowd_sim.report.labels import minus

SHARE_WANTED = 0.8
"""Of the seeds, in which the bad worker is to be last."""

MEASURES = ("shapley", "points", "calibrated", "first_order")
"""What a worker is given: its value by retraining, the tournament's points, what `calibrated` makes of the same rounds, and its
first-order value."""


def by_seed(table: pd.DataFrame) -> pd.DataFrame:
    """A row per seed.

    Columns: ``seed``; ``workers``, n; the bad worker's place by every measure as ``<measure>_place``, 1 for the highest
    and n only if it is below everyone; and the Pearson correlation of each measure with the values as ``<measure>_r``.
    """
    found = []
    for seed, own in table.groupby("seed"):
        places = {f"{name}_place": 1 + int((own[name] > own.loc[own["bad"], name].item()).sum()) for name in MEASURES}
        values = own["shapley"].to_numpy(float)[None]
        correlations = {f"{name}_r": pearson(own[name].to_numpy(float)[None], values)[0] for name in MEASURES[1:]}
        found.append({"seed": seed, "workers": len(own), **places, **correlations})
    return pd.DataFrame(found)


def markdown(table: pd.DataFrame) -> Iterator[str]:
    """The lines of bad_worker.md: values and points by seed and worker, and the bad one's places."""
    workers = list(dict.fromkeys(table["worker"]))
    heads = [
        "seed",
        *workers,
        *(f"place by {_HEADS[name]}" for name in MEASURES),
        *(f"r of {_HEADS[n]}" for n in MEASURES[1:]),
    ]
    yield f"| {' | '.join(heads)} |"
    yield f"|{' ---: |' * len(heads)}"
    places = by_seed(table).set_index("seed")
    for seed, own in table.groupby("seed"):
        both = zip(own["shapley"], own["points"], strict=True)
        cells = (f"{minus(f'{value:.3f}')} / {points:g}" for value, points in both)
        shown_cells = (f"**{cell}**" if is_bad else cell for cell, is_bad in zip(cells, own["bad"], strict=True))
        found = places.loc[seed]
        figures = [f"{found[f'{name}_place']:g}" for name in MEASURES] + [
            minus(f"{found[f'{name}_r']:.2f}") for name in MEASURES[1:]
        ]
        yield f"| {seed} | {' | '.join((*shown_cells, *figures))} |"
    yield ""
    yield "Value by retraining / points; bold: the bad worker. r: correlation with the values."
    yield verdict(places)


def verdict(places: pd.DataFrame) -> str:
    """In how many seeds the bad worker is last, and whether that is what is wanted; `places` of `by_seed`."""
    last = {name: places[f"{name}_place"] == places["workers"] for name in MEASURES}
    both = last["shapley"] & last["points"]
    missed = "" if enough(places) else " (MISSED)"
    others = ", ".join(f"{_HEADS[name]} in {own.sum()}" for name, own in last.items())
    return f"Last in values and in points in {both.sum()} of {len(both)} seeds{missed}, wanted 4 of 5; by {others}."


def enough(places: pd.DataFrame) -> bool:
    """Whether the bad worker is last, in values and in points, in the share of the seeds that is wanted."""
    both = (places[["shapley_place", "points_place"]].eq(places["workers"], axis=0)).all(axis=1)
    return bool(both.mean() >= SHARE_WANTED)


_HEADS = {"shapley": "value", "points": "points", "calibrated": "calibrated points", "first_order": "first-order value"}
