"""What every function of the valuation refuses in one line, and what none of them takes for something else."""

import matplotlib.figure
import numpy as np
import pytest

from crowd_sim.errors import InputError
from crowd_sim.registry import checked
from crowd_sim.valuation import (
    AllUtilities,
    AveragingGame,
    CachedGame,
    MaxEvaluations,
    MaxTime,
    SampledUtilities,
    ShapleyResult,
    TargetError,
    banzhaf,
    beta_shapley,
    interactions,
    least_core,
    leave_one_out,
    owen,
    sampled_owen,
    semivalue,
    shapley,
    shapley_many,
)

N = 6
PAIRS = [0, 0, 1, 1, 2, 2]


class Made:
    """A game of six players that answers what a function makes of the coalitions."""

    def __init__(self, function=lambda c: np.sqrt(c @ np.arange(1.0, N + 1)), **attributes):
        self.n_players, self.function = N, function
        self.__dict__.update(attributes)

    def __call__(self, coalitions):
        return self.function(coalitions)


class Keyed(Made):
    def __call__(self, coalitions, draws):
        return self.function(coalitions) + draws


VALUES = [
    shapley,
    banzhaf,
    leave_one_out,
    least_core,
    interactions,
    lambda game: semivalue(game, [1.0 / N] * N),
    lambda game: beta_shapley(game, 2, 1),
    lambda game: owen(game, PAIRS),
    lambda game: sampled_owen(game, PAIRS, 60),
    lambda game: shapley(game, "permutation", 60),
    lambda game: shapley(game, budget=60, stop=MaxEvaluations(60)),
]


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize(
    "answer",
    [
        lambda c: np.ma.masked_array(c.sum(axis=1), mask=c[:, 0]),
        lambda c: np.array(["2020-01-01"] * len(c), "M8[s]"),
        lambda c: np.array([1] * len(c), "m8[s]"),
        lambda c: ["1"] * len(c),
        lambda c: np.array(["1"] * len(c), object),
        lambda c: [10**400] * len(c),
        lambda c: c * 1j,
    ],
)
def test_utilities_that_are_no_real_numbers_or_masked_are_refused(value, answer, tmp_path):
    for game in (Made(answer), CachedGame(Made(answer), tmp_path, "it")):
        with pytest.raises(InputError, match=r"^game\b.*(must return real numbers|must be finite)"):
            value(game)


@pytest.mark.parametrize("value", VALUES)
def test_utilities_too_small_for_their_powers_are_refused_whatever_the_budget(value):
    with pytest.raises(InputError, match=r"^game = .*: the largest value must be 0 or of a size from 1e-70 on; scale"):
        value(Made(lambda c: 1e-320 * c.sum(axis=1)))


@pytest.mark.parametrize("value", [*VALUES[3:9], AllUtilities.of])
def test_what_takes_no_noise_says_so(value):
    for game in (Made(noise="fresh"), Keyed(noise="keyed")):
        with pytest.raises(
            InputError, match=r"^game\.noise = '(fresh|keyed)': must be None here: shapley, banzhaf and"
        ):
            value(game)


def test_scores_that_are_masked_are_no_scores():
    given = np.ma.masked_array([1.0, 2.0], mask=[True, False])
    score = checked("score", "mine:score", lambda x, target: given)
    with pytest.raises(InputError, match=r"a number that is not finite"):
        score(np.ones((2, 1)), np.ones(1))


def test_what_is_masked_is_missing():
    def holes(coalitions):
        return coalitions[:, 0] & ~coalitions[:, 1]

    masked = Made(lambda c: np.ma.masked_array(c.sum(axis=1), mask=holes(c)))
    missing = Made(lambda c: np.where(holes(c), np.nan, c.sum(axis=1)))
    found = [shapley(game, missing=2.0).values.tolist() for game in (masked, missing)]
    assert found[0] == found[1]


