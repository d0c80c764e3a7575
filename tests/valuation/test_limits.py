"""What is refused before a game starts is what its estimator would refuse."""

import numpy as np
import pytest

from crowd_sim.errors import InputError
from crowd_sim.valuation import METHODS, AveragingGame, shapley
from crowd_sim.valuation.requirements import check_budget, has_closed_form

VECTORS = np.arange(44.0).reshape(22, 2) % 7


def refusal(call, *arguments, **options) -> tuple[str, object] | None:
    try:
        call(*arguments, **options)
    except InputError as error:
        return error.field, error.value
    return None


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("score", ["l2", "dot", "l1"])
@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 9, 21])
def test_the_estimators_agree(method, score, n):
    game = AveragingGame(VECTORS[:n], VECTORS[-1], score)
    budgets = {1, 2 * n - 1, 2 * n, 3 * n + 1, 3 * n + 2, 5 * n - 7, 5 * n - 6, 5 * n - 5, 10 * n, 2**n - 1, 2**n}
    for budget in {budget for budget in budgets if 0 < budget < 1_000}:
        before = refusal(check_budget, method, budget, n, score)
        assert before == refusal(shapley, game, method, budget), budget


def test_the_estimators_agree_on_scores_of_one_s_own():
    game = AveragingGame(VECTORS, VECTORS[-1], lambda points, target: -((points - target) ** 4).sum(axis=1))
    for method, budget in [("stratified", 500), ("auto", 103), ("auto", 104), ("closed_form", 500)]:
        before = refusal(check_budget, method, budget, 22, "my.module:score")
        assert before == refusal(shapley, game, method, budget), (method, budget)


def test_scores_of_one_s_own_have_no_closed_form():
    assert has_closed_form("squared_l2")
    assert not has_closed_form("my.module:score")
