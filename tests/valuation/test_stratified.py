"""The stratified estimator of averaging games: bits, edges, refusals."""

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from crowd_sim import scores
from crowd_sim.errors import InputError
from crowd_sim.valuation import AveragingGame, shapley, shapley_many
from crowd_sim.valuation.estimators.stratified.estimator import minimum_budget


def bits(results):
    return [result.values.tobytes() + result.stderr.tobytes() + bytes(result.n_evaluations) for result in results]


def evaluator(games, ahead=3, counted=None):
    """Like a pool: reads some chunks ahead, answers in order."""

    def evaluate(chunks):
        waiting = []
        for chunk in chunks:
            if counted is not None:
                counted.append(len(chunk))
            waiting.append(np.array([game(chunk.copy()) for game in games]))
            if len(waiting) > ahead:
                yield waiting.pop(0)
        yield from waiting

    return evaluate


@pytest.fixture
def mixed(averaging_game):
    return [
        averaging_game(40),
        averaging_game(40, score="l1"),
        averaging_game(40, d=3, seed=1),
        averaging_game(40, d=2, score="l1"),
    ]


@pytest.mark.parametrize("budget", [150, 900, 4_000])
def test_games_together_or_alone_and_any_evaluator_give_the_same_bits(mixed, budget):
    expected = bits(shapley(game, "stratified", budget, seed=5) for game in mixed)
    assert bits(shapley_many(mixed, "stratified", budget, seed=5)) == expected
    assert bits(shapley_many(mixed[::-1], "stratified", budget, seed=5)) == expected[::-1]
    for ahead in (0, 3):
        pool = evaluator(mixed, ahead)
        assert bits(shapley_many(mixed, "stratified", budget, seed=5, evaluate=pool)) == expected


@pytest.mark.parametrize("score", ["l2", "l1"])
def test_threads_do_not_change_the_bits(averaging_game, score):
    game = averaging_game(90, d=64, score=score)
    found = []
    for threads in (1, 2):
        with threadpool_limits(threads):
            found += bits([shapley(game, "stratified", 3_000)])
    assert found[0] == found[1]


def test_every_evaluation_is_counted(averaging_game):
    for score, budget in (("l2", 1_000), ("l1", 1_000), ("l2", 20_000)):
        game, counted = averaging_game(60, score=score), []
        result = shapley(game, "stratified", budget, evaluate=evaluator([game], counted=counted))
        assert 0.97 * budget <= sum(counted) == result.n_evaluations <= budget
        assert max(counted) <= 1024


def test_seed_and_run_are_the_key(averaging_game):
    game = averaging_game(30)
    keys = [(1, 2), (2, 1), (0, 0), (2**64 - 1, 2**64 - 1)]
    assert len({bits([shapley(game, "stratified", 500, seed=s, run=r)])[0] for s, r in keys}) == len(keys)


@pytest.mark.parametrize("score", ["l2", "l1"])
@pytest.mark.parametrize("n", [4, 5, 9, 16, 75, 500])
def test_the_smallest_budget_is_enough_and_less_is_refused(averaging_game, n, score):
    smallest = minimum_budget(n)
    result = shapley(averaging_game(n, score=score), "stratified", smallest)
    assert result.n_evaluations <= smallest
    assert np.isfinite(result.values).all()
    assert np.isfinite(result.stderr).all()
    with pytest.raises(InputError) as caught:
        shapley(averaging_game(n, score=score), "stratified", smallest - 1)
    shown = f"budget = {smallest - 1}: must be at least {smallest} for stratified with {n} players"
    assert str(caught.value) == shown


@pytest.mark.parametrize("n", [1, 2, 3])
def test_few_players_are_enumerated(averaging_game, n):
    game = averaging_game(n)
    result = shapley(game, "stratified", minimum_budget(n))
    assert result.method == "exact"
    assert result.n_evaluations == 2**n
    np.testing.assert_array_equal(result.values, shapley(game, "exact").values)


def test_other_games_are_refused(averaging_game):
    with pytest.raises(
        InputError, match=r"^method = .stratified.: needs an averaging game with the score l2 or l1; Av"
    ):
        shapley(averaging_game(30, score="dot"), "stratified")
    with pytest.raises(InputError, match="needs an averaging game"):
        shapley(averaging_game(6, score="dot").quadratic(), "stratified")


