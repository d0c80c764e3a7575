"""`crowd_sim.testing`: what ships passes, and each kind of fault is found."""

import numpy as np
import pytest

from crowd_sim import testing
from crowd_sim.crowd.behaviours import per_shard
from crowd_sim.errors import InputError
from crowd_sim.valuation import AveragingGame

CALLS = []


def by_number(points, n_groups, draws, rounds):
    return np.tile(np.arange(points.shape[1]) % n_groups, (len(points), 1))


def by_chance(points, n_groups, draws, rounds):
    return np.random.randint(0, n_groups, points.shape)  # noqa: NPY002 - the fault


def first_of_batch(points, n_groups, draws, rounds):
    return np.tile(np.arange(points.shape[1]) % n_groups, (len(points), 1)) if len(points) > 1 else by_zero(points)


def by_zero(points):
    return np.zeros(points.shape, dtype=np.int64)


def of_floats(points, n_groups, draws, rounds):
    return np.zeros(points.shape)


def nearness(x, target):
    return -((x - target) ** 2).sum(-1)


def against_the_others(x, target):
    score = nearness(x, target)
    return score - score.mean(-1, keepdims=True)


def streak(points, memory, played):
    number = memory.get("number", 0) + 1
    return points + number, {"number": number}


def forgetful(points, memory, played):
    CALLS.append(played.round)
    return points + len(CALLS), {}


def honest(worker):
    return worker.vector


@per_shard
def crowded(members):
    return members.vectors - members.vectors.mean(0)


class Rows(AveragingGame):
    def __call__(self, coalitions):
        return super().__call__(coalitions) - np.arange(len(coalitions))


VECTORS = np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 2.0]])


@pytest.mark.parametrize(
    ("check", "given"),
    [
        ("grouping", by_number),
        ("score", nearness),
        ("reward", streak),
        ("behaviour", honest),
        ("grouping", "tests.test_testing:by_number"),
    ],
)
def test_what_is_right_passes(check, given):
    getattr(testing, f"check_{check}")(given)


@pytest.mark.parametrize(
    ("check", "given", "error", "says"),
    [
        ("grouping", by_chance, AssertionError, "equal runs must be equal"),
        ("grouping", first_of_batch, AssertionError, "that of the run alone"),
        ("grouping", of_floats, InputError, "integers"),
        ("grouping", lambda *_: 0, AssertionError, "top of a module"),
        ("score", against_the_others, AssertionError, "other points"),
        ("reward", forgetful, AssertionError, "equal runs must be equal"),
        ("behaviour", crowded, AssertionError, "its own worker alone"),
    ],
)
def test_what_is_wrong_is_found(check, given, error, says):
    with pytest.raises(error, match=says):
        getattr(testing, f"check_{check}")(given)


def test_games():
    testing.check_game(AveragingGame(VECTORS, [1.0, 1.0]))
    with pytest.raises(AssertionError, match="other rows"):
        testing.check_game(Rows(VECTORS, [1.0, 1.0]))
