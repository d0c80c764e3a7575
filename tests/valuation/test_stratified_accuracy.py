"""The issue's bars, intervals that cover, values that add up; against enumeration and an independent estimate."""

import numpy as np
import pytest

from crowd_sim.crowd.sources.movielens import find_movielens, load_movielens
from crowd_sim.crowd.sources.places import DATA_VARIABLE
from crowd_sim.crowd.sources.synthetic import draw_population
from crowd_sim.scores import SCORES
from crowd_sim.valuation import AveragingGame, QuadraticOfMean, shapley, shapley_many
from crowd_sim.valuation.coalition_means import coalition_means

TARGETS = (0, 200, 400)


@pytest.fixture(scope="module", params=["synthetic", "movielens"])
def people(request):
    if request.param == "synthetic":
        return draw_population(610, 11).vectors
    return load_movielens(find_movielens(request.getfixturevalue("data_folder"), DATA_VARIABLE)).vectors


def games(people, n, score):
    return [AveragingGame(people[t + 1 : t + 1 + n], people[t], score) for t in TARGETS]


def error(estimate, truth):
    return np.linalg.norm(estimate - truth) / np.linalg.norm(truth - truth.mean())


def mean_error(games, truths, budget, seeds=3):
    return np.mean(
        [
            error(result.values, truth)
            for seed in range(seeds)
            for result, truth in zip(shapley_many(games, "auto", budget, seed), truths, strict=True)
        ]
    )


@pytest.mark.parametrize(("score", "bars"), [("l2", {160: 0.03, 1_600: 0.006}), ("l1", {160: 0.04, 1_600: 0.009})])
def test_bars_for_16_workers_against_enumeration(people, score, bars):
    questions = games(people, 16, score)
    truths = [result.values for result in shapley_many(questions, "exact")]
    for budget, bar in bars.items():
        assert mean_error(questions, truths, budget) <= bar


@pytest.fixture(scope="module")
def masks_by_size():
    """For 75 players, sizes 3 to 74: random coalitions, many small ones, few large ones."""
    rng = np.random.default_rng(5)
    found = {}
    for k in range(3, 75):
        masks = np.zeros((int(120_000 * k**-1.5) + 200, 75), dtype=bool)
        np.put_along_axis(masks, rng.random(masks.shape).argpartition(k - 1, axis=1)[:, :k], True, axis=1)
        found[k] = masks
    return found


def independently(game, masks_by_size):
    """Values of a game of 75 players that share no code with the estimator but the quadratic's closed form.

    n φ_i = v(N) − v(∅) + Σ_k c_k,i, where c_k,i is the mean of v over the coalitions of size k with i less that without.
    Sizes 1 and 2 are enumerated, the others sampled for what a fixed quadratic of the mean leaves.
    """
    n, d = game.vectors.shape
    mean = game.vectors.mean(axis=0)
    offset = mean - game.target
    if game.score == "l2":  # Taylor's
        length = np.linalg.norm(offset)
        linear, matrix = -offset / length, (np.outer(offset, offset) / length**2 - np.eye(d)) / (2 * length)
    else:  # each addend's projection for means of four workers, as if they were normal
        nodes, weights = np.polynomial.hermite_e.hermegauss(30)
        spread = np.maximum(game.vectors.std(axis=0) / 2, 1e-9)
        addend = -np.abs(offset[:, None] + spread[:, None] * nodes) * weights / weights.sum()
        linear = (addend * nodes).sum(axis=1) / spread
        matrix = np.diag((addend * (nodes**2 - 1)).sum(axis=1) / 2 / spread**2)
    quadratic = QuadraticOfMean(game.vectors - mean, 0.0, linear, matrix, 0.0)

    def left(masks):
        score = SCORES[game.score](coalition_means(masks, game.vectors), game.target)
        return score - quadratic(masks)

    pairs = np.zeros((n * (n - 1) // 2, n), dtype=bool)
    np.put_along_axis(pairs, np.stack(np.triu_indices(n, 1), axis=1), True, axis=1)
    ends = left(np.array([[True] * n, [False] * n]))
    empty = ends[1] + game(np.zeros((1, n), dtype=bool))[0] - SCORES[game.score](np.zeros((1, d)), game.target)[0]
    total = np.full(n, ends[0] - empty)
    for masks in [np.eye(n, dtype=bool), pairs, *masks_by_size.values()]:
        rest = left(masks)
        rest -= rest.mean()
        counts = masks.sum(axis=0)
        sums = (masks * rest[:, None]).sum(axis=0)
        total += sums / counts + sums / (len(masks) - counts)
    return total / n + quadratic.shapley_values()


@pytest.mark.parametrize(("score", "bars"), [("l2", {750: 0.04, 7_500: 0.011}), ("l1", {750: 0.07, 7_500: 0.02})])
def test_bars_for_75_workers_against_an_independent_estimate(people, score, bars, masks_by_size):
    questions = games(people, 75, score)
    truths = [independently(game, masks_by_size) for game in questions]
    for budget, bar in bars.items():
        assert mean_error(questions, truths, budget) <= bar


@pytest.mark.parametrize("score", ["l2", "l1"])
@pytest.mark.parametrize(("n", "budget"), [(16, 200), (16, 3_000), (75, 7_500), (300, 3_000)])
def test_values_add_up(people, score, n, budget):
    for game in games(people, n, score)[:2]:
        result = shapley(game, "stratified", budget)
        ends = game(np.array([[True] * n, [False] * n]))
        assert result.values.sum() == pytest.approx(ends[0] - ends[1], abs=1e-9)


@pytest.mark.parametrize("score", ["l2", "l1"])
def test_a_larger_budget_is_better(people, score):
    questions = games(people, 14, score)
    truths = [result.values for result in shapley_many(questions, "exact")]
    few, more, many = (mean_error(questions, truths, budget, seeds=8) for budget in (150, 1_000, 10_000))
    assert few > 1.5 * more > 3.0 * many


@pytest.mark.parametrize(("score", "budget"), [("l2", 250), ("l2", 2_000), ("l1", 250), ("l1", 2_000)])
def test_intervals_cover(people, score, budget):
    rng = np.random.default_rng(4)
    covered, far = [], []
    for number in range(60):
        rows = rng.permutation(len(people))[:13]
        vectors = people[rows[1:]]
        game = AveragingGame(vectors, people[rows[0]], score)
        result, truth = shapley(game, "stratified", budget, seed=1, run=number), shapley(game, "exact").values
        inside = (result.lower <= truth) & (truth <= result.upper)
        covered.append(inside)
        far.append(inside[np.argsort(-((vectors - vectors.mean(axis=0)) ** 2).sum(axis=1))[:2]])
    assert 0.90 <= np.mean(covered) <= 0.99
    assert np.mean(far) >= 0.85
