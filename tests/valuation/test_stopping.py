import math

import numpy as np
import pytest

from crowd_sim.errors import InputError
from crowd_sim.valuation import (
    AveragingGame,
    MaxEvaluations,
    MaxTime,
    Progress,
    RankStability,
    Rule,
    ShapleyResult,
    TargetError,
    shapley,
)
from crowd_sim.valuation.result import NORMAL_95
from experiments.bench.textbook import kept_word


def result(values, stderr=0.0):
    values = np.asarray(values, dtype=float)
    return ShapleyResult(values, np.broadcast_to(np.asarray(stderr, dtype=float), values.shape), 10, "permutation")


def after(*results, budget=100, evaluations=90, seconds=1.0):
    return Progress(tuple(results), budget, evaluations, seconds)


FLAT = result([0.0, 1.0, 2.0])


class Says(Rule):
    """A rule of one's own."""

    def __init__(self, answer):
        self.answer = answer

    def met(self, progress):
        return self.answer


def test_max_evaluations_looks_at_evaluations_and_budget():
    assert MaxEvaluations(90).met(after(FLAT))
    assert MaxEvaluations(100).met(after(FLAT))
    assert not MaxEvaluations(101).met(after(FLAT))
    assert not MaxEvaluations(90).converged(after(FLAT))
    assert MaxEvaluations(90).most() == 90


def test_max_time():
    assert MaxTime(1.0).met(after(FLAT))
    assert not MaxTime(1.5).met(after(FLAT))
    assert not MaxTime(0).converged(after(FLAT))


def test_target_error_is_relative_to_the_centred_values():
    values = [11.0, 12.0, 13.0]  # centred: norm √2
    just = math.sqrt(2 / 3) * 0.1 / NORMAL_95  # three of them, with 95 % confidence: √2 / 10
    assert TargetError(0.1001).met(after(result(values, just)))
    assert not TargetError(0.0999).met(after(result(values, just)))
    assert TargetError(0.1001).converged(after(result(values, just)))
    assert TargetError(0.1001).met(after(result(values, 5.0), result(values, just)))
    assert not TargetError(0.1001).met(after(result(values, just), result(values, 5.0)))


def test_target_error_absolute():
    values = [11.0, 12.0, 13.0]
    assert TargetError(relative=0, absolute=0.35).met(after(result(values, 0.1)))
    assert not TargetError(relative=0, absolute=0.3).met(after(result(values, 0.1)))
    assert TargetError(relative=0.5, absolute=0.1).met(after(result(values, 0.1)))


def test_target_error_is_not_met_by_what_has_no_error_bars_or_no_spread():
    assert not TargetError(0.5).met(after(result([1.0, 2.0], np.nan)))
    assert not TargetError(0.5).met(after(result([1.0, 1.0], 0.1)))
    assert TargetError(0.5).met(after(result([1.0, 1.0], 0.0)))
    assert TargetError(0.5).met(after(result([0.0, 0.0], 0.0)))
    assert TargetError(0.5).met(after(result([1.0, 1.0], 1e-15)))
    assert TargetError(0.5).met(after(result([1.0, 2.0], 0.0)))


def test_rank_stability_compares_consecutive_stages():
    up, down, near = result([1, 2, 3, 4]), result([4, 3, 2, 1]), result([1, 2, 4, 3])  # near: 0.8
    assert not RankStability().met(after(up))
    assert RankStability().met(after(up, up))
    assert not RankStability().met(after(up, down))
    assert RankStability().met(after(down, up, up))
    assert not RankStability(stages=3).met(after(down, up, up))
    assert RankStability(stages=3).met(after(up, up, up))
    assert RankStability(threshold=0.79).met(after(up, near))
    assert not RankStability(threshold=0.81).met(after(up, near))


def test_rank_stability_of_the_top():
    values = np.arange(50.0)
    mixed = values.copy()
    mixed[:45] = mixed[:45][::-1]  # all but the five best
    assert not RankStability().met(after(result(values), result(mixed)))
    assert RankStability(top=5).met(after(result(values), result(mixed)))
    mixed[-5:] = mixed[-5:][::-1]
    assert not RankStability(top=5).met(after(result(values), result(mixed)))


