import itertools

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from crowd_sim.report.paired import between_levels, mean_difference, pairs, unpaired_difference


def runs_table(effect=0.5, n_runs=6):
    """Runs of a sweep of two fields whose luck is shared by all points; `score` shifts the metric by `effect`."""
    luck = np.random.default_rng(0).normal(size=(2, n_runs))
    rows = [
        {
            "score": score,
            "n": n,
            "seed": 1,
            "run": run,
            "metric": luck[0, run] + 0.01 * n * luck[1, run] + effect * (score == "l2"),
        }
        for score, n, run in itertools.product(["dot", "l2"], [10, 20], range(n_runs))
    ]
    return pd.DataFrame(rows)


def test_paired_runs_are_held_against_each_other_as_by_students_t():
    table = runs_table().query("n == 10")
    first, second = table[table["score"] == "dot"], table[table["score"] == "l2"]
    second = second.assign(metric=second["metric"] + np.linspace(-0.1, 0.1, 6))
    found = mean_difference(pairs(first, second, [], ["metric"]), "metric")
    expected = stats.ttest_rel(second["metric"], first["metric"]).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert (found.mean, found.n, found.paired) == (pytest.approx(0.5), 6, True)
    apart = unpaired_difference(first["metric"].to_numpy(), second["metric"].to_numpy())
    welch = stats.ttest_ind(second["metric"], first["metric"], equal_var=False).confidence_interval(0.95)
    assert (apart.low, apart.high) == pytest.approx((welch.low, welch.high))
    assert apart.high - apart.low > 5 * (found.high - found.low)  # which is why they are paired


def test_levels_are_compared_with_all_else_equal_and_points_of_one_run_count_once():
    ((first, second, found),) = between_levels(runs_table(), ["score", "n"], "score", ["metric"])
    assert (first, second) == ("dot", "l2")
    assert found["metric"].mean == pytest.approx(0.5)
    assert found["metric"].n == 6  # runs, not the twelve pairs
    many = pd.concat([runs_table().assign(score=str(level)) for level in range(9)])
    assert len(list(between_levels(many, ["score", "n"], "score", ["metric"]))) == 8


def test_what_is_missing_is_left_out():
    table = runs_table().query("n == 10").drop_duplicates(["score", "run"])
    first, second = table[table["score"] == "dot"], table[table["score"] == "l2"]
    second = second[second["run"] != 2].assign(metric=lambda t: t["metric"].where(t["run"] != 3))
    found = mean_difference(pairs(first, second, [], ["metric"]), "metric")
    assert (found.mean, found.n) == (pytest.approx(0.5), 4)
    one = mean_difference(pairs(first, second[second["run"] == 0], [], ["metric"]), "metric")
    assert np.isnan([one.low, one.high]).all()
    assert one.n == 1
    none = mean_difference(pairs(first.assign(seed=2), second, [], ["metric"]), "metric")
    assert (none.n, np.isnan(none.mean)) == (0, True)
    assert unpaired_difference(np.array([np.nan]), np.array([1.0])).n == 0
