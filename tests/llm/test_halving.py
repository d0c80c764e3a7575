"""Successive halving: who leaves, what it costs, and how those who left are ranked."""

import itertools

import numpy as np
import pytest

from crowd_sim.config import RunConfig
from crowd_sim.tournament.groups import Groups
from crowd_sim.tournament.request import RoundRequest
from crowd_sim.tournament.search import halve
from tests.llm.scripted import Scripted, crowd, learner_of, number, value

LETTERS = 5


def played(n_groups: int, results: list[float], sizes: list[int], epochs: int = 3):
    """Groups of one worker each, with so many examples of `LETTERS` tokens."""
    setup = RunConfig.parse(
        {
            "crowd": {"source": "example_feedback", "target": "warm", "n_workers": n_groups},
            "tournament": {"rounds": 1, "n_groups": n_groups},
            "valuation": {"method": "none"},
            "task": {"kind": "imitate", "epochs": epochs},
        }
    )
    scripted = Scripted(list(results))
    texts = crowd(sizes, lambda _: "x" * LETTERS)
    groups = Groups(np.arange(n_groups)[None])
    asked = RoundRequest(1, (number(9.0),), groups, np.array([sizes], dtype=float), n_groups)
    return halve(learner_of(setup, texts, scripted), asked), scripted


def test_the_better_half_goes_on_from_where_it_was():
    #                       all four: 5 1 3 2   then 1 and 3: 4 and 0.5
    explored, scripted = played(4, [5, 1, 3, 2, 4, 0.5], [2] * 4)
    assert [value(job.start) for job in scripted.jobs] == [9, 9, 9, 9, 1, 2]
    assert [job.key.number % 2**16 for job in scripted.jobs] == [0, 1, 2, 3, 1, 3]
    assert len({job.key for job in scripted.jobs}) == 6  # another order in every part
    assert [value(adapter) for adapter in explored.candidates.models[0]] == [5, 4, 3, 0.5]
    ranking = np.argsort(-explored.standing[0], kind="stable").tolist()
    assert ranking == [3, 1, 2, 0]
    assert explored.scores.candidates[0, 1] == -4
    assert explored.scores.candidates[0, 3] == -0.5
    assert explored.scores.incumbents.tolist() == [-9]
    # six candidates and, once, the model that they started from
    assert explored.scores.generated.tolist() == [7 * 3 * 7]
    assert scripted.judged == [9, 5, 1, 3, 2, 4, 0.5]


def test_who_left_is_ranked_below_all_who_stayed_longer():
    # the two who stayed get much worse than the one who left, and the one who left has the lowest number
    explored, _ = played(3, [3, 1, 2, 8, 8], [2] * 3)
    standing = explored.standing[0]
    assert np.argsort(-standing, kind="stable").tolist() == [1, 2, 0]
    assert standing[0] < standing[1]
    np.testing.assert_allclose(standing, -8)
    assert explored.scores.candidates.tolist() == [[-3, -8, -8]]  # as measured


def test_those_who_left_together_keep_their_order():
    explored, _ = played(4, [3, 2.5, 2, 1, 9, 9], [1] * 4)
    assert np.argsort(-explored.standing[0], kind="stable").tolist() == [2, 3, 1, 0]


@pytest.mark.parametrize("n_groups", [2, 3, 4, 5, 8, 13])
def test_the_budget_is_that_of_tuning_everyone_to_the_end(n_groups):
    sizes = np.random.default_rng(n_groups).integers(1, 9, n_groups).tolist()
    epochs = 3
    explored, scripted = played(n_groups, list(range(100)), sizes, epochs)
    whole, spent = epochs * LETTERS * sum(sizes), int(explored.candidates.trained.sum())
    assert spent <= whole
    # each part loses less than a token to rounding, and each of its candidates less than one
    n_parts = max(1, (n_groups - 1).bit_length())
    assert spent > whole - n_parts * (n_groups + 1)
    assert spent == sum(job.n_tokens for job in scripted.jobs)
    left = [job.key.number >> 16 for job in scripted.jobs]
    alive = [left.count(part) for part in range(n_parts)]
    assert alive[0] == n_groups
    assert all(after == -(-before // 2) for before, after in itertools.pairwise(alive))


def test_who_diverged_leaves_at_once_and_the_others_have_its_share():
    nan = float("nan")
    explored, scripted = played(4, [nan, 1, 3, 2, nan, 0.5], [2] * 4)
    scores = explored.scores.candidates[0]
    assert [job.key.number % 2**16 for job in scripted.jobs] == [0, 1, 2, 3, 1, 3]
    assert np.isnan(scores).tolist() == [True, True, False, False]
    assert scores[3] == -0.5
    assert scores[2] < scores[3]
    assert explored.candidates.trained.sum() == 3 * 4 * 2 * LETTERS
