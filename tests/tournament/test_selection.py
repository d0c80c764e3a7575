import numpy as np
import pytest

from crowd_sim.tournament.rewards import rank
from crowd_sim.tournament.selection import select
from crowd_sim.tournament.streams import RoundStreams
from tests.tournament.rounds import a_round


def draws(n_runs):
    return RoundStreams(np.zeros(n_runs, dtype=np.uint64), np.arange(n_runs, dtype=np.uint64), 1)


def played(assignment, selection):
    return a_round(1, 10, np.full(len(assignment), 0.1), assignment, np.ones(assignment.shape), selection)


def test_the_best_candidate_becomes_the_model_and_ranks_are_paid():
    chosen = select(np.array([0.0]), np.array([[0.1, 0.5, -0.3]]), np.array([0.0]), draws(1))
    assert chosen.accepted.tolist() == [True]
    assert chosen.winner.tolist() == [1]
    assert chosen.ranks.tolist() == [[1, 0, 2]]
    earned, _ = rank(np.ones((1, 5)), None, played(np.array([[0, 1, 2, 1, 0]]), chosen))
    assert earned.tolist() == [[3.0, 4.0, 2.0, 4.0, 3.0]]


def test_nothing_changes_unless_a_candidate_beats_the_model():
    chosen = select(np.array([0.5, 0.6]), np.array([[0.1, 0.5], [0.1, 0.5]]), np.ones(2), draws(2))
    assert not chosen.accepted.any()
    assert not chosen.mistake.any()
    assert chosen.winner.tolist() == [-1, -1]
    points = np.full((2, 4), 7.0)
    assert (rank(points, None, played(np.array([[0, 1, 0, 1]] * 2), chosen))[0] == points).all()


def test_equal_scores_rank_in_the_groups_order():
    chosen = select(np.array([0.0]), np.array([[1.0, 2.0, 2.0, 1.0]]), np.array([0.0]), draws(1))
    assert chosen.ranks.tolist() == [[2, 0, 1, 3]]


def test_a_mistake_swaps_the_first_with_a_uniform_other():
    n = 6_000
    scores = np.tile([3.0, 2.0, 1.0, 0.5], (n, 1))
    chosen = select(np.zeros(n), scores, np.full(n, 0.3), draws(n))
    assert chosen.mistake.mean() == pytest.approx(0.3, abs=0.02)
    assert (chosen.winner[~chosen.mistake] == 0).all()
    winners = np.bincount(chosen.winner[chosen.mistake], minlength=4) / chosen.mistake.sum()
    assert winners[0] == 0
    np.testing.assert_allclose(winners[1:], 1 / 3, atol=0.04)
    swapped = chosen.ranks[chosen.winner == 2][0]
    assert swapped.tolist() == [2, 1, 0, 3]  # only these two changed places


def test_a_single_group_cannot_be_mistaken():
    chosen = select(np.zeros(3), np.ones((3, 1)), np.ones(3), draws(3))
    assert chosen.winner.tolist() == [0, 0, 0]
    assert not chosen.mistake.any()


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
def test_a_score_that_is_not_finite_is_ranked_last_and_never_wins(broken):
    n = 400
    chosen = select(np.zeros(n), np.tile([broken, 2.0, 1.0, 3.0], (n, 1)), np.full(n, 0.5), draws(n))
    assert 0.4 < chosen.mistake.mean() < 0.6
    assert set(chosen.winner.tolist()) == {1, 2, 3}
    assert (chosen.ranks[:, 0] == 3).all()
    alone = select(np.full(n, -np.inf), np.tile([broken, 1.0], (n, 1)), np.ones(n), draws(n))
    assert (alone.winner == 1).all()  # there is nobody to mistake it for
    assert not alone.mistake.any()
    nobody = select(np.full(n, -np.inf), np.full((n, 3), broken), np.ones(n), draws(n))
    assert not nobody.accepted.any()
    assert (nobody.winner == -1).all()
