import numpy as np
import pytest

from crowd_sim.tournament.rewards import marginal
from crowd_sim.tournament.selection import select
from crowd_sim.tournament.streams import RoundStreams
from tests.tournament.rounds import a_round

ASSIGNMENT = np.array([[0, 1, 1, 0]])


def played(model, candidates, mistake=0.0):
    draws = RoundStreams(np.zeros(1, dtype=np.uint64), np.zeros(1, dtype=np.uint64), 1)
    selection = select(np.array([model]), np.array([candidates]), np.array([mistake]), draws)
    return a_round(1, 10, np.array([0.1]), ASSIGNMENT, np.ones((1, 4)), selection)


def test_members_earn_what_their_candidate_gained():
    points, memory = marginal(np.ones((1, 4)), {}, played(1.0, [1.5, 3.0]))
    assert points.tolist() == [[1.5, 3.0, 3.0, 1.5]]
    assert memory["total"].tolist() == [[0.5, 2.0, 2.0, 0.5]]


@pytest.mark.parametrize(("model", "accepted"), [(1.0, True), (4.0, False)])
def test_every_round_counts_whether_or_not_the_model_changed(model, accepted):
    played_round = played(model, [1.5, 3.0])
    assert played_round.selection.accepted[0] == accepted
    points, _ = marginal(np.ones((1, 4)), {}, played_round)
    assert points[0, 1] - points[0, 0] == 1.5


def test_a_mistake_changes_nothing():
    right, wrong = played(1.0, [1.5, 3.0]), played(1.0, [1.5, 3.0], mistake=1.0)
    assert right.selection.winner != wrong.selection.winner
    assert (marginal(np.ones((1, 4)), {}, right)[0] == marginal(np.ones((1, 4)), {}, wrong)[0]).all()


def test_losses_lift_everyone_alike_and_are_not_forgiven():
    points, memory = marginal(np.ones((1, 4)), {}, played(10.0, [8.0, 11.0]))
    assert memory["total"].tolist() == [[-2.0, 1.0, 1.0, -2.0]]
    assert points.tolist() == [[1.0, 4.0, 4.0, 1.0]]
    points, memory = marginal(points, memory, played(10.0, [12.5, 9.5]))
    assert memory["total"].tolist() == [[0.5, 0.5, 0.5, 0.5]]
    assert points.tolist() == [[1.5] * 4]


def test_earlier_memory_is_left_as_it_was():
    _, first = marginal(np.ones((1, 4)), {}, played(1.0, [1.5, 3.0]))
    kept = first["total"].copy()
    marginal(np.ones((1, 4)), first, played(1.0, [1.5, 3.0]))
    assert (first["total"] == kept).all()
