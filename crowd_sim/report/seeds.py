"""Seeds that are swept are no setting: they are further runs of each point."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from crowd_sim.report.layout import comparable
from crowd_sim.report.tables import swept_fields


def over_seeds(points: pd.DataFrame, runs: pd.DataFrame | None, metrics: Sequence[str]) -> tuple[pd.DataFrame, int]:
    """Points with those that differ in their seed alone as one, mean and standard error over all their runs; how many seeds.

    As they are where no other field is swept, or no run is known; of 0 seeds then.

    Args:
        points: the table ``points.parquet``.
        runs: the table ``runs.parquet``.
        metrics: those of the points that are needed.
    """
    fields = [field for field in swept_fields(points) if field != "seed"]
    if runs is None or "seed" not in points or not fields or not {*fields, *metrics} <= {*map(str, runs.columns)}:
        return points, 0
    kept = comparable(points[fields])
    groups = comparable(runs[fields]).assign(**runs[list(metrics)]).groupby(fields, sort=False, dropna=False)
    found = points[fields].loc[~kept.duplicated()]
    order = pd.MultiIndex.from_frame(kept.loc[found.index]) if len(fields) > 1 else kept.loc[found.index, fields[0]]
    for metric in metrics:
        own = groups[metric]
        found[f"{metric}_mean"] = own.mean().reindex(order).to_numpy()
        error: pd.Series = own.std() / np.sqrt(own.count())
        found[f"{metric}_se"] = error.reindex(order).to_numpy()
    return found, int(points["seed"].nunique())
