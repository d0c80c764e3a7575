"""Games that answer differently each time."""

import itertools
from collections import Counter

import numpy as np
import pytest

from crowd_sim.errors import InputError
from crowd_sim.random import generator
from crowd_sim.valuation import (
    AveragingGame,
    CachedGame,
    MaxEvaluations,
    TargetError,
    banzhaf,
    leave_one_out,
    shapley,
    shapley_many,
)
from crowd_sim.valuation.estimators.surrogate import estimator as surrogate
from crowd_sim.valuation.noise import split_draws, with_draws
from crowd_sim.valuation.request import in_process
from crowd_sim.valuation.requirements import automatic_where_noisy
from tests.oracles.games import Oracle, additive, glove, sum_of_unanimity, unanimity, weighted_majority


class Fresh:
    noise = "fresh"

    def __init__(self, game, sd, seed):
        self.game, self.n_players, self.sd, self.rng = game, game.n_players, sd, np.random.default_rng(seed)

    def __call__(self, coalitions):
        return self.game(coalitions) + self.sd * self.rng.standard_normal(len(coalitions))


class Keyed:
    """Its noise is a function of coalition and draw; that of a draw is the same for all coalitions in part."""

    noise = "keyed"

    def __init__(self, game, sd):
        self.game, self.n_players, self.sd = game, game.n_players, sd

    def __call__(self, coalitions, draws):
        powers = 1 << np.arange(self.n_players)
        own = [
            generator(int(d), int(c), 0, 1).standard_normal() for c, d in zip(coalitions @ powers, draws, strict=True)
        ]
        return self.game(coalitions) + self.sd * np.array(own)


METHODS = ["paired_regression", "permutation", "surrogate"]
GAME = sum_of_unanimity(8, 15, seed=1)


@pytest.mark.parametrize(
    ("method", "factor"), [*itertools.product(METHODS[:2], (10, 40)), ("surrogate", 10), ("surrogate", 20)]
)
def test_intervals_cover_the_noiseless_truth(method, factor):
    makers = [
        lambda seed: sum_of_unanimity(9, 20, seed),
        lambda seed: sum_of_unanimity(20, 30, seed),
        lambda seed: additive(list(np.random.default_rng(seed).normal(size=12)), 10.0),
        lambda seed: glove(3, 8),
        lambda seed: weighted_majority([4, 3, 2, 1, 1, 1, 2, 2, 3], 10),
    ]
    shares = []
    for sd in (0.1, 1.0):
        for make in makers:
            for seed in range(2 if method == "surrogate" else 8):
                game = make(seed)
                result = shapley(Fresh(game, sd, seed), method, factor * game.n_players, seed=seed)
                assert result.n_evaluations <= factor * game.n_players
                shares.append(np.mean(np.abs(result.values - game.values) <= 1.96 * result.stderr))
    assert 0.92 <= np.mean(shares) <= 0.99


@pytest.mark.parametrize(("noisy", "budget", "least"), [((3,), 120, 0.85), ((0, 6), 48, 0.85)])
def test_the_surrogate_knows_a_size_that_is_noisier(noisy, budget, least):
    class OfSize(Fresh):
        def __call__(self, coalitions):
            more = np.isin(coalitions.sum(axis=1), noisy)
            return self.game(coalitions) + np.where(more, 3.0, 0.1) * self.rng.standard_normal(len(coalitions))

    shares = []
    for seed in range(20):
        game = sum_of_unanimity(6, 15, seed)
        result = shapley(OfSize(game, 0.0, seed), "surrogate", budget, seed=seed)
        shares.append(np.mean(np.abs(result.values - game.values) <= 1.96 * result.stderr))
    assert np.mean(shares) >= least


@pytest.mark.parametrize("method", METHODS[:2])
@pytest.mark.parametrize("n", [1, 2, 3])
def test_intervals_of_few_players_cover(method, n):
    game = additive([1.0, -2.0, 0.5][:n], 7.0)
    shares = []
    for seed in range(150):
        result = shapley(Fresh(game, 1.0, seed), method, 40, seed=seed)
        shares.append(np.mean(np.abs(result.values - game.values) <= 1.96 * result.stderr))
    assert 0.9 <= np.mean(shares) <= 0.985