@pytest.mark.parametrize(
    "given",
    [
        np.ma.masked_array(np.eye(3), mask=np.eye(3)),
        [["1", "2", "3"]] * 3,
        np.full((3, 3), "2020", "M8[Y]"),
        np.full((3, 3), 10**400, object),
    ],
)
def test_vectors_and_features_are_numbers(given):
    with pytest.raises(InputError, match=r"^vectors"):
        AveragingGame(given, np.ones(3))
    with pytest.raises(InputError, match=r"^target"):
        AveragingGame(np.eye(3), given[0])
    game = AveragingGame(np.eye(3), np.ones(3))
    with pytest.raises(InputError, match=r"^features"):
        shapley(game, "chains", features=given)


@pytest.mark.parametrize(
    ("n_players", "table", "line"),
    [
        (3, np.arange(9.0), r"^table = \(9,\): must have the shape 8$"),
        (3, np.arange(7.0), r"^table = \(7,\): must have the shape 8$"),
        (2, [0.0, 1.0, np.nan, 2.0], r"^table\[2\] = nan: must be finite$"),
        (2, np.arange(4) * 1j, r"^table = .*: must be an array of real numbers$"),
        (2, [0.0, 1.0, 2.0, 1e71], r"^table = 1e\+71: utilities must be of a size up to 1e\+70"),
        (0, np.zeros(1), r"^n_players = 0: must be an integer of at least 1 and at most 20$"),
        (2.0, np.zeros(4), r"^n_players = 2.0: must be an integer"),
        (30, np.zeros(4), r"^n_players = 30: must be an integer"),
    ],
)
def test_a_table_of_utilities_is_checked(n_players, table, line):
    with pytest.raises(InputError, match=line):
        AllUtilities(n_players, table)


def test_a_table_may_be_a_list_and_is_of_its_players_alone():
    game = AllUtilities(2, [0, 1, 2, 5])
    assert shapley(game).values.tolist() == [2.0, 3.0]
    with pytest.raises(InputError, match=r"^coalitions = \(1, 3\): must have the shape any×2$"):
        game(np.ones((1, 3), dtype=bool))


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({"coalitions": np.ones((2, 3), bool)}, r"^coalitions = \(2, 3\): must hold the empty and the grand one$"),
        ({"coalitions": np.array([[0.0], [1.0]])}, r"^coalitions = \(2, 1\): must be an array bool"),
        ({"utilities": np.zeros(3)}, r"^utilities = \(3,\): must have the shape 2$"),
        ({"groups": np.zeros(2)}, r"^groups = \(2,\): must be an array int64\[2\]"),
    ],
)
def test_coalitions_with_their_utilities_are_checked(changed, line):
    whole = {"coalitions": np.array([[False], [True]]), "utilities": np.zeros(2), "groups": np.full(2, -1)}
    with pytest.raises(InputError, match=line):
        SampledUtilities(**{**whole, **changed})


@pytest.mark.parametrize("value", [shapley, banzhaf, lambda game, budget: sampled_owen(game, PAIRS, budget)])
def test_budgets_beyond_any_memory_are_refused(value):
    with pytest.raises(InputError, match=r"^budget = 1000000000000000+: must be .* at most 1000000000000$"):
        value(Made(), budget=10**20)


@pytest.mark.parametrize("groups", [[None] * N, [np.nan] * N, ["1", 1, "1", 1, 2, 2], [0, 0, 1, 1, 2, np.nan], [0] * 5])
@pytest.mark.parametrize("value", [owen, sampled_owen])
def test_groups_are_of_one_kind_and_none_is_missing(value, groups):
    with pytest.raises(InputError, match=r"^groups = .*: must "):
        value(Made(), groups)


@pytest.mark.parametrize("names", [["a", "a", "b", "b", "c", "c"], np.array(PAIRS), [True, True, 0, 0, 7, 7]])
def test_groups_may_have_any_names(names):
    assert owen(Made(), names).tolist() == pytest.approx(owen(Made(), PAIRS).tolist())


