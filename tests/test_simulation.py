import re
from pathlib import Path

import numpy as np
import pytest

from crowd_sim.config import RunConfig
from crowd_sim.engine import simulate
from crowd_sim.host import InProcess
from crowd_sim.participants import load_population, participants_of
from crowd_sim.random import Purpose
from crowd_sim.tables import rounds_table, summary, workers_table
from crowd_sim.tasks.load import load_task
from crowd_sim.tournament.grouping import GROUPINGS
from crowd_sim.tournament.streams import RoundStreams


def config(**changes):
    content = {
        "runs": 4,
        "crowd": {"n_workers": 12},
        "tournament": {"rounds": 15, "n_groups": 3, "mistake_probability": 0.2},
        "valuation": {"budget": 500, "kernel_shap_budget": 200},
    }
    for field, value in changes.items():
        section, _, name = field.partition("__")
        if name:
            content.setdefault(section, {})[name] = value
        else:
            content[section] = value
    return RunConfig.parse(content)


def simulated(*configs):
    return simulate(configs, load_task(configs[0]), InProcess())


def same(a, b):
    return (
        rounds_table(a).equals(rounds_table(b))
        and workers_table(a).equals(workers_table(b))
        and summary(a, "") == summary(b, "")
    )


def by_hand(config, run):
    """One run, one worker and group at a time, from the paper's description; only the draws are the simulator's."""
    population = load_population(config.crowd)
    (workers,), (target_row,) = (rows[run : run + 1] for rows in participants_of([config], population)[0])
    vectors, target = population.vectors[workers], population.vectors[target_row]
    k = config.tournament.n_groups
    keys = np.array([config.seed], dtype=np.uint64), np.array([run], dtype=np.uint64)
    score = {
        "l2": lambda x: -float(np.linalg.norm(x - target)),
        "l1": lambda x: -float(np.abs(x - target).sum()),
        "dot": lambda x: float(x @ target),
    }[config.tournament.score]
    model = 5 * RoundStreams(*keys, 0).uniforms(Purpose.INITIAL_MODEL, len(target))[0]
    points = [1.0] * len(workers)
    distances = [np.linalg.norm(model - target)]
    for t in range(1, config.tournament.rounds + 1):
        draws = RoundStreams(*keys, t)
        grouping = GROUPINGS[config.tournament.grouping]
        (groups,) = grouping(np.array([points]), k, draws, config.tournament.rounds).of_everyone()
        candidates = []
        for group in range(k):
            members = [i for i in range(len(workers)) if groups[i] == group]
            total = sum(points[i] ** 2 for i in members)
            centroid = sum(points[i] ** 2 * vectors[i] for i in members) / total
            candidates.append(model + config.tournament.step * (centroid - model))
        ranking = sorted(range(k), key=lambda group: -score(candidates[group]))
        if score(candidates[ranking[0]]) > score(model):
            chance = draws.uniforms(Purpose.MISTAKE, 2)[0]
            if chance[0] < config.tournament.mistake_probability:
                other = 1 + int(chance[1] * (k - 1))
                ranking[0], ranking[other] = ranking[other], ranking[0]
            for place, group in enumerate(ranking):
                for i in range(len(workers)):
                    points[i] += (k - place) * (groups[i] == group)
            model = candidates[ranking[0]]
        distances.append(np.linalg.norm(model - target))
    return distances, points


@pytest.mark.parametrize("score", ["l2", "l1", "dot"])
@pytest.mark.parametrize("grouping", GROUPINGS)
def test_the_engine_plays_the_papers_rounds(grouping, score):
    setup = config(tournament__grouping=grouping, tournament__score=score, valuation__method="none")
    (outcome,) = simulated(setup)
    for run in range(setup.runs):
        distances, points = by_hand(setup, run)
        np.testing.assert_allclose(outcome.history.distances[:, run], distances, rtol=1e-10)
        assert outcome.history.points[run].tolist() == points
    assert outcome.history.accepted.any()
    assert outcome.history.mistakes.any()


