"""Labels and skills from several workers' judgements."""

import numpy as np
import pandas as pd
import pytest

from crowd_sim.crowd.ratings import METHODS, aggregate
from crowd_sim.errors import InputError

pytest.importorskip("crowdkit", reason="needs the extra ratings")


def judged(n_tasks: int = 40, n_workers: int = 9, n_bad: int = 3) -> tuple[pd.DataFrame, np.ndarray]:
    draws = np.random.default_rng(0)
    truth = draws.integers(2, size=n_tasks)
    right = draws.random((n_tasks, n_workers)) < np.where(np.arange(n_workers) < n_bad, 0.1, 0.9)
    rows = [(t, f"w{w}", truth[t] if right[t, w] else 1 - truth[t]) for t in range(n_tasks) for w in range(n_workers)]
    return pd.DataFrame(rows, columns=["task", "worker", "label"]), truth


@pytest.mark.parametrize("method", METHODS)
def test_every_method_says_labels_and_skills(method):
    table, truth = judged()
    gold = dict(enumerate(truth[:10])) if method == "gold" else None
    found = aggregate(table, method, gold, seed=1)
    assert found.labels.index.tolist() == list(range(40))
    assert found.skill.index.tolist() == [f"w{w}" for w in range(9)]
    assert (found.labels.to_numpy() == truth).mean() >= 0.8
    assert found.skill.iloc[:3].max() < found.skill.iloc[3:].min()
    if method in ("mace", "mmsr", "kos"):  # which draw
        pd.testing.assert_series_equal(aggregate(table, method, gold, seed=1).labels, found.labels)


def test_gold_questions_leave_out_who_is_no_better_than_chance():
    table, truth = judged(n_bad=6)
    assert (aggregate(table, "majority").labels.to_numpy() == truth).mean() < 0.5
    found = aggregate(table, "gold", dict(enumerate(truth[:15])))
    assert (found.labels.to_numpy() == truth).mean() > 0.85
    few = table[
        (table["worker"] == "w0") | (table["task"] < 20)
    ]  # judged by one who is no better than chance, and alone
    assert len(aggregate(few, "gold", dict(enumerate(truth[:15]))).labels) == 40


@pytest.mark.parametrize(
    ("change", "arguments", "says"),
    [
        (lambda t: t, ("vote",), "ratings.method = 'vote': must be one of majority"),
        (lambda t: t.drop(columns="label"), (), "ratings = 'label': must be a column"),
        (lambda t: t.iloc[:0], (), "at least one judgement"),
        (lambda t: t, ("gold",), "must be given with the method gold"),
        (lambda t: t, ("majority", {0: 1}), "must be given with the method gold"),
        (lambda t: t, ("gold", {99: 1}), "the answer of a task that somebody judged"),
        (lambda t: t.assign(label=t["task"]), ("kos",), "is for two labels, the table has 40"),
    ],
)
def test_a_table_that_cannot_be_aggregated_is_refused(change, arguments, says):
    with pytest.raises(InputError, match=says):
        aggregate(change(judged()[0]), *arguments)