@pytest.mark.parametrize(
    ("call", "line"),
    [
        (lambda: shapley_many([Made()], previous=shapley(Made())), r"^previous = 'ShapleyResult': must be a list of"),
        (lambda: beta_shapley(Made(), "a", 1), r"^alpha = 'a': must be a number above 0$"),
        (lambda: beta_shapley(Made(), 1, np.nan), r"^beta = nan: must be a number above 0$"),
        (lambda: CachedGame(None, "cache", "it"), r"^game = 'NoneType': must be a game"),
        (lambda: CachedGame(Made(), None, "it"), r"^folder: must be the path of a folder$"),
        (lambda: CachedGame(Made(), 3, "it"), r"^folder = 3: must be the path of a folder$"),
        (lambda: CachedGame(Made(), "", "it"), r"^folder = '': must be the path of a folder$"),
        (
            lambda: shapley(Made(noise="keyed")),
            r"^game\.noise = 'keyed': .* is called with \(coalitions, draws\); Made",
        ),
        (lambda: banzhaf(Keyed(noise="fresh")), r"^game\.noise = 'fresh': .* is called with \(coalitions\); Keyed"),
        (lambda: shapley(Keyed()), r"^game\.noise: such a game is called with \(coalitions\); Keyed is not$"),
        (lambda: AveragingGame(np.eye(2), np.ones(2), lambda x: x), r"^score = .*: must be a callable of \(points, t"),
        (lambda: shapley(Made()).to_shapiq("x"), r"^baseline = 'x': must be"),
        (lambda: shapley(Made()).to_shapiq(None), r"^baseline.*: must be"),
        (lambda: shapley(Made()).to_shapiq(np.nan), r"^baseline = nan: must be finite$"),
        (lambda: shapley(Made()).plot("x"), r"^ax = 'x': must be matplotlib's axes, or None$"),
        (lambda: TargetError(0.1) and MaxTime(1), r"^stop: rules are joined with & and \|, not with"),
    ],
)
def test_it_is_refused_in_one_line(call, line):
    with pytest.raises(InputError, match=line):
        call()


@pytest.mark.parametrize("value", [shapley, banzhaf, leave_one_out, AllUtilities.of])
def test_evaluators_are_callables_that_return_utilities(value):
    with pytest.raises(InputError, match=r"^evaluate = 3: must be a callable"):
        value(Made(), evaluate=3)
    with pytest.raises(InputError, match=r"^evaluate = 'NoneType': must return an iterator"):
        value(Made(), evaluate=lambda chunks: None)


def test_an_evaluator_that_is_watched_is_checked_too():
    for evaluate in (3, lambda chunks: None):
        with pytest.raises(InputError, match=r"^evaluate = "):
            shapley(Made(), evaluate=evaluate, progress=lambda *_: None)


def test_a_number_that_nobody_gave_is_not_complained_about():
    with pytest.raises(InputError, match=r"^stop = MaxEvaluations\(n=10\): its 10 evaluations must be at least 12 "):
        shapley(Made(), "permutation", 100, stop=MaxEvaluations(10))
    assert SampledUtilities.of(shapley(Made(), "permutation", 40, stop=MaxEvaluations(40)))
    few = SampledUtilities.of(shapley(Made(), "permutation", 24, stop=MaxEvaluations(24)))
    with pytest.raises(InputError, match=rf"^result = {len(few.utilities)}: has too few coalitions"):
        few.semivalue([0.0] * (N - 1) + [1.0])


def test_values_are_named_as_they_are_called():
    for kind, label in (("Shapley", "Shapley value"), ("Semivalue", "Semivalue")):
        result = ShapleyResult(np.ones(2), np.zeros(2), 4, "exact", kind=kind)
        axes = result.plot(matplotlib.figure.Figure().subplots())
        assert axes.get_xlabel() == f"{label}, 95 % interval"
        assert f"<p>{label}s: exact" in result._repr_html_()


def test_pairs_and_payments_are_tables_too():
    some = SampledUtilities.of(shapley(Made(), stop=MaxEvaluations(64)))
    pairs = some.interactions().to_frame()
    assert pairs[["player", "other"]].to_numpy().tolist()[:2] == [[0, 1], [0, 2]]
    np.testing.assert_allclose(pairs["value"], interactions(Made())[np.triu_indices(N, 1)], atol=1e-9)
    assert some.least_core().to_frame()["value"].sum() == pytest.approx(np.sqrt(21.0))


