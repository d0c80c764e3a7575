import numpy as np
import pytest
from scipy import stats

from crowd_sim.errors import InputError
from crowd_sim.random import Purpose
from crowd_sim.valuation import shapley, shapley_many
from crowd_sim.valuation.estimators.permutation.draws import draw
from crowd_sim.valuation.estimators.permutation.plan import Plan, plan_of, prefixes_of
from crowd_sim.valuation.shuffle import shuffle
from experiments.bench.textbook import fared
from experiments.bench.textbook import games as textbook_games
from tests.oracles.games import Oracle, additive, airport, glove, sum_of_unanimity, weighted_majority


def drawn_orders(n, n_pairs, seed=0, run=0):
    orders, cycle = np.empty((n_pairs, n), dtype=np.int64), np.empty(n, dtype=np.int64)
    for pair in range(n_pairs):
        draw(np.uint64(seed), np.uint64(run), np.uint64(Purpose.PERMUTATION), pair, pair == 0, cycle, orders[pair])
    return orders


def test_shuffles_are_uniform_permutations():
    orders = np.empty((4_000, 5), dtype=np.int64)
    for number in range(4_000):
        shuffle(np.uint64(0), np.uint64(0), np.uint64(Purpose.PERMUTATION), np.uint64(number), 5, orders[number])
    np.testing.assert_array_equal(np.sort(orders, axis=1), np.tile(np.arange(5), (4_000, 1)))
    for place in range(5):
        counts = np.bincount(orders[:, place], minlength=5)
        assert np.abs(counts - 800).max() < 4.5 * np.sqrt(800 * 0.8)
    assert len(np.unique(orders, axis=0)) == 120


@pytest.mark.parametrize("n", [5, 6])
def test_the_draws_are_uniform_permutations_balanced_at_the_ends(n):
    orders = drawn_orders(n, 12_000)
    np.testing.assert_array_equal(np.sort(orders, axis=1), np.tile(np.arange(n), (12_000, 1)))
    for place in range(n):
        counts = np.bincount(orders[:, place], minlength=n)
        assert np.abs(counts - 12_000 / n).max() < 4.5 * np.sqrt(12_000 / n)
    in_cycle = (n + 1) // 2
    for start in range(0, 600, in_cycle):
        ends = orders[start : start + in_cycle, [0, -1]].ravel()[:n]
        np.testing.assert_array_equal(np.sort(ends), np.arange(n))
    for a in range(n):  # who is at the ends says nothing about who is beside
        assert np.abs(np.bincount(orders[orders[:, 0] == a, 1], minlength=n)[np.arange(n) != a].std()) < 60


@pytest.mark.parametrize(("n", "n_exact", "n_pairs"), [(4, 1, 4), (9, 1, 100), (9, 2, 30), (701, 1, 3), (5_000, 1, 1)])
def test_the_coalitions_are_prefixes_and_their_complements(n, n_exact, n_pairs):
    plan = Plan(n, n_exact, n_pairs)
    chunks = list(prefixes_of(plan, seed=3, run=1))
    assert max(chunk.nbytes for chunk in chunks) <= 2**22
    rows = (row for chunk in chunks for row in chunk)
    known = set()
    for order in drawn_orders(n, n_pairs, 3, 1):
        for size in range(n_exact + 1, n - n_exact) if n_exact == 2 else range(1, n):
            ends = {1: order[0], n - 1: order[-1]}
            if n_exact == 1 and size in ends and ends[size] in known:
                continue
            row, complement = next(rows), next(rows)
            assert row.sum() == size
            assert row[order[:size]].all()
            assert (complement == ~row).all()
        known |= {order[0], order[-1]}
    assert next(rows, None) is None
    assert plan.cost == plan.n_head + sum(len(chunk) for chunk in chunks)


@pytest.mark.parametrize("n", [4, 5, 6, 7, 10, 31])
def test_a_plan_takes_as_many_pairs_as_the_budget_pays_for(n):
    for budget in range(2 * n, 40 * n, 3):
        plan = plan_of(n, budget)
        assert plan.n_pairs >= 1
        assert plan.cost <= budget
        more = Plan(n, plan.n_exact, plan.n_pairs + 1).cost
        assert more > budget or more == plan.cost
        textbook = (budget - 2) // (2 * (n - 1))
        assert plan.n_exact == 2 or plan.n_pairs >= textbook


