import pickle

import numpy as np
import pytest

from crowd_sim.errors import InputError
from crowd_sim.valuation import (
    AveragingGame,
    MaxEvaluations,
    MaxTime,
    RankStability,
    Rule,
    TargetError,
    shapley,
    shapley_many,
)
from crowd_sim.valuation.staged import stages
from crowd_sim.valuation.stopping import Either

SAMPLERS = ["kernel_shap", "permutation", "stratified"]

AGAIN = 3
"""Coalitions that a game is asked again for where an earlier result is continued."""


class Watched:
    """A game that notes what it was asked."""

    def __init__(self, n_players, seed=0):
        self.n_players = n_players
        self.seen = []
        rng = np.random.default_rng([seed, n_players])
        self.weights = rng.random(n_players)
        self.pairs = rng.normal(size=(n_players, n_players)) * 0.3

    def __call__(self, coalitions):
        self.seen += [row.tobytes() for row in coalitions]
        rows = coalitions.astype(float)
        return np.array([row @ self.weights + np.sin(row @ self.pairs @ row) for row in rows])


class WatchedAveraging(AveragingGame):
    def __post_init__(self):
        super().__post_init__()
        object.__setattr__(self, "seen", [])

    def __call__(self, coalitions):
        self.seen.extend(row.tobytes() for row in coalitions)
        return super().__call__(coalitions)


class Notes(Rule):
    """A rule that never holds and notes what it was shown."""

    def __init__(self):
        self.shown = []

    def met(self, progress):
        self.shown.append((progress.budget, progress.evaluations, bits(progress.results[-1])))
        return False

    def converged(self, progress):
        return False


def bits(result):
    return result.values.tobytes() + result.stderr.tobytes()


def remote(games, ahead=3, asked=None):
    """An evaluator like a pool: it reads some chunks ahead, and answers in order."""

    def evaluate(chunks):
        waiting = []
        for chunk in chunks:
            if asked is not None:
                asked.extend(row.tobytes() for row in chunk)
            waiting.append(chunk.copy())
            if len(waiting) > ahead:
                rows = waiting.pop(0)
                yield np.array([game(rows) for game in games])
        for rows in waiting:
            yield np.array([game(rows) for game in games])

    return evaluate


def game_for(method, n, seed=0):
    if method != "stratified":
        return Watched(n, seed)
    rng = np.random.default_rng([seed, n])
    return WatchedAveraging(rng.random((n, 4)), rng.random(4))


def test_stages_double_and_end_at_the_budget():
    assert stages(12, 0, 100) == [12, 24, 48, 100]
    assert stages(12, 0, 96) == [12, 24, 48, 96]
    assert stages(12, 0, 90) == [12, 24, 48, 90]
    assert stages(12, 0, 5) == [5]
    assert stages(12, 50, 400) == [12, 24, 50, 96, 192, 400]
    assert stages(12, 100, 100) == [12, 24, 48, 100]
    assert stages(12, 48, 400) == stages(12, 0, 400)


def test_a_longer_valuation_looks_at_the_same_stages_first():
    short, long = stages(30, 0, 1_000), stages(30, 0, 20_000)
    assert short[:-1] == long[: len(short) - 1]


@pytest.mark.parametrize("method", SAMPLERS)
@pytest.mark.parametrize("n", [9, 20])
def test_stages_change_no_bit_and_evaluate_no_coalition_twice(method, n):
    game, rule = game_for(method, n), Notes()
    result = shapley(game, method, 450, stop=rule)
    last = result.evaluated.budget  # below 450 where the stage of 450 would have passed it, together with those before
    assert last == 450 if method == "permutation" else 225 <= last <= 450
    assert bits(result) == bits(shapley(game_for(method, n), method, last))
    assert len(game.seen) == len(set(game.seen)) == result.n_evaluations == len(result.evaluated)
    assert result.converged is False
    budgets = [budget for budget, _, _ in rule.shown]
    assert budgets == sorted(budgets)
    assert budgets[-1] == last
    for budget, _, shown in rule.shown:
        assert shown == bits(shapley(game_for(method, n), method, budget))


def test_a_permutation_s_stages_cost_what_the_last_costs():
    game, plain = Watched(30), Watched(30)
    result = shapley(game, "permutation", 5_000, stop=Notes())
    once = shapley(plain, "permutation", 5_000)
    assert set(game.seen) == set(plain.seen)
    assert result.n_evaluations == len(set(plain.seen)) <= once.n_evaluations


