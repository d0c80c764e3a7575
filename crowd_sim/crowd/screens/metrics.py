"""What is measured of screens."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from crowd_sim.crowd.screens import Screened
from crowd_sim.metrics import auc


def is_of_screens(name: str) -> bool:
    """Whether a metric of this name is one of `screen_metrics`."""
    return name.startswith(("screens_", "auc_"))


def screen_metrics(screens: Screened, bad: NDArray[np.bool_] | None) -> dict[str, NDArray[np.float64]]:
    """float64[B] by name: the share of workers that is flagged and, where bad bool[B, n] are known, how well.

    Of the bad those who are `screens_found`, of the others the `screens_false_alarms`, and of every screen the chance that a
    bad worker is more suspicious than another one, `auc_<screen>`.
    """
    flagged = screens.flagged
    found = {"screens_flagged": flagged.mean(axis=1)}
    if bad is None:
        return found
    with np.errstate(invalid="ignore"):
        found["screens_found"] = (flagged & bad).sum(axis=1) / bad.sum(axis=1)
        found["screens_false_alarms"] = (flagged & ~bad).sum(axis=1) / (~bad).sum(axis=1)
    return found | {f"auc_{name}": auc(-scores, bad) for name, scores in screens.scores.items()}
