"""An honest metric for imitation: whether outputs are distributed as the crowd's own texts are, and whose words they are.

The mean distance to the target's centroid is lowest for one typical sentence said over and over. The energy distance (Székely,
Rizzo 2013, doi:10.1016/j.jspi.2013.03.018) is 0 for equal distributions alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, nan, sqrt
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from crowd_sim.crowd.texts import TextCrowd
from crowd_sim.models.diversity import copied_ngrams, distinct, repetition

if TYPE_CHECKING:  # importing it costs half a second, and a run's tables are its last work
    import pandas as pd

EQUAL_TOKENS = "single_equal_tokens"
MARGIN = 0.1
"""By so much is a share of outputs or of their words worse: a tenth of 50 outputs is five."""
_ERRORS = 2
"""So many standard errors of a difference is an energy distance worse."""


@dataclass(frozen=True)
class Floor:
    """What the crowd's own texts come to where a model's outputs are measured.

    Attributes:
        texts: how many.
        held_out: whether nobody trains on them.
        distance, distance_se: mean ‖Φ(text) − target‖₂ and its standard error.
        energy, energy_se: energy distance of every second text and the others.
        distinct, copied_5grams, repetition: as of outputs.
    """

    texts: int
    held_out: bool
    distance: float
    distance_se: float
    energy: float
    energy_se: float
    distinct: float
    copied_5grams: float
    repetition: float
    kind: str = "floor"


def floor_of(crowd: TextCrowd, vectors: NDArray[np.float64], target: NDArray[np.float64]) -> Floor:
    """The floor of a crowd; vectors float64[t, d] are the Φ of its `honest_texts`, target float64[d]."""
    texts, responses = crowd.honest_texts, {e.response for own in crowd.examples for e in own}
    distances = np.sqrt(((vectors - target) ** 2).sum(axis=1))
    energy, energy_se = energy_distance(vectors[::2], vectors[1::2])
    return Floor(
        texts=len(texts),
        held_out=responses.isdisjoint(texts),
        distance=float(distances.mean()),
        distance_se=float(distances.std(ddof=1) / sqrt(len(texts))) if len(texts) > 1 else nan,
        energy=energy,
        energy_se=energy_se,
        distinct=distinct(texts),
        copied_5grams=copied_ngrams(texts, responses - set(texts)),
        repetition=repetition(texts),
    )


def energy_distance(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, float]:
    """2 E‖X − Y‖ − E‖X − X'‖ − E‖Y − Y'‖ of the distributions of two samples, and its standard error.

    Unbiased, so that it may be below 0 where they are nearly the same. The error is the jackknife's, over both samples.

    Args:
        x: float64[m, d].
        y: float64[t, d].

    Returns:
        both NaN with fewer than three in either, or where a vector is not finite.
    """
    m, t = len(x), len(y)
    if min(m, t) < 3 or not (np.isfinite(x).all() and np.isfinite(y).all()):
        return nan, nan
    between, within_x, within_y = _distances(x, y), _distances(x, x), _distances(y, y)
    sums = between.sum(), within_x.sum(), within_y.sum()

    def statistic(between_sum: Any, x_sum: Any, y_sum: Any, m: int, t: int) -> Any:
        return 2 * between_sum / (m * t) - x_sum / (m * (m - 1)) - y_sum / (t * (t - 1))

    without_x = statistic(sums[0] - between.sum(axis=1), sums[1] - 2 * within_x.sum(axis=1), sums[2], m - 1, t)
    without_y = statistic(sums[0] - between.sum(axis=0), sums[1], sums[2] - 2 * within_y.sum(axis=1), m, t - 1)
    variance = (m - 1) * without_x.var() + (t - 1) * without_y.var()
    return float(statistic(*sums, m, t)), float(np.sqrt(variance))


def _distances(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    # row by row: no array of m · t · d numbers
    return np.array([np.sqrt(((row - y) ** 2).sum(axis=1)) for row in x])


def labelled(models: pd.DataFrame, floor: Floor | None) -> pd.DataFrame:
    """A table of models with the column ``concentrated``, see `concentrated`; each run's are held against its own reference.

    That is the single model at equal tokens; without it the single model of most examples; without any the crowd's texts.
    """
    by_run: dict[int, dict[str, dict[Any, Any]]] = {}
    for row in models.to_dict("records"):
        by_run.setdefault(row["run"], {})[row["model"]] = row
    against: dict[int, Mapping[Any, Any]] = {}
    for run, rows in by_run.items():
        name = reference_of(list(rows))
        if name is not None:
            against[run] = rows[name]
        elif floor is not None:
            against[run] = vars(floor) | {"energy": 0.0}
    labels = [
        run in against and concentrated(by_run[run][name], against[run])
        for run, name in zip(models["run"], models["model"], strict=True)
    ]
    return models.assign(concentrated=labels)


def reference_of(names: Sequence[str]) -> str | None:
    """The single model that the others are held against; None where there is none."""
    sizes = [int(size) for name in names if (size := name.removeprefix("single_")).isdigit()]
    if EQUAL_TOKENS in names:
        return EQUAL_TOKENS
    return f"single_{max(sizes)}" if sizes else None


def concentrated(model: Mapping[Any, Any], against: Mapping[Any, Any]) -> bool:
    """Whether a model is nearer than another by what is no imitation.

    It is nearer in mean distance or in energy distance, and worse in energy by more than two standard errors, or has by a tenth
    fewer distinct outputs, more 5-grams of the examples, or more repetition inside its outputs.
    """
    if not (model["distance"] < against["distance"] or model["energy"] < against["energy"]):
        return False
    error = sqrt(model["energy_se"] ** 2 + against["energy_se"] ** 2)
    return bool(
        model["energy"] - against["energy"] > _ERRORS * error
        or against["distinct"] - model["distinct"] >= MARGIN
        or model["copied_5grams"] - against["copied_5grams"] >= MARGIN
        or model["repetition"] - against["repetition"] >= MARGIN
    )


def ranked(models: pd.DataFrame) -> list[str]:
    """Models from the best on: by mean energy distance, those that are concentrated in half of their runs behind all others."""
    means = models.groupby("model", sort=False)[["energy", "concentrated"]].mean()
    keys = {
        str(name): (share >= 0.5, inf if np.isnan(energy) else energy)
        for name, energy, share in zip(means.index, means["energy"], means["concentrated"], strict=True)
    }
    return sorted(keys, key=lambda name: keys[name])
