import numpy as np
import pytest

from crowd_sim.crowd.selection import select_people
from crowd_sim.errors import InputError


def keys(n):
    return np.full(n, 5, dtype=np.uint64), np.arange(n, dtype=np.uint64)


@pytest.mark.parametrize("selection", ["first", "random"])
def test_workers_ascend_and_the_target_is_someone_else(selection):
    workers, target = select_people(30, 7, selection, *keys(200))
    assert workers.shape == (200, 7)
    assert target.shape == (200,)
    assert workers.dtype == target.dtype == np.int64
    assert (np.diff(workers, axis=1) > 0).all()
    assert not (workers == target[:, None]).any()
    assert min(workers.min(), target.min()) >= 0
    assert max(workers.max(), target.max()) < 30


def test_first_takes_the_first_rows():
    workers, target = select_people(610, 10, "first", *keys(50))
    people = np.sort(np.column_stack([workers, target]), axis=1)
    np.testing.assert_array_equal(people, np.broadcast_to(np.arange(11), (50, 11)))
    assert len(np.unique(target)) > 5


def test_all_of_them_at_random_are_the_first():
    for found, expected in zip(
        select_people(8, 7, "random", *keys(20)), select_people(8, 7, "first", *keys(20)), strict=True
    ):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("selection", ["first", "random"])
def test_a_run_does_not_depend_on_its_batch(selection):
    seeds, runs = np.array([3, 9, 3], dtype=np.uint64), np.array([1, 1, 2], dtype=np.uint64)
    workers, target = select_people(100, 9, selection, seeds, runs)
    for b in range(3):
        one_workers, one_target = select_people(100, 9, selection, seeds[b : b + 1], runs[b : b + 1])
        np.testing.assert_array_equal(workers[b], one_workers[0])
        assert target[b] == one_target[0]


def test_everyone_is_as_likely_as_everyone():
    n_runs = 20_000
    workers, target = select_people(12, 3, "random", *keys(n_runs))
    # chi-square with 11 degrees of freedom: 31 is its 0.999 quantile
    for drawn in (workers, target):
        expected = drawn.size / 12
        assert ((np.bincount(drawn.ravel(), minlength=12) - expected) ** 2 / expected).sum() < 31
    # every pair of workers, 66 of them: 0.999 quantile of 65 degrees of freedom (drawn pairs are a bit dependent)
    pairs = np.bincount((workers[:, 0] * 12 + workers[:, 1]), minlength=144)
    assert pairs.max() < n_runs
    together = sum(((workers == i).any(axis=1) & (workers == j).any(axis=1)).sum() for i in range(12) for j in range(i))
    assert together == 3 * n_runs


def test_a_million_people():
    workers, target = select_people(1_000_001, 1_000_000, "random", *keys(2))
    assert (workers.sum(axis=1) + target == 1_000_000 * 1_000_001 // 2).all()
    assert target[0] != target[1]


@pytest.mark.parametrize(
    ("population_size", "n_workers", "says"),
    [(10, 10, "1 to 9"), (10, 0, "1 to 9"), (10, -3, "1 to 9"), (1, 1, "at least 2 people"), (610, 1000, "610 people")],
)
@pytest.mark.parametrize("selection", ["first", "random"])
def test_too_few_people_are_refused(population_size, n_workers, says, selection):
    with pytest.raises(InputError) as caught:
        select_people(population_size, n_workers, selection, *keys(1))
    assert caught.value.field == "crowd.n_workers"
    assert caught.value.value == n_workers
    assert says in str(caught.value)


def test_an_unknown_selection_is_refused():
    with pytest.raises(InputError, match="first or random") as caught:
        select_people(10, 3, "last", *keys(1))
    assert caught.value.field == "crowd.selection"