def test_rank_stability_with_ties():
    assert RankStability().met(after(result([1.0, 1.0]), result([2.0, 2.0])))
    assert not RankStability().met(after(result([1.0, 1.0]), result([1.0, 2.0])))
    assert RankStability(threshold=0.9).met(after(result([1, 2, 2, 3]), result([1, 2, 2.1, 3])))


def test_the_correlation_is_scipy_s():
    from scipy.stats import spearmanr

    rng = np.random.default_rng(0)
    a = rng.integers(20, size=60)
    b = a + rng.integers(8, size=60)
    expected = spearmanr(a, b).statistic
    assert RankStability(threshold=expected - 1e-9).met(after(result(a), result(b)))
    assert not RankStability(threshold=expected + 1e-9).met(after(result(a), result(b)))


@pytest.mark.parametrize("one", [False, True])
@pytest.mark.parametrize("other", [False, True])
def test_rules_compose(one, other):
    progress = after(FLAT)
    assert (Says(one) & Says(other)).met(progress) == (one and other)
    assert (Says(one) | Says(other)).met(progress) == (one or other)
    assert (Says(one) & Says(other) | Says(False)).converged(progress) == (one and other)


def test_converged_is_not_merely_cut_off():
    progress, limit = after(FLAT), MaxEvaluations(90)
    assert (Says(False) | limit).met(progress)
    assert not (Says(False) | limit).converged(progress)
    assert (Says(True) | limit).converged(progress)
    assert (Says(True) & limit).converged(progress)
    assert not (Says(True) & MaxEvaluations(1000)).converged(progress)
    assert not (limit & MaxTime(0)).converged(progress)


def test_the_longest_stage_of_joined_rules():
    assert (MaxEvaluations(10) | TargetError()).most() == 10
    assert (MaxEvaluations(10) & TargetError()).most() == math.inf
    assert (MaxEvaluations(10) & MaxEvaluations(20)).most() == 20
    assert ((MaxEvaluations(10) & MaxTime(1)) | MaxEvaluations(30)).most() == 30


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (lambda: MaxEvaluations(0), "MaxEvaluations.n = 0: must be an integer of at least 1"),
        (lambda: MaxTime(-1), "MaxTime.seconds = -1: must be a number of at least 0"),
        (lambda: MaxTime(math.nan), "MaxTime.seconds = nan: must be a number of at least 0"),
        (lambda: TargetError("5%"), "TargetError.relative = '5%': must be a number of at least 0"),
        (lambda: TargetError(0), "TargetError.relative = 0: must be above 0 where no absolute error is given"),
        (lambda: RankStability(top=0), "RankStability.top = 0: must be an integer of at least 1"),
        (lambda: RankStability(stages=1), "RankStability.stages = 1: must be an integer of at least 2"),
        (lambda: RankStability(threshold=2), "RankStability.threshold = 2: must be in [-1, 1]"),
    ],
)
def test_bad_rules_are_refused_in_one_line(make, line):
    with pytest.raises(InputError) as caught:
        make()
    assert str(caught.value) == line


@pytest.mark.parametrize("rule", [RankStability(top=50), TargetError() | RankStability(top=50) & MaxEvaluations(100)])
def test_no_more_best_than_there_are_players(rule):
    with pytest.raises(InputError, match=r"^RankStability\.top = 50: must be at most 12, the number of players$"):
        shapley(AveragingGame(np.arange(12.0)[:, None], [3.0]), "permutation", 1_000, stop=rule)


def test_a_rule_joins_only_rules():
    with pytest.raises(InputError, match=r"^stop = 3: must be a rule such as"):
        TargetError() | 3


def test_a_majority_s_values_are_all_the_same_and_reached_where_they_are_exact():
    assert kept_word("majority", 6, 5, [0.2, 0.5]) == {0.2: (5, 5), 0.5: (5, 5)}