@pytest.mark.parametrize("n", [6, 9])
def test_two_pairs_of_permutations_tell_little_of_how_much_they_vary(n):
    shares = []
    for seed in range(150):
        game = sum_of_unanimity(n, 20, seed)
        result = shapley(Fresh(game, 0.3, seed), "permutation", 5 * n, seed=seed)
        shares.append(np.mean(np.abs(result.values - game.values) <= 1.96 * result.stderr))
    assert 0.925 <= np.mean(shares) <= 0.975


class Network:
    """A small random network, to which players of their own weight contribute: their contributions vary unlike each other."""

    def __init__(self, n, seed):
        rng = np.random.default_rng(seed)
        self.n_players, self.weights = n, rng.normal(size=n)
        self.layers = rng.normal(size=(n, 8)) * 2.0 / np.sqrt(n), rng.normal(size=8), rng.normal(size=8)

    def __call__(self, coalitions):
        hidden, bias, out = self.layers
        return np.tanh((coalitions * self.weights) @ hidden + bias) @ out


@pytest.mark.parametrize("n", [8, 10])
def test_two_pairs_of_players_who_vary_unlike_each_other_cover(n):
    shares = []
    for seed in range(60):
        game = Network(n, seed)
        values, some = shapley(game, "exact").values, np.random.default_rng(seed).random((500, n)) < 0.5
        spread = float(game(some).std())
        for draw in range(6):
            result = shapley(Fresh(game, 0.03 * spread, draw), "permutation", 5 * n, seed=draw, run=seed)
            shares.append(np.mean(np.abs(result.values - values) <= 1.96 * result.stderr))
    assert 0.93 <= np.mean(shares) <= 0.965


def test_auto_takes_what_is_the_better_with_noise():
    game = sum_of_unanimity(20, 30, seed=0)
    assert shapley(Fresh(game, 1.0, 0), budget=400).method == "surrogate"
    assert shapley(Fresh(game, 1.0, 0), budget=60).method == "permutation"
    assert automatic_where_noisy(501, 4_100, skips=False) == "paired_regression"
    errors = {}
    for method in METHODS:
        errors[method] = np.mean(
            [np.abs(shapley(Fresh(game, 0.5, s), method, 400, seed=s).values - game.values).mean() for s in range(5)]
        )
    assert errors["surrogate"] < 0.8 * min(errors["paired_regression"], errors["permutation"])


