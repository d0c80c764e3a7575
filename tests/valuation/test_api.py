import numpy as np
import pytest

from crowd_sim.errors import InputError
from crowd_sim.valuation import METHODS, AveragingGame, ShapleyResult, shapley, shapley_many

SAMPLERS = ["kernel_shap", "permutation"]  # of any game


class Broken:
    """A game that gives back whatever it is told to."""

    def __init__(self, n_players, answer):
        self.n_players = n_players
        self.answer = answer

    def __call__(self, coalitions):
        return self.answer(coalitions)


def bits(results):
    return [result.values.tobytes() + result.stderr.tobytes() for result in results]


def test_the_issue_s_example(averaging_game):
    vectors, target = averaging_game(20).vectors, averaging_game(20).target
    result = shapley(AveragingGame(vectors, target, score="l2"), method="permutation", budget=10_000, seed=0)
    assert result.values.dtype == np.float64
    assert result.values.shape == result.stderr.shape == (20,)
    assert result.n_evaluations <= 10_000


def test_to_frame():
    frame = ShapleyResult(np.array([1.0, 2.0]), np.array([0.1, 0.2]), 4, "exact").to_frame()
    assert list(frame.columns) == ["player", "value", "stderr", "lower", "upper"]
    assert frame["lower"].tolist() == pytest.approx([0.804, 1.608], abs=1e-4)
    assert frame["upper"].tolist() == pytest.approx([1.196, 2.392], abs=1e-4)
    assert frame["player"].tolist() == [0, 1]
    assert frame["value"].tolist() == [1.0, 2.0]


def test_auto(averaging_game):
    assert shapley(averaging_game(50, score="dot")).method == "closed_form"
    assert shapley(averaging_game(13)).method == "exact"
    assert shapley(averaging_game(13), budget=2**13).method == "exact"
    assert shapley(averaging_game(13), budget=2**13 - 1).method == "stratified"
    assert shapley(averaging_game(21), budget=2**12).method == "stratified"
    own = {"score": lambda x, t: -((x - t) ** 4).sum(axis=1)}
    assert shapley(averaging_game(21, **own), budget=1_000).method == "surrogate"
    assert shapley(averaging_game(4, **own), budget=15).method == "permutation"


def test_auto_chooses_for_each_game(averaging_game):
    games = [averaging_game(30, score=score) for score in ("l2", "dot", "l1", "squared_l2")]
    results = shapley_many(games)
    assert [r.method for r in results] == ["stratified", "closed_form", "stratified", "closed_form"]
    assert bits(results) == bits(shapley(game) for game in games)
    assert bits(results) == bits(shapley_many(games, evaluate=remote(games)))


def remote(games, seen=None, ahead=3):
    """An evaluator like a pool: it reads some chunks ahead, and answers in order."""

    def evaluate(chunks):
        waiting = []
        for chunk in chunks:
            if seen is not None:
                seen.append(chunk.shape)
            waiting.append(np.array([game(chunk.copy()) for game in games]))
            if len(waiting) > ahead:
                yield waiting.pop(0)
        yield from waiting

    return evaluate


@pytest.mark.parametrize("method", ["exact", *SAMPLERS])
def test_an_evaluator_of_one_s_own_gives_the_same_bits(averaging_game, method):
    games = [averaging_game(14, seed=seed) for seed in range(3)]
    expected = bits(shapley_many(games, method))
    assert bits(shapley_many(games, method, evaluate=remote(games))) == expected
    assert bits(shapley_many(games, method, evaluate=remote(games, ahead=0))) == expected


@pytest.mark.parametrize("method", SAMPLERS)
def test_chunks_depend_on_method_n_and_budget_alone(averaging_game, method):
    shapes = []
    for games in ([averaging_game(40)], [averaging_game(40, d=2, seed=1), averaging_game(40, score="l1")]):
        seen = []
        results = shapley_many(games, method, 5_000, seed=len(games), evaluate=remote(games, seen))
        assert sum(m for m, _ in seen) == results[0].n_evaluations
        shapes.append(seen)
    assert shapes[0] == shapes[1]
    assert max(m for m, _ in shapes[0]) <= 1024


def test_a_lazy_evaluator_is_fed_chunk_by_chunk(averaging_game):
    game = averaging_game(60)
    in_flight = []

    def evaluate(chunks):
        for sent, chunk in enumerate(chunks):
            in_flight.append(sent)
            yield game(chunk)[None]

    shapley(game, "permutation", 50_000, evaluate=evaluate)
    assert len(in_flight) > 40


@pytest.mark.parametrize("method", SAMPLERS)
def test_seed_and_run_are_the_key(averaging_game, method):
    game = averaging_game(40)
    one = shapley(game, method, 1_000, seed=1, run=2)
    assert bits([one]) == bits([shapley(game, method, 1_000, seed=1, run=2)])
    assert bits([one]) != bits([shapley(game, method, 1_000, seed=2, run=1)])
    assert bits([one]) != bits([shapley(game, method, 1_000, seed=2**64 - 1, run=2**64 - 1)])


def test_a_closed_form_is_found_in_any_game():
    class Known:
        n_players = 3

        def __call__(self, coalitions):
            return coalitions.sum(axis=1)

        def shapley_values(self):
            return [1, 1, 1]

    result = shapley(Known())
    assert result.method == "closed_form"
    assert result.values.tolist() == [1.0, 1.0, 1.0]