def test_the_callables_behind_the_names_are_known(averaging_game):
    for name, score in (("l2", scores.l2), ("l1", scores.l1)):
        one, other = averaging_game(30, score=name), averaging_game(30, score=score)
        assert bits([shapley(one, "stratified", 600)]) == bits([shapley(other, "auto", 600)])


def test_utilities_are_checked(averaging_game):
    class Broken(AveragingGame):
        def at(self, lists):
            return np.where(lists.sizes == 2, np.nan, super().at(lists))

    game = averaging_game(30)
    with pytest.raises(
        InputError, match=r"^game = nan: utilities must be finite; it is that of coalition \{\d+, \d+\}"
    ):
        shapley(Broken(game.vectors, game.target), "stratified", 500)


@pytest.mark.parametrize("score", ["l2", "l1"])
@pytest.mark.parametrize("n", [9, 60])
class TestDegenerate:
    """Games in which much or all of what the regression works with vanishes."""

    budget = 300

    def test_equal_vectors(self, score, n):
        for target in ([4.0, 0.0, 2.5], [1.3, 0.7, 0.1]):  # apart from the workers, and where they are
            game = AveragingGame(np.tile([1.3, 0.7, 0.1], (n, 1)), target, score)
            result = shapley(game, "stratified", self.budget)
            share = (game(np.ones((1, n), dtype=bool)) - game(np.zeros((1, n), dtype=bool)))[0] / n
            np.testing.assert_allclose(result.values, share, atol=1e-14)
            assert result.stderr.max() < 1e-12

    def test_one_dimension(self, score, n, averaging_game):
        game = averaging_game(n, d=1, score=score)
        self.agrees(game)

    def test_a_target_that_is_a_worker(self, score, n, averaging_game):
        game = averaging_game(n, d=4, score=score)
        self.agrees(AveragingGame(game.vectors, game.vectors[3], score))

    def test_a_target_that_is_the_mean(self, score, n, averaging_game):
        game = averaging_game(n, d=4, score=score)
        self.agrees(AveragingGame(game.vectors, game.vectors.mean(axis=0), score))

    def test_a_coordinate_of_one_worker_alone(self, score, n, averaging_game):
        game = averaging_game(n, d=4, score=score)
        vectors = game.vectors.copy()
        vectors[:, 1], vectors[:, 2] = 0.0, 3.0
        vectors[5, 1] = 4.0
        self.agrees(AveragingGame(vectors, game.target, score))

    def test_huge_and_tiny_vectors(self, score, n, averaging_game):
        game = averaging_game(n, d=4, score=score)
        plain = shapley(game, "stratified", self.budget).values
        for scale in (2.0**40, 2.0**-40):
            scaled = AveragingGame(game.vectors * scale, game.target * scale, score)
            np.testing.assert_allclose(shapley(scaled, "stratified", self.budget).values / scale, plain, rtol=1e-6)

    def agrees(self, game):
        """The values add up, and lie within five standard errors of those from many more evaluations."""
        result, better = (shapley(game, "stratified", budget, seed=1) for budget in (self.budget, 20_000))
        n = game.n_players
        total = (game(np.ones((1, n), dtype=bool)) - game(np.zeros((1, n), dtype=bool)))[0]
        assert result.values.sum() == pytest.approx(total, abs=1e-9)
        allowed = 5.0 * np.hypot(result.stderr, better.stderr) + 1e-12
        assert np.mean(np.abs(result.values - better.values) <= allowed) >= 0.97


@pytest.mark.parametrize("score", ["l2", "l1"])
def test_workers_who_are_alike_are_worth_alike(averaging_game, score):
    game = averaging_game(20, score=score)
    twins = AveragingGame(np.concatenate([game.vectors, game.vectors]), game.target, score)
    result = shapley(twins, "stratified", 2_000)
    difference = result.values[:20] - result.values[20:]
    assert np.all(np.abs(difference) <= 5.0 * np.hypot(result.stderr[:20], result.stderr[20:]))


def test_many_workers_take_seconds(averaging_game):
    for score in ("l2", "l1"):
        game = averaging_game(2_000, score=score)
        result = shapley(game, "stratified", 20_000)
        better = shapley(game, "stratified", 60_000, seed=1)
        centred = better.values - better.values.mean()
        assert np.linalg.norm(result.values - better.values) < 0.02 * np.linalg.norm(centred)