@pytest.mark.parametrize(("n", "budget"), [(16, 1_600), (6, 1_000)])
def test_the_surrogate_repeats_what_tells_of_the_noise(n, budget):
    """Sizes are asked alike often: of few pairs each is, of more an eighth; and both ends."""
    seen = []

    class Counting(Keyed):
        def __call__(self, coalitions, draws):
            seen.extend(zip(map(bytes, np.packbits(coalitions, axis=1)), draws.tolist(), strict=True))
            return super().__call__(coalitions, draws)

    result = shapley(Counting(sum_of_unanimity(n, 20, seed=0), 1.0), budget=budget)
    assert (result.method, result.n_evaluations) == ("surrogate", len(seen))
    assert len(set(seen)) == len(seen) <= budget  # no draw is paid for twice
    times = Counter(coalition for coalition, _ in seen)
    ends = times.pop(bytes(2 if n > 8 else 1)), times.pop(bytes(np.packbits(np.ones(n, dtype=bool))))
    assert ends == (budget // (2 * n),) * 2
    of_size = {k: [] for k in range(1, n)}
    for coalition, often in times.items():
        of_size[int(np.unpackbits(np.frombuffer(coalition, dtype=np.uint8)).sum())].append(often)
    draws = {k: sum(counts) for k, counts in of_size.items()}
    assert max(draws.values()) - min(draws.values()) <= 2
    if n == 6:
        assert len(times) == 62
        assert all(max(counts) - min(counts) <= 1 for counts in of_size.values())
    else:
        assert set(of_size[1]) == {6, 7}
        again = sum(often - 1 for counts in of_size.values() for often in counts)
        assert 0.1 < again / sum(draws.values()) < 0.2


@pytest.mark.parametrize("budget", [500, 5_000])
def test_the_surrogate_is_no_worse_where_all_is_asked_again_and_again(budget):
    """Beyond 2^n evaluations nothing but noise is left, and paired regression has none of the surrogate's doubts."""
    errors, inside = {"surrogate": [], "paired_regression": []}, []
    for seed in range(100, 120):
        game = sum_of_unanimity(8, 20, seed)
        for method, of_it in errors.items():
            result = shapley(Fresh(game, 0.3, seed), method, budget, seed=seed)
            of_it.append(np.square(result.values - game.values).mean())
            if method == "surrogate":
                inside.append(np.mean(np.abs(result.values - game.values) <= 1.96 * result.stderr))
    assert np.sqrt(np.mean(errors["surrogate"]) / np.mean(errors["paired_regression"])) < 1.1
    assert 0.92 <= np.mean(inside) <= 0.99


def test_what_the_surrogate_cannot_hold_corrects_it(monkeypatch):
    """Of more pairs than it takes, a budget beyond them goes on to others, and no draw is paid for twice."""
    monkeypatch.setattr(surrogate, "MAX_PAIRS", 60)
    monkeypatch.setattr(surrogate, "_MOST_DRAWS", 68)
    seen, errors, inside = [], {"surrogate": [], "paired_regression": []}, []

    class Counting(Fresh):
        noise = "keyed"

        def __call__(self, coalitions, draws):
            seen.extend(zip(map(bytes, coalitions), draws.tolist(), strict=True))
            return super().__call__(coalitions)

    for seed in range(10, 30):
        game = sum_of_unanimity(8, 20, seed)
        for method, of_it in errors.items():
            seen.clear()
            result = shapley(Counting(game, 0.1, seed), method, 3_000, seed=seed)
            assert len(set(seen)) == len(seen) == result.n_evaluations <= 3_000
            of_it.append(np.square(result.values - game.values).mean())
            if method == "surrogate":
                inside.append(np.mean(np.abs(result.values - game.values) <= 1.96 * result.stderr))
    assert np.sqrt(np.mean(errors["surrogate"]) / np.mean(errors["paired_regression"])) < 1.1
    assert 0.92 <= np.mean(inside) <= 0.99


def test_repetitions_are_decided_by_what_pays():
    """Single players and both ends, of whom there are few, are repeated; coalitions of the middle sizes are not."""
    seen = []

    class Counting(Keyed):
        def __call__(self, coalitions, draws):
            seen.extend(zip(map(bytes, np.packbits(coalitions, axis=1)), draws.tolist(), strict=True))
            return super().__call__(coalitions, draws)

    game = sum_of_unanimity(16, 20, seed=0)
    shapley(Counting(game, 1.0), "paired_regression", budget=1_600)
    assert len(set(seen)) == len(seen)  # no draw is paid for twice
    times = Counter(coalition for coalition, _ in seen)
    single = bytes(np.packbits(np.eye(16, dtype=bool)[3]))
    assert times[bytes(2)] == times[bytes([255, 255])] == 50
    assert times[single] > 5
    middle = [count for coalition, count in times.items() if sum(b.bit_count() for b in coalition) == 8]
    assert max(middle) == 1


@pytest.mark.parametrize("method", METHODS)
def test_keyed_noise_is_the_same_however_it_is_evaluated(method):
    game = Keyed(GAME, 0.5)
    first = shapley(game, method, 200, seed=3)
    one_by_one = in_process([game])

    def evaluate(chunks):
        for chunk in chunks:
            yield np.concatenate(list(one_by_one([row[None] for row in chunk])), axis=1)

    for other in (shapley(game, method, 200, seed=3), shapley(game, method, 200, seed=3, evaluate=evaluate)):
        assert other.values.tobytes() == first.values.tobytes()
        assert other.stderr.tobytes() == first.stderr.tobytes()
    both = shapley_many([game, Keyed(GAME, 0.1)], method, 200, seed=3)
    assert both[0].values.tobytes() == first.values.tobytes()


@pytest.mark.parametrize("method", METHODS)
def test_rules_and_earlier_results_count_draws_once(method):
    game = Keyed(GAME, 0.5)
    result = shapley(game, method, 2_000, stop=TargetError(0.3) | MaxEvaluations(600))
    assert result.n_evaluations == len(result.evaluated)
    longer = shapley(game, method, 3_000, previous=result)
    assert result.n_evaluations < longer.n_evaluations <= 3_000
    assert np.abs(longer.values - GAME.values).max() < 0.3


def test_no_noise_after_all_is_no_harm():
    result = shapley(Fresh(GAME, 0.0, 0), budget=8_000)
    np.testing.assert_allclose(result.values, GAME.values, atol=1e-10)
    assert result.stderr.max() < 1e-6


def test_only_exact_values_have_no_error():
    seldom = unanimity(20, list(range(10)))
    for method in ("auto", "kernel_shap", "paired_regression", "permutation", "surrogate"):
        result = shapley(seldom, method, 200)
        assert (result.stderr > 0).all()
    assert not shapley(GAME).stderr.any()


@pytest.mark.parametrize("make", [Fresh, Keyed])
def test_banzhaf_and_leave_one_out_cover_the_noiseless_truth(make):
    """Also where all coalitions are within the budget."""
    truths = banzhaf(GAME).values, leave_one_out(GAME).values
    inside = []
    for seed in range(30):
        game = Fresh(GAME, 0.5, seed) if make is Fresh else Keyed(GAME, 0.5)
        results = banzhaf(game, 400, seed=seed), leave_one_out(game, repeats=4 + seed)
        inside += [(r.lower <= truth) & (truth <= r.upper) for r, truth in zip(results, truths, strict=True)]
        assert all((r.stderr > 0.0).all() for r in results)
        assert [r.n_evaluations for r in results] == [400, (4 + seed) * 9]
    assert 0.9 < np.mean(inside[::2]) < 0.99
    assert 0.9 < np.mean(inside[1::2]) <= 1.0


def test_draws_travel_behind_the_coalition():
    rows = np.random.default_rng(0).random((5, 11)) < 0.5
    draws = np.array([0, 1, 2**31, 2**40 + 5, 2**62])
    coalitions, numbers = split_draws(with_draws(rows, draws))
    assert np.array_equal(coalitions, rows)
    assert np.array_equal(numbers, draws)


def test_bad_input_is_refused_in_one_line(tmp_path):
    game = Fresh(GAME, 1.0, 0)
    for call, line in (
        (
            lambda: shapley(game, "kernel_shap"),
            "method = 'kernel_shap': takes no game with noise; auto, paired_regression",
        ),
        (lambda: shapley(game, "surrogate", 20), "budget = 20: must be at least 54 for surrogate with 8 players"),
        (lambda: shapley(game, budget=10), "budget = 10: must be at least 18 for permutation with 8 players"),
        (lambda: shapley(game, "paired_regression", 20), "budget = 20: must be at least 54"),
        (lambda: shapley_many([game, GAME]), r"games\[1\].noise: must be set as in the other games"),
        (lambda: CachedGame(game, tmp_path, "noisy"), "game.noise = 'fresh': must be None: what is stored"),
    ):
        with pytest.raises(InputError, match=f"^{line}"):
            call()
    game.noise = "white"
    with pytest.raises(InputError, match=r"^game.noise = 'white': must be one of keyed, fresh, or None"):
        shapley(game)
    with pytest.raises(InputError, match=r"^method = 'paired_regression': takes at most 1000 players"):
        shapley(AveragingGame(np.ones((1001, 1)), np.ones(1)), "paired_regression")


def test_few_draws_of_a_noisy_end_widen_permutations():
    shares = []
    for seed in range(40):
        game, rng = sum_of_unanimity(4, 8, seed), np.random.default_rng(seed)

        def answer(c, game=game, rng=rng):
            return game(c) + 3.0 * c.all(axis=1) * rng.normal(size=len(c))

        end = Fresh(Oracle("noisy end", 4, answer, game.values), 0.0, 0)
        result = shapley(end, "permutation", 16, seed=seed)
        shares.append(np.mean(np.abs(result.values - game.values) <= 1.96 * result.stderr))
    assert np.mean(shares) >= 0.85
