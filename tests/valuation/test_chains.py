"""Games of many players."""

import numpy as np
import pytest

from crowd_sim.errors import InputError
from crowd_sim.valuation import AveragingGame, MaxEvaluations, shapley, shapley_many
from crowd_sim.valuation.estimators.chains.estimator import minimum_budget
from crowd_sim.valuation.estimators.from_features import predicted
from crowd_sim.valuation.request import in_process
from experiments.bench.many_players import Airport, Best, Saturating, Unknown, Vote, games
from experiments.bench.textbook import true_of_first
from tests.oracles.games import Oracle, additive, sum_of_unanimity


def error(result, truth) -> float:
    return float(np.linalg.norm(result.values - truth) / np.linalg.norm(truth - truth.mean()))


def test_those_who_are_far_from_all_others_are_less_sure():
    """Where worths differ much, intervals as wide as the mean player's cover half of the greatest."""
    far, everyone = [], []
    for seed in range(3):
        ((game, truth, _),) = games(600, seed, "saturating").values()
        result = shapley(game, "chains", 12_000, seed=seed)
        covered = (result.lower <= truth) & (truth <= result.upper)
        far.append(covered[np.argsort(-np.abs(truth - truth.mean()))[:12]].mean())
        everyone.append(covered.mean())
        assert true_of_first(result, truth, 5)
    assert np.mean(far) > 0.75
    assert 0.92 < np.mean(everyone) < 0.99


@pytest.fixture(scope="module")
def measured():
    """By game: the errors of chains and of permutation sampling, and the share of intervals of chains that cover."""
    found = {}
    for beginning in ("coverage", "unanimity", "averaging", "airport, even", "airport, heavy"):
        ((name, (game, truth, _)),) = games(600, only=beginning).items()
        chains, permutation = (shapley(game, method, 12_000, seed=1) for method in ("chains", "permutation"))
        covered = np.mean((chains.lower <= truth) & (truth <= chains.upper))
        found[name] = error(chains, truth), error(permutation, truth), covered
    return found


def test_they_are_well_ahead_where_it_counts_who_comes_early(measured):
    for name, factor in (("coverage", 2.0), ("averaging, l2, not told", 5.0), ("airport, even costs", 3.0)):
        chains, permutation, _ = measured[name]
        assert factor * chains < permutation
    for chains, permutation, _ in measured.values():
        assert chains < 1.25 * permutation


def test_their_intervals_cover(measured):
    assert all(0.9 <= covered <= 0.99 for _, _, covered in measured.values())
    assert 0.925 <= np.mean([covered for _, _, covered in measured.values()]) <= 0.975


def test_a_vote_that_was_never_decided_leaves_all_of_its_worth_in_doubt():
    ((game, truth, _),) = games(600, only="voting").values()
    result = shapley(game, "chains", 7_000, seed=1)  # no draw of it decides the vote
    assert not np.ptp(result.values)
    assert ((result.lower <= truth) & (truth <= result.upper)).all()
    assert (result.stderr > 1e-4).all()


def test_the_values_of_the_games_are_those_of_enumeration():
    rng = np.random.default_rng(0)
    for game in (Saturating(rng.gamma(2.0, 1.0, 12)), Best(rng.random((3, 12))), Vote(rng.integers(1, 6, 12))):
        np.testing.assert_allclose(game.values(), shapley(game, "exact").values, atol=1e-12)


def test_auto_takes_them_above_500_players():
    game = sum_of_unanimity(501, 20, seed=0)
    assert shapley(game, budget=minimum_budget(501)).method == "chains"
    assert shapley(game, budget=minimum_budget(501) - 1).method == "permutation"


@pytest.mark.parametrize("n", [50, 51, 64, 163, 501])
def test_what_is_spent_and_what_the_values_sum_to(n):
    game = sum_of_unanimity(n, 20, seed=0)
    for budget in (minimum_budget(n), 30 * n + 2_000):
        seen = []

        def evaluate(chunks, seen=seen):
            for chunk in chunks:
                seen.append(len(chunk))
                yield game(chunk)[None]

        result = shapley(game, "chains", budget, evaluate=evaluate)
        assert result.n_evaluations == sum(seen) <= budget
        assert result.values.sum() == pytest.approx(game.values.sum())


def test_additive_games_are_exact_but_for_rounding():
    worths = np.random.default_rng(0).normal(size=120)
    result = shapley(additive(list(worths), 5.0), "chains", 6_000)
    np.testing.assert_allclose(result.values, worths, atol=1e-9)
    quadratic = Oracle("quadratic", 120, lambda c: (c * worths).sum(axis=1) ** 2, worths * worths.sum())
    np.testing.assert_allclose(shapley(quadratic, "chains", 6_000).values, quadratic.values, atol=1e-8)
    constant = Oracle("constant", 60, lambda c: np.full(len(c), 3.0), np.zeros(60))
    assert not shapley(constant, "chains", 4_000).values.any()


def test_the_one_who_is_like_no_others_is_found():
    costs = np.sort(np.random.default_rng(0).random(300))
    costs[-1] = 50.0
    game = Airport(costs)
    result = shapley(game, "chains", 8_000)
    assert result.values[-1] == pytest.approx(game.values()[-1], rel=0.01)