def test_the_record_holds_what_was_evaluated():
    game = Watched(11)
    result = shapley(game, "permutation", 300, stop=MaxEvaluations(200))
    masks = result.evaluated.masks()
    assert [row.tobytes() for row in masks] == game.seen
    assert result.evaluated.utilities.tobytes() == game(masks).tobytes()
    assert result.evaluated.budget == 200
    assert result.n_evaluations <= 200


def test_no_rule_keeps_nothing():
    result = shapley(Watched(8), "permutation", 200)
    assert result.converged is None
    assert result.evaluated is None


def test_a_target_error_ends_it():
    game = Watched(10)
    result = shapley(game, "permutation", 100_000, stop=TargetError(0.1))
    spread = np.linalg.norm(result.values - result.values.mean())
    assert np.linalg.norm(result.stderr) <= 0.1 * spread
    assert result.converged is True
    assert result.evaluated.budget < 100_000
    assert bits(result) == bits(shapley(Watched(10), "permutation", result.evaluated.budget))


def test_a_limit_ends_it_unconverged():
    for rule in (MaxEvaluations(300), MaxTime(0), MaxEvaluations(300) | TargetError(1e-9), TargetError(1e-9)):
        result = shapley(Watched(12), "permutation", 600, stop=rule)
        assert result.converged is False, rule
    assert result.evaluated.budget == 600


def test_a_rule_met_at_the_budget_counts():
    assert shapley(Watched(12), "permutation", 200, stop=TargetError(1e9)).converged is True


def test_a_stable_ranking_ends_it():
    result = shapley(Watched(20), "permutation", 50_000, stop=RankStability(top=3, threshold=0.9))
    assert result.converged is True
    assert result.evaluated.budget < 50_000


def test_what_leaves_nothing_to_draw_ends_at_once():
    game = Watched(6)
    result = shapley(game, "exact", 10_000, stop=MaxEvaluations(10_000) & TargetError(1e-9))
    assert (result.method, result.converged, len(game.seen)) == ("exact", True, 64)
    closed = shapley(AveragingGame(np.eye(9), np.ones(9), "dot"), stop=TargetError(1e-9))
    assert (closed.method, closed.converged, closed.n_evaluations) == ("closed_form", True, 0)


def test_auto_may_end_before_it_enumerates():
    game = Watched(12)
    result = shapley(game, budget=10_000, stop=TargetError(0.2))
    assert result.method != "exact"
    assert result.n_evaluations < 4096
    game = Watched(12)
    result = shapley(game, budget=10_000, stop=TargetError(1e-12))
    assert (result.method, result.converged, result.n_evaluations) == ("exact", True, 4096)
    assert len(game.seen) == 4096


@pytest.mark.parametrize("method", SAMPLERS)
@pytest.mark.parametrize("ahead", [0, 3, 100])
def test_evaluators_out_of_step_change_nothing(method, ahead):
    rule = TargetError(0.05) | MaxEvaluations(700)
    expected = shapley(game_for(method, 14), method, 3_000, stop=rule)
    game, asked = game_for(method, 14), []
    found = shapley(game, method, 3_000, stop=rule, evaluate=remote([game], ahead, asked))
    assert bits(found) == bits(expected)
    assert found.evaluated.coalitions.tobytes() == expected.evaluated.coalitions.tobytes()
    assert found.evaluated.utilities.tobytes() == expected.evaluated.utilities.tobytes()
    assert (found.n_evaluations, found.converged) == (expected.n_evaluations, expected.converged)
    assert len(asked) == len(set(asked)) == found.n_evaluations


@pytest.mark.parametrize("method", ["permutation", "stratified"])
@pytest.mark.parametrize("hosted", [False, True])
def test_a_game_s_result_does_not_depend_on_the_others(method, hosted):
    games = [game_for(method, 13, seed) for seed in range(3)]
    rule, asked = TargetError(0.15), []
    alone = [shapley(game_for(method, 13, seed), method, 5_000, stop=rule) for seed in range(3)]
    together = shapley_many(games, method, 5_000, stop=rule, evaluate=remote(games, 3, asked) if hosted else None)
    for one, other in zip(alone, together, strict=True):
        assert bits(one) == bits(other)
        assert (one.n_evaluations, one.converged) == (other.n_evaluations, other.converged)
        assert one.evaluated.coalitions.tobytes() == other.evaluated.coalitions.tobytes()
    assert len(asked) == len(set(asked))
    for game in games:
        assert len(game.seen) == len(set(game.seen))
    if hosted:  # what one game had evaluated for all is there when the next one's turn comes
        assert len(asked) == len(games[0].seen) < sum(result.n_evaluations for result in together)