class Quadratic:
    """Weights of players and of pairs: v(S) = Σ w_i + Σ q_ij + constant."""

    def __init__(self, n, seed, pairs=1.0):
        rng = np.random.default_rng([n, seed])
        self.n_players, self.weights = n, rng.normal(size=n) * 3
        pairs = np.triu(rng.normal(size=(n, n)), 1) * pairs
        self.pairs = pairs + pairs.T
        self.values = self.weights + 0.5 * self.pairs.sum(axis=1)

    def __call__(self, coalitions):
        inside = coalitions.astype(float)
        return (
            7.0
            + (inside * self.weights).sum(axis=1)
            + 0.5 * ((inside[:, :, None] * self.pairs).sum(axis=1) * inside).sum(axis=1)
        )


@pytest.mark.parametrize("factor", [2, 4, 10, 17])
@pytest.mark.parametrize(
    "game",
    [Quadratic(12, 0, 0.0), Quadratic(12, 1), Quadratic(13, 2), glove(6, 6), glove(10, 10)],
    ids=["additive", "quadratic-12", "quadratic-13", "glove-12", "glove-20"],
)
def test_what_antithetic_pairs_know_is_exact(game, factor):
    result = shapley(game, "permutation", factor * game.n_players)
    assert result.method == "permutation"
    np.testing.assert_allclose(result.values, game.values, atol=1e-12)
    if factor >= 4:
        assert 0.0 < result.stderr.max() < 1e-12  # not known to be exact, but for rounding
        assert ((result.lower <= game.values) & (game.values <= result.upper)).all()


def test_additive_games_are_covered_whatever_the_seed():
    for seed in range(200):
        game = Quadratic(50, seed, 0.0)
        result = shapley(game, "permutation", 1_500, seed=seed)
        assert ((result.lower <= game.values) & (game.values <= result.upper)).all()


