"""What holds for every aggregation."""

import importlib
import sys
from importlib.util import find_spec
from types import ModuleType

import numpy as np
import pytest

from crowd_sim.crowd.aggregation import aggregations
from crowd_sim.crowd.aggregation.geometric_median import GeometricMedian
from crowd_sim.crowd.cohort import Cohort
from crowd_sim.crowd.passes import fold_parts
from crowd_sim.crowd.population import Population
from crowd_sim.crowd.reduction import fold_shards
from crowd_sim.crowd.shard import Key
from crowd_sim.tasks.vector import tune
from crowd_sim.tournament.groups import Groups
from crowd_sim.tournament.request import RoundRequest

ALL = aggregations(0.25, 2.0)
RUNS, N, D, K = 2, 43, 5, 4


class Crowd:
    """A crowd in several shards, whose answers come in any order; counts passes."""

    def __init__(self, vectors, n_shards=1):
        n_runs, n, d = vectors.shape
        people = Population(vectors.reshape(-1, d), tuple(map(str, range(n_runs * n))), tuple("abcdefgh"[:d]))
        key = Key("honest", np.zeros(n_runs, dtype=np.uint64), np.arange(n_runs, dtype=np.uint64))
        self.cohort = Cohort(people, np.arange(n_runs * n).reshape(n_runs, n), 6, key)
        self.shards = [(members, spec.build()) for members, spec in self.cohort.shards(n_shards)][::-1]
        self.passes = 0

    def group_sums(self, request):
        return fold_shards([shard.group_sums(request.of(own)) for own, shard in self.shards], self.cohort.n_chunks)

    def fold(self, request, asked):
        self.passes += 1
        parts = [shard.fold(request.of(own), asked) for own, shard in self.shards]
        return fold_parts(parts, asked.fold, self.cohort.n_chunks)

    def contributions(self, request, places):
        everyone = self.cohort.population.vectors[self.cohort.rows]
        return np.take_along_axis(everyone, places[:, :, None], axis=1)


def vectors(seed=0):
    found = np.random.default_rng(seed).normal(size=(RUNS, N, D))
    found[:, :, 3] = np.round(found[:, :, 3])  # many equal numbers, zeros of both signs among them
    found[:, 7] = found[:, 8]
    found[:, 9] *= 1e6
    return found


def request(assignment=None, weights=None, seed=1):
    rng = np.random.default_rng(seed)
    if assignment is None:
        assignment = rng.integers(0, K, size=(RUNS, N))
    weights = np.ones(assignment.shape) if weights is None else weights
    return RoundRequest(1, rng.normal(size=(RUNS, D)), Groups(assignment), weights, K)


def centres(name, given, asked, n_shards=1):
    """Where each group's candidate moves, with a step of 1: float64[B, K, d]."""
    return tune(asked.models, ALL[name](Crowd(given, n_shards), asked), np.ones(len(given)))


every = pytest.mark.parametrize("name", ALL)


@every
def test_a_group_of_nobody_or_of_no_weight_keeps_the_model(name):
    assignment = np.where(np.arange(N) < 5, 1, 0) * np.ones((RUNS, 1), dtype=np.int64)
    asked = request(assignment, np.where(assignment == 1, 0.0, 1.0))
    found = centres(name, vectors(), asked)
    for k in (1, 2, 3):
        np.testing.assert_array_equal(found[:, k], asked.models)
    assert (found[:, 0] != asked.models).all()


@every
def test_one_member_or_equal_members_are_what_is_aggregated(name):
    given = vectors()
    given[:, 10:20] = given[:, 10:11]
    assignment = np.full((RUNS, N), 0)
    assignment[:, 0] = 1
    assignment[:, 10:20] = 2
    asked = request(assignment, np.random.default_rng(3).uniform(0.5, 2, size=(RUNS, N)))
    if name == "centered_clipping":  # a step has at most the radius: the model is near
        asked = RoundRequest(1, given[:, 10] + 0.1, asked.groups, asked.weights, K)
        given[:, 0] = given[:, 10] - 0.1
    found = centres(name, given, asked)
    np.testing.assert_allclose(found[:, 1], given[:, 0], rtol=1e-14)
    np.testing.assert_allclose(found[:, 2], given[:, 10], rtol=1e-14)


@every
@pytest.mark.parametrize("weighted", [False, True])
def test_the_order_of_workers_changes_nothing_but_rounding(name, weighted):
    given, order = vectors(), np.random.default_rng(4).permutation(N)
    weights = np.random.default_rng(5).uniform(0.5, 2, size=(RUNS, N)) if weighted else None
    asked = request(weights=weights)
    turned = RoundRequest(1, asked.models, Groups(asked.groups.of_everyone()[:, order]), asked.weights[:, order], K)
    np.testing.assert_allclose(centres(name, given, asked), centres(name, given[:, order], turned), rtol=1e-9)