@pytest.mark.parametrize("through_pickle", [False, True])
def test_continuing_is_one_longer_run(through_pickle):
    game, rule = Watched(15), TargetError(0.03)
    first = shapley(game, "permutation", 50_000, stop=TargetError(0.2))
    if through_pickle:
        first = pickle.loads(pickle.dumps(first))
    further = shapley(game, "permutation", 50_000, stop=rule, previous=first)
    once = shapley(Watched(15), "permutation", 50_000, stop=rule)
    assert first.n_evaluations < further.n_evaluations
    assert bits(further) == bits(once)
    assert (further.n_evaluations - AGAIN, further.converged) == (once.n_evaluations, once.converged)
    assert len(game.seen) == len(set(game.seen)) + AGAIN == further.n_evaluations
    assert set(game.seen) == {row.tobytes() for row in further.evaluated.masks()}


def test_continuing_without_a_rule():
    game = Watched(15)
    first = shapley(game, "permutation", 700, stop=MaxEvaluations(700))
    further = shapley(game, "permutation", 2_000, previous=first)
    assert bits(further) == bits(shapley(Watched(15), "permutation", 2_000))
    assert further.converged is None
    assert len(game.seen) == len(set(game.seen)) + AGAIN == further.n_evaluations <= 2_000
    again = shapley(game, "permutation", 2_000, previous=further)
    assert bits(again) == bits(further)
    assert again.n_evaluations == len(set(game.seen)) + AGAIN == len(again.evaluated) + AGAIN  # those of this call
    assert len(game.seen) == again.n_evaluations + AGAIN


def test_asking_again_is_no_evidence():
    """However often a constant game is continued within 60 evaluations, one coalition in 62 may differ still."""
    game = Watched(12)
    game.weights, game.pairs = game.weights * 0, game.pairs * 0
    result = shapley(game, budget=60, stop=MaxEvaluations(60))
    for _ in range(3):
        notes = Notes()
        result = shapley(game, budget=60, previous=result, stop=notes)
        assert result.n_evaluations <= 60 + 1
        assert all(evaluations == len(result.evaluated) <= 60 for _, evaluations, _ in notes.shown)
    assert not shapley(game, budget=60, previous=result, stop=TargetError(1 / 62.5)).converged


@pytest.mark.parametrize(
    ("n", "spent", "budget", "cost"),
    [(8, 250, 256, 256 + 1), (8, 250, 257, 257), (8, 250, 300, 256 + AGAIN), (10, 100, 100, 100 + 1)],
)
def test_what_is_asked_again_keeps_to_the_budget_where_one_fits(n, spent, budget, cost):
    game = Watched(n)
    first = shapley(game, "permutation", spent, stop=MaxEvaluations(spent))
    made = len(game.seen)
    result = shapley(game, "permutation", budget, previous=first)
    if budget == spent:  # repeats leave room for some
        cost = len(first.evaluated) + min(max(budget - len(first.evaluated), 1), AGAIN)
    assert result.n_evaluations == cost == len(game.seen)
    assert made == first.n_evaluations


def test_a_rule_is_not_asked_before_what_there_is():
    first = shapley(Watched(15), "permutation", 1_000, stop=MaxEvaluations(1_000))
    rule = Notes()
    shapley(Watched(15), "permutation", 4_000, previous=first, stop=rule)
    assert [budget for budget, _, _ in rule.shown] == [1_000, 2_176, 4_000]


def test_continuing_several_games_on_an_evaluator():
    games = [Watched(12, seed) for seed in range(2)]
    first = [shapley(games[0], "permutation", 150, stop=MaxEvaluations(150)),
             shapley(games[1], "permutation", 600, stop=MaxEvaluations(600))]  # fmt: skip
    asked = []
    further = shapley_many(games, "permutation", 1_200, previous=first, evaluate=remote(games, 3, asked))
    for seed, result in enumerate(further):
        assert bits(result) == bits(shapley(Watched(12, seed), "permutation", 1_200))
    assert len(asked[2 * AGAIN :]) == len(set(asked[2 * AGAIN :]))


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ({"stop": 5}, "stop = 5: must be a rule such as"),
        ({"previous": 5}, "previous: must be a result with its evaluations"),
        ({"previous": shapley(Watched(5), "permutation", 100)}, "previous: must be a result with its evaluations"),
        ({"previous": shapley(Watched(4), "permutation", 100, stop=MaxTime(9))}, "previous = 4: must be of a game of 5"),
        ({"budget": 20, "previous": shapley(Watched(5), "permutation", 30, stop=MaxEvaluations(30))},
         "budget = 20: must be at least 30, that of previous"),
        ({"budget": 4, "stop": MaxTime(9)}, "budget = 4: must be at least 10 for permutation"),
        ({"stop": MaxEvaluations(3)}, "stop = MaxEvaluations(n=3): its 3 evaluations must be at least 10 for permutation"),
    ],
)  # fmt: skip
def test_bad_arguments_are_refused_in_one_line(arguments, line):
    with pytest.raises(InputError) as caught:
        shapley(Watched(5), **{"method": "permutation", "budget": 300, **arguments})
    assert str(caught.value).startswith(line)
    assert "\n" not in str(caught.value)


