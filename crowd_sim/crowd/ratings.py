"""What is true where several workers judge one item, and how well each judges: by crowd-kit (the extra `ratings`).

Tables are pandas' with the columns ``task``, ``worker`` and ``label``, a row per judgement.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from crowd_sim.elementary import log
from crowd_sim.errors import InputError

if TYPE_CHECKING:  # half a second that only those who have ratings spend
    import pandas as pd

COLUMNS = ("task", "worker", "label")


@dataclass(frozen=True, eq=False)
class Ratings:
    """Judgements, aggregated.

    Attributes:
        labels: of every task, by task.
        skill: of every worker, by worker: the share of its judgements that agree with `labels`, or, with method `gold`, with
            the known answers; NaN for a worker who judged none of those.
    """

    labels: pd.Series
    skill: pd.Series


def aggregate(
    table: pd.DataFrame, method: str = "dawid_skene", gold: Mapping[Any, Any] | None = None, seed: int = 0
) -> Ratings:
    """Labels of tasks and skills of workers.

    Args:
        table: the judgements.
        method: one of `METHODS`. ``kos`` is for two labels.
        gold: for ``gold``, the known answers of some tasks.
        seed: of the draws of ``mace`` and ``kos``.

    Raises:
        InputError: an unknown method, a table that lacks a column or a row, gold questions where none or no others are needed,
            more than two labels for ``kos``, or crowd-kit is not there.
    """
    import pandas as pd

    if method not in METHODS:
        raise InputError("ratings.method", method, f"must be one of {', '.join(METHODS)}")
    missing = [name for name in COLUMNS if name not in table.columns]
    if missing:
        raise InputError("ratings", missing[0], f"must be a column of the table, as {', '.join(COLUMNS)}")
    if table.empty:
        raise InputError("ratings", None, "must have at least one judgement")
    if (method == "gold") != (gold is not None):
        raise InputError("ratings.gold", None, "must be given with the method gold, and with no other")
    labels = table["label"].unique()
    if method == "kos" and len(labels) > 2:
        raise InputError("ratings.method", method, f"is for two labels, the table has {len(labels)}")
    own, kit = table[list(COLUMNS)], _crowdkit()
    workers = own["worker"].unique()
    if gold is None:
        found = _quiet(METHODS[method](kit, seed).fit_predict, own)
        return Ratings(found.sort_index(), _agreement(own, found).reindex(workers))
    known = pd.Series(dict(gold))
    skill = _agreement(own[own["task"].isin(known.index)], known).reindex(workers)
    if skill.isna().all():
        raise InputError("ratings.gold", None, "must hold the answer of a task that somebody judged")
    weights = _log_odds(own, known, skill, len(labels))
    return Ratings(_quiet(METHODS[method](kit, seed).fit_predict, own, weights).sort_index(), skill)


def _quiet(fit: Callable[..., pd.Series], *arguments: Any) -> pd.Series:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a newer pandas deprecates what crowd-kit calls, some thousand times
        return fit(*arguments)


def _agreement(table: pd.DataFrame, labels: pd.Series) -> pd.Series:
    """Of every worker of the table, the share of its labels that are these, by task."""
    return (table["label"] == table["task"].map(labels)).groupby(table["worker"], sort=False).mean()


_LEAST = 1e-6
"""What a worker weighs who is no better than chance, or unknown: where there are only such, they decide."""


def _log_odds(table: pd.DataFrame, known: pd.Series, skill: pd.Series, n_labels: int) -> pd.Series:
    """log(p (L − 1) / (1 − p)) of each worker, p by Laplace's rule; at least `_LEAST`."""
    judged = table["task"].isin(known.index).groupby(table["worker"]).sum().reindex(skill.index)
    p = (skill.fillna(0.0) * judged + 1) / (judged + n_labels)
    odds: pd.Series = p * (n_labels - 1) / (1 - p)
    return odds.map(lambda own: float(log(own))).clip(_LEAST) if n_labels > 1 else p


METHODS: Mapping[str, Callable[[Any, int], Any]] = {
    "majority": lambda kit, _: kit.MajorityVote(),
    "dawid_skene": lambda kit, _: kit.DawidSkene(n_iter=100),
    "mace": lambda kit, seed: kit.MACE(n_restarts=3, random_state=seed),
    "glad": lambda kit, _: kit.GLAD(n_iter=30),
    "mmsr": lambda kit, seed: kit.MMSR(random_state=seed),
    "kos": lambda kit, seed: kit.KOS(random_state=seed),
    "gold": lambda kit, _: kit.MajorityVote(),  # weighted by what the gold questions say
}
"""By name, what makes crowd-kit's aggregator of a seed. Sources: Dawid and Skene (1979); MACE, Hovy et al. (2013); GLAD,
Whitehill et al. (2009); M-MSR, Ma and Olshevsky (2020); KOS, Karger, Oh and Shah (2014); the log-odds by which gold questions
weigh workers, Nitzan and Paroush (1982).
"""


def _crowdkit() -> Any:
    try:
        from crowdkit import aggregation
    except ImportError as error:
        allowed = f"needs crowd-kit: pip install 'crowd-sim[ratings]' ({error})"
        raise InputError("ratings", None, allowed) from None
    return aggregation