def textbook(game, budget, rng):
    """Antithetic sampling as it is printed: every permutation and its reverse in full."""
    n = game.n_players
    pairs = []
    for _ in range((budget - 2) // (2 * (n - 1))):
        order = rng.permutation(n)
        x = np.zeros(n)
        for direction in (order, order[::-1]):
            prefixes = np.arange(n)[None, :] <= np.arange(-1, n)[:, None]
            rows = np.zeros((n + 1, n), dtype=bool)
            rows[:, direction] = prefixes
            x[direction] += 0.5 * np.diff(game(rows))
        pairs.append(x)
    return np.mean(pairs, axis=0)


@pytest.mark.parametrize("budget", [50, 120, 480])
@pytest.mark.parametrize("kind", ["averaging", "unanimity", "airport", "majority"])
def test_it_is_no_worse_than_the_textbook(averaging_game, kind, budget):
    game = {
        "averaging": lambda: averaging_game(12),
        "unanimity": lambda: sum_of_unanimity(12, 30, seed=1),
        "airport": lambda: airport(list(np.arange(1.0, 13.0))),
        "majority": lambda: weighted_majority([4, 3, 3, 2, 2, 2, 1, 1, 1, 1, 1, 1], 12),
    }[kind]()
    truth = shapley(game, "exact").values
    rng = np.random.default_rng(0)
    ours = [np.sum((shapley(game, "permutation", budget, run=run).values - truth) ** 2) for run in range(100)]
    theirs = [np.sum((textbook(game, budget, rng) - truth) ** 2) for _ in range(100)]
    assert np.mean(ours) < 1.1 * np.mean(theirs)


def plain_estimate(game, orders, n_exact):
    """Values and variances in plain Python, where every player has been at an end."""
    n = game.n_players

    def v(members):
        mask = np.zeros((1, n), dtype=bool)
        mask[0, list(members)] = True
        return game(mask)[0]

    def d(members):
        return 0.5 * (v(members) - v(set(range(n)) - set(members)))

    outer = np.array([d([i]) - d([]) for i in range(n)])
    inner = [[] for _ in range(n)]
    for order in orders:
        for k in range(n_exact, n - n_exact):
            inner[order[k]].append(d(order[: k + 1]) - d(order[:k]))
    x, share = outer * 2 / n, (n - 2 * n_exact) / n
    if n_exact == 2:
        x += np.array([np.mean([d([i, j]) - d([j]) for j in range(n) if j != i]) for i in range(n)]) * 2 / n
    m = np.array([len(each) for each in inner])
    mean, squares = np.array([np.mean(each) for each in inner]), np.array([np.var(each) * len(each) for each in inner])
    of_all = squares.sum() / (m - 1).sum()
    moderated, sure = (2 * of_all + squares) / (m + 1), m
    if n_exact == 1:
        apart = outer - mean
        difference = apart.mean() * max(1 - apart.var(ddof=1) / n / apart.mean() ** 2, 0)
        missed, chance = ((apart - apart.mean()) ** 2).sum() / (n - 1), (moderated / m).mean()
        missed = max(missed - chance, 0) + np.sqrt(2 / (n - 1)) * min(missed, chance)
        worth = np.minimum(moderated / missed, 1)
        mean = (m * mean + worth * (outer - difference)) / (m + worth)
        sure = (m + worth) ** 2 / (m + worth**2 * missed / moderated)  # the inverse of its variance, in draws
        sure = np.where(worth < 1, m + worth, sure)
    x += mean * share
    fourths = np.array([((each - np.mean(each)) ** 4).sum() for each in inner])
    kurtosis = fourths.sum() / (squares**2 / m).sum() * (m.mean() + 1) / (m.mean() - 1)
    told = (m - 1) * (2 / (kurtosis - 1) if kurtosis > 3 else 1)
    spreads = squares / (m - 1)
    chance = (2 / told).mean()
    apart = (spreads.var() / spreads.mean() ** 2 - chance) / (1 + chance)
    most = 2 + 10 * (m - 1).mean() * np.clip((m - 1).mean() / 2 - 1, 0, 1) ** 2
    prior = min(2 + 2 / apart, most) if apart > 0 else most
    variance = share**2 * (prior * of_all + told * spreads) / (prior + told) / sure
    shares = moderated / sure
    return x + (v(range(n)) - v([]) - x.sum()) * shares / shares.sum(), variance, prior + told


@pytest.mark.parametrize(("n", "budget", "n_exact"), [(8, 100, 1), (9, 150, 1), (8, 200, 2), (12, 1_000, 2)])
def test_against_the_plain_estimator(averaging_game, n, budget, n_exact):
    game = averaging_game(n)
    plan = plan_of(n, budget)
    assert plan.n_exact == n_exact
    result = shapley(game, method="permutation", budget=budget, seed=7, run=2)
    values, variance, freedom = plain_estimate(game, drawn_orders(n, plan.n_pairs, 7, 2), n_exact)
    np.testing.assert_allclose(result.values, values, atol=1e-12)
    np.testing.assert_allclose(result.upper - result.values, stats.t.ppf(0.975, freedom) * np.sqrt(variance), rtol=1e-9)
    assert result.method == "permutation"
    assert 0.5 * plan.cost < result.n_evaluations <= plan.cost  # what comes up again is not paid for again


@pytest.mark.parametrize("kind", ["voting", "majority"])
def test_intervals_cover_where_few_draws_make_the_variance(kind):
    """A player who was never decisive has no spread of its own."""
    known = list(textbook_games(kind, 12, 60))
    results = [shapley(game, "permutation", 240, seed=1, run=run) for run, (game, _) in enumerate(known)]
    assert fared(results, [truth for _, truth in known]).covered > 0.92
    if kind == "majority":  # all are alike, and with four degrees of freedom of each no interval is wider for that
        results = [shapley(game, "permutation", 144, seed=1, run=run) for run, (game, _) in enumerate(known)]
        assert 0.93 < fared(results, [truth for _, truth in known]).covered < 0.985


def test_intervals_of_cheap_airports_are_not_too_wide():
    """What they add to nobody tells nothing of what they add to others."""
    known = list(textbook_games("airport", 12, 100))
    results = [shapley(game, "permutation", 240, seed=1, run=run) for run, (game, _) in enumerate(known)]
    assert fared(results, [truth for _, truth in known]).covered < 0.975


def test_pairs_of_players_are_evaluated_where_half_of_the_budget_pays_for_them():
    assert plan_of(10, 2 + 20 + 179).n_exact == 1
    assert plan_of(10, 2 + 20 + 180).n_exact == 2
    assert plan_of(5, 30).n_exact == 1  # beyond them nothing is left to draw


@pytest.mark.parametrize("n", [1, 2, 3, 9])
def test_nothing_to_draw(averaging_game, n):
    result = shapley(averaging_game(n), method="permutation", budget=2**n)
    assert (result.method, result.n_evaluations) == ("exact", 2**n)


@pytest.mark.parametrize(("n", "budget"), [(11, 60), (11, 120), (11, 600), (30, 150)])
def test_the_standard_errors_are_honest(averaging_game, n, budget):
    game = averaging_game(n)
    truth = shapley(game, budget=10**6).values
    off = []
    for run in range(150):
        result = shapley(game, method="permutation", budget=budget, run=run)
        off.append((result.values - truth) / result.stderr)
    assert 0.93 <= np.mean(np.abs(off) < 1.96) <= 0.995
    assert np.abs(np.mean(off, axis=0)).max() < 0.9


def test_averaging_games_are_known_well(averaging_game):
    game = averaging_game(14)
    truth = shapley(game, method="exact").values
    error = np.linalg.norm(shapley(game, method="permutation", budget=5_000).values - truth)
    assert error / np.linalg.norm(truth - truth.mean()) < 0.1


def test_same_bits_for_any_number_of_games(averaging_game):
    games = [averaging_game(40, seed=seed) for seed in range(4)]
    for game, result in zip(games, shapley_many(games, "permutation", 5_000), strict=True):
        alone = shapley(game, "permutation", 5_000)
        assert alone.values.tobytes() == result.values.tobytes()
        assert alone.stderr.tobytes() == result.stderr.tobytes()


@pytest.mark.parametrize("budget", [700, 9_000])
def test_same_bits_however_answers_are_cut(averaging_game, budget):
    game = averaging_game(40)

    def in_pieces(chunks):
        for chunk in chunks:
            yield np.concatenate([game(chunk[i : i + 7]) for i in range(0, len(chunk), 7)])[None]

    cut = shapley(game, "permutation", budget, evaluate=in_pieces)
    assert cut.values.tobytes() == shapley(game, "permutation", budget).values.tobytes()


@pytest.mark.parametrize("n", [3, 10, 75])
def test_the_smallest_budget_is_one_pair_that_knows_no_error(averaging_game, n):
    result = shapley(averaging_game(n), "permutation", 2 * n)
    assert result.n_evaluations == 2 * n
    assert np.isnan(result.stderr).all()
    assert np.isfinite(result.values).all()
    with pytest.raises(InputError) as caught:
        shapley(averaging_game(n), "permutation", 2 * n - 1)
    assert str(caught.value) == f"budget = {2 * n - 1}: must be at least {2 * n} for permutation with {n} players"


@pytest.mark.parametrize("missing", ["raise", "skip"])
def test_squares_that_vanish_are_no_divisors(missing):
    """Below 1e-70 values are refused, as by all methods; of what is rounding the squares may vanish above it, too."""
    worths = np.random.default_rng(0).normal(size=6)
    for size in (1e-90, 1e-160, 1e-300):
        game = Oracle("tiny", 6, lambda c, size=size: size * (c[:, 0] | c[:, 1] & c[:, 2]), worths)
        with pytest.raises(InputError, match=r"^game = .*: the largest value must be 0 or of a size from 1e-70 on"):
            shapley(game, "permutation", 30, missing=missing)
    for size in (1e-60, 1e-69):
        found = shapley(additive(list(size * worths), 0.0), "permutation", 40, missing=missing)
        np.testing.assert_allclose(found.values, size * worths, rtol=1e-9)