def test_a_game_s_error_is_the_game_s():
    class Broken:
        n_players = 5

        def __call__(self, coalitions):
            return np.full(len(coalitions), np.nan)

    with pytest.raises(InputError, match="utilities must be finite"):
        shapley(Broken(), "permutation", 300, stop=TargetError())


def test_a_million_evaluations_are_kept_in_arrays():
    """At most a byte per eight players and 8 bytes an evaluation; never a Python object for each."""
    rng = np.random.default_rng(0)
    result = shapley(
        AveragingGame(rng.random((50, 3)), rng.random(3)), "permutation", 100_000, stop=MaxEvaluations(10**6)
    )
    assert result.evaluated.coalitions.nbytes == 7 * result.n_evaluations
    assert len(pickle.dumps(result)) < 15 * result.n_evaluations + 10_000


@pytest.mark.parametrize("method", ["auto", "kernel_shap", "permutation", "stratified", "surrogate"])
@pytest.mark.parametrize(("n", "budget"), [(12, 1_250), (40, 1_501)])
@pytest.mark.parametrize("hosted", [False, True])
def test_the_stages_together_keep_to_the_budget(method, n, budget, hosted):
    allowed = budget + (2 if method == "kernel_shap" else 0)
    for rule in (TargetError(1e-12), TargetError(1e-12) | MaxEvaluations(budget)):
        game, asked = game_for(method, n), []
        pool = remote([game], 3, asked) if hosted else None
        result = shapley(game, method, budget + 77, stop=rule, evaluate=pool)
        most = allowed if isinstance(rule, Either) else allowed + 77
        assert len(game.seen) == len(set(game.seen)) == result.n_evaluations <= most
        assert result.n_evaluations >= 0.5 * budget  # what is cut is cut to fit, not left; repeats cost nothing
    further = shapley(game, method, 2 * budget, previous=result, stop=TargetError(1e-12), evaluate=pool)
    assert len(game.seen) == len(set(game.seen)) + AGAIN == further.n_evaluations <= budget + allowed
    assert further.n_evaluations > 1.3 * result.n_evaluations
    assert np.isfinite(further.values).all()


@pytest.mark.parametrize("first", ["kernel_shap", "permutation", "stratified", "surrogate"])
@pytest.mark.parametrize("then", ["kernel_shap", "permutation", "stratified", "surrogate"])
def test_continuing_by_another_method_keeps_to_the_budget(first, then):
    game = game_for("stratified", 14)
    start = shapley(game, first, 900, stop=MaxEvaluations(900))
    result = shapley(game, then, 2_000, previous=start)
    assert len(game.seen) == len(set(game.seen)) + AGAIN == result.n_evaluations
    assert result.n_evaluations <= 2_000 + (2 + AGAIN + start.n_evaluations if then == "kernel_shap" else 0)
    ends = game(np.array([[True] * 14, [False] * 14]))
    assert result.values.sum() == pytest.approx(ends[0] - ends[1], abs=1e-9)


def test_a_budget_that_leaves_too_little_is_refused():
    start = shapley(Watched(40), "permutation", 900, stop=MaxEvaluations(900))
    game = Watched(40)
    with pytest.raises(InputError, match=r"^budget = 900: leaves \d+ evaluations, too few besides those of previous$"):
        shapley(game, "surrogate", 900, previous=start)
    assert len(game.seen) == min(max(900 - len(start.evaluated), 1), AGAIN)


def test_kernel_shap_continued_is_one_go():
    first = shapley(Watched(12), "kernel_shap", 100, stop=MaxEvaluations(100))
    game = Watched(12)
    further = shapley(game, "kernel_shap", 300, previous=first)
    assert bits(further) == bits(shapley(Watched(12), "kernel_shap", 300))
    assert len(game.seen) == further.n_evaluations - first.n_evaluations <= 302 + AGAIN


@pytest.mark.parametrize("method", ["auto", "permutation", "surrogate"])
def test_a_constant_game_is_done_at_once(method):
    game = Watched(16)
    game.weights, game.pairs = game.weights * 0, game.pairs * 0
    result = shapley(game, method, 5_000, stop=TargetError(0.01))
    assert result.converged
    assert result.n_evaluations <= 150
    assert not result.values.any()