def test_integer_and_boolean_utilities_are_taken():
    assert shapley(Broken(3, lambda c: c.sum(axis=1)), "exact").values == pytest.approx([1, 1, 1])
    assert shapley(Broken(3, lambda c: c.all(axis=1)), "exact").values == pytest.approx([1 / 3] * 3)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ({"method": "magic"}, "method = 'magic': must be one of " + ", ".join(METHODS)),
        ({"method": None}, "method: must be one of " + ", ".join(METHODS)),
        ({"budget": 0}, "budget = 0: must be an integer of at least 1 and at most 1000000000000"),
        ({"budget": 10.5}, "budget = 10.5: must be an integer of at least 1 and at most 1000000000000"),
        ({"budget": True}, "budget = True: must be an integer of at least 1 and at most 1000000000000"),
        ({"seed": -1}, f"seed = -1: must be an integer of at least 0 and at most {2**64 - 1}"),
        ({"run": 2**64}, f"run = {2**64}: must be an integer of at least 0 and at most {2**64 - 1}"),
        (
            {"method": "closed_form"},
            "method = 'closed_form': needs a game with a closed form; AveragingGame has none for the score 'l2'",
        ),
    ],
)
def test_bad_arguments_are_refused_in_one_line(averaging_game, arguments, line):
    with pytest.raises(InputError) as caught:
        shapley(averaging_game(4), **arguments)
    assert str(caught.value) == line


@pytest.mark.parametrize("n", [0, -1, 2.0, "three", None])
def test_a_game_needs_players(n):
    with pytest.raises(InputError) as caught:
        shapley(Broken(n, lambda c: c.sum(axis=1)))
    assert caught.value.field == "game.n_players"


def test_games_must_be_of_one_size(averaging_game):
    with pytest.raises(InputError, match=r"games\[1\].n_players = 5: must be 4"):
        shapley_many([averaging_game(4), averaging_game(5)])
    with pytest.raises(InputError, match="needs at least one game"):
        shapley_many([])


@pytest.mark.parametrize("method", ["exact", *SAMPLERS])
@pytest.mark.parametrize("answer", [lambda c: c, lambda c: 1.0, lambda c: np.zeros(len(c) + 1), lambda c: None])
def test_utilities_of_the_wrong_shape_are_refused(method, answer):
    with pytest.raises(InputError, match=r"^game = \(.*: must return the shape \(\d+,\)"):
        shapley(Broken(5, answer), method)


def test_utilities_that_are_no_numbers_are_refused():
    with pytest.raises(InputError, match=r"^game = '<U1': must return real numbers"):
        shapley(Broken(5, lambda c: np.array(["a"] * len(c))), "exact")


def test_a_utility_that_is_not_finite_is_named():
    def answer(coalitions):
        return np.where(coalitions[:, 1] & coalitions[:, 3] & (coalitions.sum(axis=1) == 2), np.nan, 1.0)

    with pytest.raises(InputError) as caught:
        shapley(Broken(5, answer), "exact")
    allowed = "utilities must be finite; it is that of coalition {1, 3}, 2 of the players, counted from 0"
    assert str(caught.value) == f"game = nan: {allowed}"
    with pytest.raises(InputError) as caught:
        shapley_many([Broken(5, lambda c: c.sum(axis=1)), Broken(5, answer)], "exact")
    assert caught.value.field == "games[1]"


@pytest.mark.parametrize(
    ("evaluate", "what"),
    [
        (lambda chunks: iter([]), "too few"),
        (lambda chunks: (np.zeros((2, len(c))) for c in chunks), "must yield the shape"),
        (lambda chunks: (np.zeros((1, len(c) - 1)) for c in chunks), "must yield the shape"),
        (lambda chunks: (np.zeros((1, len(c))) for c in [*chunks, np.zeros(1)]), "too many"),
        (lambda chunks: (np.zeros((1, len(c))) for c in list(chunks)[:-1]), "too few"),
    ],
)
@pytest.mark.parametrize("method", ["exact", *SAMPLERS])
def test_a_broken_evaluator_is_named(averaging_game, evaluate, what, method):
    with pytest.raises(InputError, match=what) as caught:
        shapley(averaging_game(14), method, 3_000, evaluate=evaluate)
    assert caught.value.field == "evaluate"


@pytest.mark.parametrize(
    ("values", "stderr", "error"),
    [
        ([3.0, 5.0], [0.3, 0.4], 0.5 / np.sqrt(2.0)),
        ([3.0, 5.0], [0.0, 0.0], 0.0),
        ([4.0, 4.0], [0.0, 0.0], 0.0),
        ([4.0, 4.0], [0.1, 0.1], np.inf),
        ([3.0, 5.0], [np.nan, np.nan], np.nan),
        ([4.0, 4.0], [np.nan, np.nan], np.nan),
    ],
)
def test_a_result_s_error_relative_to_the_spread_of_its_values(values, stderr, error):
    result = ShapleyResult(np.array(values), np.array(stderr), 9, "permutation")
    np.testing.assert_allclose(result.relative_error, error, rtol=1e-15)


def test_progress_is_told_and_changes_nothing(capsys):
    game = AveragingGame(np.arange(24.0).reshape(12, 2) % 7, np.ones(2), score="l1")
    told = []
    found = shapley(game, "permutation", budget=3000, progress=lambda *what: told.append(what))
    assert told[-1] == ("evaluations", found.n_evaluations, found.n_evaluations)
    assert all(stage == "evaluations" and done <= total for stage, done, total in told)
    np.testing.assert_array_equal(found.values, shapley(game, "permutation", budget=3000, progress=True).values)
    assert capsys.readouterr().err.startswith("\revaluations: ")
    with pytest.raises(InputError, match=r"^progress = 3: must be True, or a callable"):
        shapley(game, progress=3)
