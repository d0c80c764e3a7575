"""What workers contributed over the rounds is kept where something asks for it, and is what values are of."""

import numpy as np
import pytest

from crowd_sim.config import RunConfig
from crowd_sim.crowd.behaviours import per_shard
from crowd_sim.engine import simulate
from crowd_sim.host import InProcess
from crowd_sim.tasks.load import load_task
from crowd_sim.tournament.evidence import with_round
from crowd_sim.valuation import AveragingGame, shapley
from tests.saving import Kept


@per_shard
def turned(members):
    """Every other worker contributes what is opposite of the model, a little differently each round."""
    away = members.vectors - 0.1 * members.model + 0.01 * members.round
    return np.where((members.places % 2 == 1)[:, None], away, members.vectors)


@pytest.fixture
def keeping(monkeypatch):
    monkeypatch.setattr(RunConfig, "needs_evidence", property(lambda self: True))


def configured(behaviour="honest"):
    return RunConfig.parse(
        {
            "runs": 2,
            "crowd": {"n_workers": 7, "behaviour": behaviour},
            "tournament": {"rounds": 5, "n_groups": 2},
            "valuation": {"method": "exact", "kernel_shap_budget": 0},
        }
    )


def run(behaviour="honest"):
    config = configured(behaviour)
    task = load_task(config)
    (outcome,) = simulate([config], task, InProcess())
    return outcome, task.population


def test_statistics_are_those_of_all_rounds():
    rng = np.random.default_rng(0)
    given, models = rng.normal(size=(6, 2, 5, 3)), rng.normal(size=(6, 2, 3))
    evidence = {}
    for number in range(6):
        evidence = with_round(evidence, given[number], models[number], number + 1)
    np.testing.assert_allclose(evidence["mean"], given.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(evidence["spread"], given.var(axis=0).sum(axis=-1), rtol=1e-12)
    away = np.linalg.norm(given - models[:, :, None], axis=-1)
    np.testing.assert_allclose(evidence["nearness"], away.mean(axis=0), rtol=1e-12)


def test_an_honest_crowd_contributes_its_vectors_to_the_last_bit(keeping):
    outcome, population = run()
    evidence = outcome.history.evidence
    np.testing.assert_array_equal(evidence["mean"], population.vectors[outcome.workers])
    assert not evidence["spread"].any()


def test_honest_values_are_the_same_bytes_with_and_without_evidence(monkeypatch):
    without, _ = run()
    assert not without.history.evidence
    monkeypatch.setattr(RunConfig, "needs_evidence", property(lambda self: True))
    kept, _ = run()
    assert kept.values.tobytes() == without.values.tobytes()
    assert kept.history.points.tobytes() == without.history.points.tobytes()


def test_values_are_of_what_was_contributed(keeping):
    outcome, population = run(f"{__name__}:turned")
    for b in range(2):
        contributed = outcome.history.evidence["mean"][b]
        assert not np.array_equal(contributed, population.vectors[outcome.workers[b]])
        game = AveragingGame(contributed, population.vectors[outcome.targets[b]], score="l2")
        np.testing.assert_allclose(outcome.values[b], shapley(game, "exact").values, rtol=1e-9)


def test_a_log_goes_on_with_its_evidence(keeping):
    config = configured(f"{__name__}:turned")
    task = load_task(config)
    first = Kept()
    (whole,) = simulate([config], task, InProcess(), saving=first)
    then = Kept(first.rounds[2])
    (resumed,) = simulate([config], task, InProcess(), saving=then)
    assert 0 < len(then.rounds) < len(first.rounds)
    for name, kept in whole.history.evidence.items():
        assert kept.tobytes() == resumed.history.evidence[name].tobytes()