class TestContinuing:
    """From a result of another game, or with other numbers filled in, nothing is continued."""

    def first(self, function=None, **options):
        game = Made(function) if function else Made()
        return shapley(game, budget=40, stop=MaxEvaluations(40), **options)

    @pytest.mark.parametrize(
        "function",
        [
            lambda c: 5.0 * c.sum(axis=1),
            lambda c: np.sqrt(c @ np.arange(1.0, N + 1)) + 1e-6,
            lambda c: np.sqrt(c @ np.arange(float(N), 0.0, -1.0)),  # the same ends, the players in another order
        ],
    )
    def test_of_another_game(self, function):
        with pytest.raises(InputError, match=r"^previous: must be of this very game: for a coalition of \d it has"):
            shapley(Made(function), budget=64, previous=self.first())
        second = [self.first(function), self.first()]
        with pytest.raises(InputError, match=r"^previous\[0\]: must be of this very game"):
            shapley_many([Made(), Made()], budget=64, previous=second)

    def test_of_this_game(self):
        near = Made(lambda c: np.sqrt(c @ np.arange(1.0, N + 1)) * (1.0 + 1e-14))  # as another machine may round
        for budget, again in ((64, 1), (65, 1), (66, 2), (70, 3)):  # as many as the budget leaves room for, and one
            result = shapley(near, budget=budget, previous=self.first())
            assert (result.method, result.n_evaluations) == ("exact", 64 + again)

    def test_numbers_that_look_alike_are_told_apart(self):
        far = self.first(lambda c: 1e9 + c.sum(axis=1))
        with pytest.raises(InputError, match=r"it has 10000000\d\d\.0, and the game says 10000000\d\d\.0$"):
            shapley(Made(lambda c: 1e9 + 5.0 * c.sum(axis=1)), budget=64, previous=far)

    def test_with_other_numbers_in_the_place_of_missing_ones(self):
        def holes(coalitions):
            return np.where(coalitions[:, 0] & ~coalitions[:, 1], np.nan, coalitions.sum(axis=1))

        filled = self.first(holes, missing=0.0)
        with pytest.raises(InputError, match=r"^missing = 5.0: must be 0.0, which in previous has taken the place of"):
            shapley(Made(holes), budget=64, previous=filled, missing=5.0)
        result = shapley(Made(holes), budget=64, previous=filled, missing=0)
        assert result.values.tolist() == shapley(Made(holes), budget=64, missing=0.0).values.tolist()


class TestOwenByEnumeration:
    """A budget that covers all coalitions that respect the groups leaves nothing to draw."""

    @pytest.mark.parametrize("groups", [PAIRS, [0] * 6, [0, 1, 2, 3, 4, 5], [2, 0, 0, 1, 0, 1]])
    def test_it_is_exact(self, groups):
        seen = []
        game = Made(lambda c: seen.extend(map(bytes, c)) or np.sqrt(c @ np.arange(1.0, N + 1)))
        result = sampled_owen(game, groups, budget=64)
        np.testing.assert_allclose(result.values, owen(Made(), groups), atol=1e-12)
        assert not result.stderr.any()
        assert len(seen) == len(set(seen)) == result.n_evaluations
        assert result.method == "exact"

    def test_a_budget_below_is_drawn(self):
        assert sampled_owen(Made(), PAIRS, budget=32).n_evaluations == 32
        assert sampled_owen(Made(), PAIRS, budget=31).stderr.all()


def test_budgets_beyond_memory_are_refused_in_a_line(monkeypatch):
    empty = np.empty

    def scarce(shape, dtype=float):
        if np.prod(shape, dtype=float) > 1e8:
            raise MemoryError
        return empty(shape, dtype=dtype)

    monkeypatch.setattr(np, "empty", scarce)
    game = Made(lambda c: c.sum(axis=1), n_players=40)
    for value in (banzhaf, lambda game, budget: sampled_owen(game, np.arange(40) // 20, budget)):
        for budget in (10**10, 10**12):
            line = rf"^budget = {budget}: must be smaller: [\d,]+ GiB do not fit into memory$"
            with pytest.raises(InputError, match=line):
                value(game, budget=budget)
