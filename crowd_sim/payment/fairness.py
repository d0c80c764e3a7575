"""How fair pays are: figures of each run, NaN where there is nothing to compare.

Sources: Jain, Chiu and Hawe, *A quantitative measure of fairness* (DEC-TR-301, 1984); Gini, *Variabilità e mutabilità*
(1912); detection as the area under the ROC curve (Fawcett, Pattern Recognition Letters 27, 2006).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from crowd_sim.metrics import auc, spearman

_ROUNDING = 1e-9
"""Of the mean pay: what is no difference."""


def is_of_pay(metric: str) -> bool:
    """Whether a metric of this name is one of `figures`."""
    return metric.startswith("pay_")


def jain(pay: NDArray[np.float64]) -> NDArray[np.float64]:
    """(Σ p)² / (n Σ p²) of each row, float64[B]: 1 where all are paid alike, 1/n where one gets all."""
    with np.errstate(invalid="ignore"):
        return np.asarray(pay.sum(axis=1) ** 2 / (pay.shape[1] * (pay**2).sum(axis=1)))


def gini(pay: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean difference of two pays over twice the mean pay, float64[B]: 0 where all are paid alike."""
    n = pay.shape[1]
    ranked = np.sort(pay, axis=1)
    with np.errstate(invalid="ignore"):
        return np.asarray(((2 * np.arange(1, n + 1) - n - 1) * ranked).sum(axis=1) / (n * pay.sum(axis=1)))


def envy(pay: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of the pairs of different values in which who is worth less is paid more: float64[B], 0 is best."""
    found = []
    for earned, worth in zip(pay, values, strict=True):
        more = earned[:, None] > earned + _ROUNDING * earned.mean()
        above = worth[:, None] > worth
        found.append((more & above.T).sum() / above.sum() if above.any() else np.nan)
    return np.array(found)


def gaining(pay: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of workers paid at least in proportion to what they are worth, Shapley values below 0 counted as 0: float64[B]."""
    worth = np.maximum(values, 0.0)
    total = worth.sum(axis=1, keepdims=True)
    due = worth * np.divide(pay.sum(axis=1, keepdims=True), total, out=np.full(total.shape, np.nan), where=total > 0)
    shares = (pay >= due - _ROUNDING * pay.mean(axis=1, keepdims=True)).mean(axis=1)
    return np.where(total[:, 0] > 0, shares, np.nan)


def per_head(pay: NDArray[np.float64], bad: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Pay per account of the bad over that of the others: float64[B]; NaN where nobody else is paid."""
    n_bad = bad.sum(axis=1)
    n_good = bad.shape[1] - n_bad
    with np.errstate(invalid="ignore", divide="ignore"):
        found = ((pay * bad).sum(axis=1) / n_bad) / ((pay * ~bad).sum(axis=1) / n_good)
    return np.where(np.isfinite(found), found, np.nan)


def sybil_gain(pay: NDArray[np.float64], owners: NDArray[np.int64]) -> NDArray[np.float64]:
    """Pay per person of those with several accounts, over that of those with one: float64[B].

    Args:
        pay: float64[B, n].
        owners: int64[B, n], equal for the accounts of one person.
    """
    found = []
    for earned, owner in zip(pay, owners, strict=True):
        _, which, counts = np.unique(owner, return_inverse=True, return_counts=True)
        by_person = np.bincount(which.ravel(), earned)
        several = counts > 1
        known = several.any() and by_person[~several].any()
        found.append(by_person[several].mean() / by_person[~several].mean() if known else np.nan)
    return np.array(found)


def figures(
    pay: NDArray[np.float64],
    values: NDArray[np.float64] | None,
    bad: NDArray[np.bool_] | None,
    owners: NDArray[np.int64] | None,
) -> dict[str, NDArray[np.float64]]:
    """All figures, float64[B] by name; NaN those that need what is not known.

    Args:
        pay: float64[B, n].
        values: float64[B, n], accurate Shapley values.
        bad: bool[B, n].
        owners: int64[B, n], see `sybil_gain`.
    """
    unknown = np.full(len(pay), np.nan)
    even = jain(pay)
    found = {"pay_jain": even, "pay_effective_workers": pay.shape[1] * even, "pay_gini": gini(pay)}
    for name, of in (("spearman", spearman), ("envy", envy), ("gaining", gaining)):
        found[f"pay_{name}"] = unknown if values is None else of(pay, values)
    if bad is not None:
        found |= {"pay_per_head": per_head(pay, bad), "pay_auc": auc(pay, bad)}
    if owners is not None and (np.diff(np.sort(owners, axis=1)) == 0).any():
        found["pay_sybil_gain"] = sybil_gain(pay, owners)
    return found