def test_a_configuration_has_the_same_bits_alone_and_among_others():
    others = [
        config(seed=7),
        config(tournament__step=0.3),
        config(tournament__score="l1"),
        config(tournament__grouping="interleaved"),
        config(tournament__n_groups=2, runs=6),
        config(crowd__n_workers=9),
        config(valuation__budget=300),
    ]
    together = simulated(*others, config())
    for alone in (config(), *others):
        (expected,) = simulated(alone)
        found = next(outcome for outcome in together if outcome.config == alone)
        assert same(found, expected)


def test_fewer_runs_are_the_first_of_more():
    (few,), (many,) = simulated(config(runs=2)), simulated(config(runs=4))
    assert few.history.distances.tobytes() == np.ascontiguousarray(many.history.distances[:, :2]).tobytes()
    assert few.values.tobytes() == many.values[:2].tobytes()


def test_without_values_there_are_no_correlations_with_them():
    (outcome,) = simulated(config(valuation__method="none"))
    assert outcome.values is None
    assert np.isnan(outcome.metrics["pearson_accurate"]).all()
    assert "shapley" not in workers_table(outcome)
    assert summary(outcome, "")["metrics"]["pearson_accurate"] == {"mean": None, "se": None, "n": 0}


def test_the_documents_strategies_run(tmp_path, monkeypatch):
    text = (Path(__file__).parents[1] / "docs" / "strategies.md").read_text(encoding="utf-8")
    (tmp_path / "mine.py").write_text(re.search(r"```python\n(# mine\.py.*?)```", text, re.DOTALL).group(1))
    monkeypatch.chdir(tmp_path)
    names = {"grouping": "mine:by_lot", "score": "mine:cosine", "reward": "mine:winning_streak"}
    (outcome,) = simulated(config(**{f"tournament__{kind}": name for kind, name in names.items()}))
    assert outcome.history.accepted.any()
    assert outcome.history.points.max() > 1


def test_kernel_shap_can_be_left_out():
    (outcome,) = simulated(config(valuation__kernel_shap_budget=0))
    assert outcome.kernel_shap is None
    assert not np.isnan(outcome.metrics["pearson_accurate"]).any()


def test_points_agree_with_values_where_the_game_is_easy():
    (outcome,) = simulated(config(runs=20, tournament__score="dot", tournament__rounds=100))
    assert outcome.methods == ("closed_form",) * 20
    assert outcome.metrics["pearson_accurate"].mean() > 0.7


def test_a_strategy_of_ones_own(tmp_path, monkeypatch):
    (tmp_path / "mine_for_a_test.py").write_text(
        "import numpy as np\n"
        "from crowd_sim.crowd.population import Population\n"
        "def halves(points, n_groups, draws, rounds):\n"
        "    return np.tile(np.arange(points.shape[1]) % n_groups, (len(points), 1))\n"
        "def first_coordinate(x, target):\n"
        "    return -np.abs(x[..., 0] - target[..., 0])\n"
        "def flat(points, memory, played):\n"
        "    number = memory.get('number', 0) + 1\n"
        "    assert number == played.round\n"
        "    return points + 1, {'number': number}\n"
        "def people(path, n_workers, seed):\n"
        "    v = np.arange(40.0).reshape(20, 2)\n"
        "    return Population(v, [str(i) for i in range(20)], ['a', 'b'])\n"
    )
    monkeypatch.chdir(tmp_path)
    (outcome,) = simulated(
        config(
            crowd__source="mine_for_a_test:people",
            tournament__grouping="mine_for_a_test:halves",
            tournament__score="mine_for_a_test:first_coordinate",
            tournament__reward="mine_for_a_test:flat",
        )
    )
    assert (outcome.history.points == 16).all()
    assert outcome.values.shape == (4, 12)


def test_games_say_how_many_coalitions_are_evaluated():
    said = []
    (setup,) = [config(runs=2, crowd__n_workers=6, valuation__method="exact")]
    simulate([setup], load_task(setup), InProcess(), lambda *told: said.append(told))
    games = [told for told in said if told[0] == "games"]
    for game in (1, 2):
        assert ("games", game - 1, 2, f"64 coalitions of game {game}") in games
    assert [done for _, done, _, _ in games] == sorted(done for _, done, _, _ in games)
