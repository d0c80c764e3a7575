"""Successive halving: who leaves, what it costs, and how those who left are ranked."""

import itertools

import numpy as np
import pytest
from crowd_sim.llm.halving import halving

from crowd_sim.crowd.texts import Example
from crowd_sim.models.lora import OutputJob
from crowd_sim.models.tuning import Key
from crowd_sim.random import Purpose
from tests.llm.scripted import JUDGE, Scripted, number

LETTERS = 5


def played(n_groups: int, results: list[float], sizes: list[int], epochs: int = 3):
    learners = Scripted(list(results))
    groups = [tuple(Example("p", "x" * LETTERS) for _ in range(size)) for size in sizes]

    def judged(adapters, keys):
        return learners.judge(
            [OutputJob(a, ("p",) * 4, key, Purpose.SELECTION_OUTPUTS) for a, key in zip(adapters, keys, strict=True)]
        )

    keys = [Key(0, 0, 1, k) for k in range(n_groups)]
    return halving(learners, number(9.0), groups, keys, epochs, JUDGE, judged), learners


def test_the_better_half_goes_on_from_where_it_was():
    #                       all four: 5 1 3 2   then 1 and 3: 4 and 0.5
    survived, learners = played(4, [5, 1, 3, 2, 4, 0.5], [2] * 4)
    starts = [float(job.start["m.lora_A"][0, 0]) for job in learners.jobs]
    assert starts == [9, 9, 9, 9, 1, 2]
    assert [job.key.number % 2**16 for job in learners.jobs] == [0, 1, 2, 3, 1, 3]
    assert len({job.key for job in learners.jobs}) == 6  # another order in every part
    assert [float(a["m.lora_A"][0, 0]) for a in survived.adapters] == [5, 4, 3, 0.5]
    ranking = sorted(range(4), key=lambda k: -survived.standing[k])
    assert ranking == [3, 1, 2, 0]
    assert survived.scores[1] == -4
    assert survived.scores[3] == -0.5
    assert survived.tokens_generated == 6 * 4 * 7


def test_who_left_is_ranked_below_all_who_stayed_longer():
    # the two who stayed get much worse than the one who left, and the one who left has the lowest number
    survived, _ = played(3, [3, 1, 2, 8, 8], [2] * 3)
    ranking = np.argsort(-np.array(survived.standing), kind="stable").tolist()
    assert ranking == [1, 2, 0]
    assert survived.standing[0] < survived.standing[1]
    np.testing.assert_allclose(survived.standing, -8)
    assert survived.scores == [-3, -8, -8]  # as measured


def test_those_who_left_together_keep_their_order():
    survived, _ = played(4, [3, 2.5, 2, 1, 9, 9], [1] * 4)
    assert np.argsort(-np.array(survived.standing), kind="stable").tolist() == [2, 3, 1, 0]


@pytest.mark.parametrize("n_groups", [2, 3, 4, 5, 8, 13])
def test_the_budget_is_that_of_tuning_everyone_to_the_end(n_groups):
    sizes = np.random.default_rng(n_groups).integers(1, 9, n_groups).tolist()
    epochs = 3
    survived, learners = played(n_groups, list(range(100)), sizes, epochs)
    whole = epochs * LETTERS * sum(sizes)
    assert sum(survived.tokens) <= whole
    # each part loses less than a token to rounding, and each of its candidates less than one
    n_parts = max(1, (n_groups - 1).bit_length())
    assert sum(survived.tokens) > whole - n_parts * (n_groups + 1)
    assert sum(survived.tokens) == sum(job.n_tokens for job in learners.jobs)
    left = [job.key.number >> 16 for job in learners.jobs]
    alive = [left.count(part) for part in range(n_parts)]
    assert alive[0] == n_groups
    assert all(after == -(-before // 2) for before, after in itertools.pairwise(alive))


def test_who_diverged_leaves_at_once_and_the_others_have_its_share():
    nan = float("nan")
    survived, learners = played(4, [nan, 1, 3, 2, nan, 0.5], [2] * 4)
    assert [job.key.number % 2**16 for job in learners.jobs] == [0, 1, 2, 3, 1, 3]
    assert np.isnan(survived.scores).tolist() == [True, True, False, False]
    assert survived.scores[3] == -0.5
    assert survived.scores[2] < survived.scores[3]
    assert sum(survived.tokens) == 3 * 4 * 2 * LETTERS
