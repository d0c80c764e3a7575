import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from crowd_sim.valuation import shapley
from experiments.bench.held_out_games import classifying, explaining
from experiments.bench.held_out_games.__main__ import FAMILIES, values_of, write
from experiments.bench.held_out_games.made import Made
from experiments.bench.real_games import exact_values, read_games

pytest.importorskip("sklearn")


def test_tables_are_as_real_games_reads_them(tmp_path, capsys):
    write(tmp_path / "games", "BreastCancer_EnsembleSelection_n12")
    assert [path.name for path in tmp_path.iterdir()] == ["games"]
    games = read_games(tmp_path / "games", 3)
    assert [game.name for game in games] == ["log_score", "majority", "soft"]
    assert capsys.readouterr().err.count("BreastCancer_EnsembleSelection_n12") == 3
    made = {game.name: game for game in FAMILIES["BreastCancer_EnsembleSelection_n12"]()}
    some = np.random.default_rng(0).random((20, 12)) < 0.5
    for game in games:  # the same again, from some coalitions only
        np.testing.assert_allclose(game(some), made[game.name].utility(some), atol=1e-12)
        assert exact_values(game).sum() == pytest.approx(game.utilities[-1] - game.utilities[0])


def test_a_game_that_says_nothing_is_refused():
    with pytest.raises(ValueError, match="flat: utilities must be finite, and not all the same"):
        values_of(Made("flat", 3, lambda coalitions: np.ones(len(coalitions))))


@pytest.mark.parametrize("model", ["nearest_class", "bayes", "logistic", "tree"])
def test_models_fitted_at_once_are_those_fitted_alone(model):
    rng = np.random.default_rng(0)
    rows, classes, tests = rng.normal(size=(12, 2)), rng.integers(0, 2, 12), rng.normal(size=(30, 2))
    rows += 3 * classes[:, None]
    tests[::2] += 3
    used = rng.random((5, 12)) < 0.7
    used[0] = True
    fit = getattr(classifying, model)
    at_once = fit(used, rows, classes, tests)
    for own, chosen in zip(at_once, used, strict=True):
        if len(set(classes[chosen])) == 2 and model != "bayes":  # its smoothing is by all rows
            np.testing.assert_array_equal(
                own, fit(np.ones((1, chosen.sum()), bool), rows[chosen], classes[chosen], tests)[0]
            )
    assert (at_once[0] == np.arange(30) % 2 * -1 + 1).mean() > 0.8


def test_conditional_imputation_of_independent_features_is_marginal():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(4000, 4))
    rows = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)[0] * np.sqrt(4000)
    game = explaining._conditional(lambda at: at @ np.arange(4.0), rows[0], rows)
    few = explaining._few(rows).mean(axis=0)
    np.testing.assert_allclose(
        values := values_of(Made("linear", 4, game)),
        values_of(Made("additive", 4, lambda c: np.where(c, rows[0], few) @ np.arange(4.0))),
        atol=1e-8,
    )
    assert values[0] == pytest.approx(few @ np.arange(4.0))


def test_values_of_an_explanation_sum_up_to_what_the_row_adds():
    (game, *_) = FAMILIES["Diabetes_LocalExplanation_n10"]()
    values = shapley(game_of(game), "exact").values
    assert values.sum() == pytest.approx(float(np.diff(game.utility(np.array([[False] * 10, [True] * 10])))[0]))


def game_of(made):
    class Game:
        n_players = made.n_players

        def __call__(self, coalitions):
            return made.utility(coalitions)

    return Game()


def test_without_scikit_learn_one_line_says_what_is_missing(tmp_path):
    code = (
        "import sys; sys.modules['sklearn'] = None; import runpy; sys.argv = ['h', '--path', sys.argv[1]]; "
        "runpy.run_module('experiments.bench.held_out_games', run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "games")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr == "sklearn is not installed: it comes with the extra dev\n"
    assert Path(tmp_path / "games").is_dir()