@every
def test_members_without_weight_do_not_count(name):
    given, asked = vectors(), request()
    far = given.copy()
    far[:, 20:30] = 1e9
    weights = np.where((np.arange(N) >= 20) & (np.arange(N) < 30), 0.0, 1.0) * np.ones((RUNS, 1))
    asked = RoundRequest(1, asked.models, asked.groups, weights, K)
    np.testing.assert_array_equal(centres(name, far, asked), centres(name, given, asked))


@every
@pytest.mark.parametrize("whole", [True, False])
def test_the_bits_do_not_depend_on_the_shards(name, whole):
    weights = np.random.default_rng(6).integers(1, 9, size=(RUNS, N)) + (0.0 if whole else 0.1)
    asked, given = request(weights=weights.astype(float)), vectors()
    alone = centres(name, given, asked)
    for n_shards in (2, 3, 5, 7):
        np.testing.assert_array_equal(centres(name, given, asked, n_shards), alone)


@every
def test_equals_byzfl_where_all_weigh_the_same(name):
    theirs = byzfl()
    reference = {
        "mean": lambda m: theirs.Average(),
        "median": lambda m: theirs.Median(),
        "trimmed_mean": lambda m: theirs.TrMean(int(0.25 * m)),
        "geometric_median": lambda m: theirs.GeometricMedian(nu=0.1, T=1000),
        "centered_clipping": lambda m: theirs.CenteredClipping(L=3, tau=2.0),
        "multi_krum": lambda m: theirs.MultiKrum(int(0.25 * m)),
    }[name]
    given, asked = vectors(), request()
    given[:, 9] /= 1e6
    asked = RoundRequest(1, np.zeros((RUNS, D)), asked.groups, asked.weights, K)  # it starts from 0
    if name == "geometric_median":  # from other places both get to the same in the end
        found = GeometricMedian(passes=1000)(Crowd(given), asked)[:, :, :-1]
    else:
        found = centres(name, given, asked)
    for b, groups in enumerate(asked.groups.of_everyone()):
        for k in range(K):
            own = given[b, groups == k]
            np.testing.assert_allclose(found[b, k], reference(len(own))(own.copy()), atol=1e-12, rtol=0)


def byzfl():
    """Its aggregators alone: the package's face imports what they do not need (torchvision, seaborn)."""
    if "byzfl" not in sys.modules:
        spec = find_spec("byzfl")
        if spec is None or find_spec("torch") is None:
            pytest.skip("needs byzfl and torch")
        package = ModuleType("byzfl")
        package.__path__ = list(spec.submodule_search_locations)
        sys.modules["byzfl"] = package
    return importlib.import_module("byzfl.aggregators.aggregators")


def test_the_median_is_what_members_contributed_and_halves_the_weight():
    given, weights = vectors(), np.random.default_rng(7).uniform(0.1, 3, size=(RUNS, N))
    asked = request(weights=weights)
    found = ALL["median"](Crowd(given), asked)  # whose weights are 1
    for b, groups in enumerate(asked.groups.of_everyone()):
        for k in range(K):
            own, weight = given[b, groups == k], weights[b, groups == k]
            for j in range(D):
                assert found[b, k, j] in own[:, j]
                assert weight[own[:, j] < found[b, k, j]].sum() <= weight.sum() / 2
                assert weight[own[:, j] > found[b, k, j]].sum() <= weight.sum() / 2


def test_the_median_finds_extreme_numbers():
    given = np.zeros((1, 5, 2))
    given[0, :, 0] = [-1e50, -5e-324, -0.0, 5e-324, 1e50]
    given[0, :, 1] = [-1e50, -1.0, np.nextafter(-1.0, 0), 1e50, 1e50]
    asked = RoundRequest(1, np.zeros((1, 2)), Groups(np.zeros((1, 5), dtype=np.int64)), np.ones((1, 5)), 1)
    np.testing.assert_array_equal(centres("median", given, asked)[0, 0], [0.0, np.nextafter(-1.0, 0)])


@pytest.mark.parametrize("name", ["median", "trimmed_mean", "geometric_median", "centered_clipping", "multi_krum"])
def test_a_fifth_that_is_far_away_moves_little(name):
    given = np.random.default_rng(8).normal(size=(1, 50, 4))
    asked = RoundRequest(1, np.zeros((1, 4)), Groups(np.zeros((1, 50), dtype=np.int64)), np.ones((1, 50)), 1)
    honest = centres(name, given, asked)
    given[0, ::5] = 1e4
    assert np.abs(centres(name, given, asked) - honest).max() < 1.5
    assert np.abs(centres("mean", given, asked) - honest).max() > 1000


def test_passes_over_the_crowd():
    # what stands in the docs
    for name, most in (("geometric_median", 8), ("centered_clipping", 3), ("median", 30), ("trimmed_mean", 30)):
        crowd = Crowd(vectors())
        ALL[name](crowd, request())
        assert crowd.passes <= most