def test_the_same_bits_for_any_evaluator_and_beside_any_game():
    rng = np.random.default_rng(0)
    one, other = (Unknown(AveragingGame(rng.random((80, 3)), rng.random(3))) for _ in range(2))
    first = shapley(one, "chains", 4_000, seed=3)
    pieces = in_process([one])

    def evaluate(chunks):
        for chunk in chunks:
            yield np.concatenate(list(pieces([chunk[:7], chunk[7:]])), axis=1)

    for again in (
        shapley(one, "chains", 4_000, seed=3, evaluate=evaluate),
        shapley_many([other, one], "chains", 4_000, 3)[1],
    ):
        assert again.values.tobytes() == first.values.tobytes()
        assert again.stderr.tobytes() == first.stderr.tobytes()
    staged = shapley(one, "chains", 4_000, seed=3, stop=MaxEvaluations(4_000))
    assert staged.n_evaluations <= 4_000


def test_bad_input_is_refused_in_one_line():
    with pytest.raises(InputError, match=r"^method = 'chains': takes at least 50 players; this game has 49"):
        shapley(additive([1.0] * 49, 0.0), "chains")
    with pytest.raises(InputError, match=r"^budget = 100: must be at least 2400 for chains with 50 players"):
        shapley(additive([1.0] * 50, 0.0), "chains", 100)


def test_features_tell_of_players_who_are_not_measured():
    game, truth, features = games(600, only="averaging")["averaging, l2, not told"]
    noise = np.random.default_rng(0).normal(size=(600, 5))
    told, untold = (shapley(game, budget=2_400, features=known) for known in (features, noise))
    assert (told.method, untold.method) == ("chains", "chains")
    assert told.n_evaluations <= 2_400
    assert error(told, truth) < 0.25 < 0.5 < error(untold, truth)
    for result in (told, untold):
        assert 0.92 <= np.mean((result.lower <= truth) & (truth <= result.upper)) <= 0.995
    np.testing.assert_allclose(
        told.values.sum(), game(np.ones((1, 600), dtype=bool))[0] - game(np.zeros((1, 600), dtype=bool))[0]
    )


def test_the_least_budget_named_is_the_least_that_works():
    game, features = additive([1.0] * 3_000, 0.0), np.ones((3_000, 1))
    with pytest.raises(InputError, match=r"^budget = 1000: must be at least 1112 for chains with 3000 players$"):
        shapley(game, budget=1_000, features=features)
    with pytest.raises(InputError, match=r"^budget = 1000: must be at least 6000 for permutation with 3000 players$"):
        shapley(game, budget=1_000)


@pytest.mark.parametrize("size", [2.0**600, 2.0**-600])
def test_features_of_any_size_tell_the_same(size):
    rng = np.random.default_rng(0)
    known = rng.normal(size=(200, 2))
    measured = rng.permutation(200)[:100]
    answers = known[measured, 0] + 0.1 * rng.normal(size=100)
    plain, scaled = (predicted(features, measured, answers) for features in (known, size * known))
    assert plain.any()
    assert plain.tobytes() == scaled.tobytes()


def test_features_are_not_ignored_in_silence():
    game, known = additive([1.0] * 600, 0.0), np.ones((600, 1))
    with pytest.raises(InputError, match=r"^features: are for chains, which auto does not take for missing utilities"):
        shapley(game, features=known, missing="skip")
    object.__setattr__(game, "noise", "fresh")
    with pytest.raises(InputError, match=r"^features: are for chains, which auto does not take for a game with noise$"):
        shapley(game, features=known)


def test_features_that_tell_nothing_do_no_harm():
    game, truth, _ = games(600, only="airport")["airport, even costs"]
    noise = np.random.default_rng(0).normal(size=(600, 5))
    plain, told = (shapley(game, "chains", 12_000, features=known) for known in (None, noise))
    assert error(told, truth) < 1.1 * error(plain, truth)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            {"method": "permutation"},
            "features: are for auto above 500 players, and for chains; this is permutation with 60",
        ),
        ({}, "features: are for auto above 500 players, and for chains; this is auto with 60"),
        ({"features": [[1.0]]}, "features = (1, 1): must have the shape 60×any"),
        ({"method": "chains", "budget": 100}, "budget = 100: must be at least"),
    ],
)
def test_features_that_do_not_fit_are_refused_in_one_line(arguments, line):
    with pytest.raises(InputError) as caught:
        shapley(additive([1.0] * 60, 0.0), **{"features": np.ones((60, 2)), **arguments})
    assert str(caught.value).startswith(line)


def test_a_rule_does_not_cost_the_method():
    """What looks on at stages of `auto` is spent on chains, which ask again for what they had in a shorter stage."""
    game = sum_of_unanimity(600, 20, seed=0)
    least = minimum_budget(600)
    ruled = shapley(game, budget=least, stop=MaxEvaluations(least))
    whole = shapley(game, budget=least)
    assert ruled.method == "chains"
    assert np.array_equal(ruled.values, whole.values)
    more = shapley(game, budget=4 * least, previous=ruled)
    assert more.method == "chains"
    assert more.n_evaluations <= 4 * least
    in_one = shapley(game, budget=4 * least)
    assert in_one.n_evaluations <= more.n_evaluations < in_one.n_evaluations + 0.2 * ruled.n_evaluations
    assert np.array_equal(more.values, in_one.values)


def test_what_an_earlier_permutation_leaves_is_spent_all_the_same():
    game = sum_of_unanimity(600, 20, seed=0)
    least = minimum_budget(600)
    earlier = shapley(game, "permutation", least, stop=MaxEvaluations(least))
    assert shapley(game, budget=least + 2_000, previous=earlier).n_evaluations <= least + 2_000
