"""Rules on games and on labels with known answers."""

from pathlib import Path

import numpy as np
import pytest

from crowd_sim.config.payment import RULES
from crowd_sim.payment.labels import dmi, gold_questions, output_agreement
from crowd_sim.payment.rules import GAME_RULES, game_scores, least_spread
from crowd_sim.valuation import AveragingGame, least_core
from crowd_sim.valuation.values import AllUtilities


class Additive:
    n_players = 4
    worth = np.array([1.0, 2.0, 0.0, 5.0])

    def __call__(self, coalitions):
        return (coalitions * self.worth).sum(axis=1) + 3.0


class Gloves:
    """One left glove, three right ones: a pair is worth 1; the core gives all to the left one."""

    n_players = 4

    def __call__(self, coalitions):
        return np.minimum(coalitions[:, 0], coalitions[:, 1:].sum(axis=1)).astype(float)


class Majority:
    """Two of three: the core is empty, the least core gives a third each and lacks a third."""

    n_players = 3

    def __call__(self, coalitions):
        return (coalitions.sum(axis=1) >= 2).astype(float)


@pytest.mark.parametrize("rule", GAME_RULES)
def test_additive_games_pay_what_each_adds(rule):
    tolerance = 1e-6 if rule == "least_core" else 1e-12
    np.testing.assert_allclose(game_scores(rule, Additive(), 1000, 0, 0), Additive.worth, atol=tolerance)


def test_the_least_core_of_known_games():
    np.testing.assert_allclose(game_scores("least_core", Gloves(), 1000, 0, 0), [1, 0, 0, 0], atol=1e-6)
    scores = game_scores("least_core", Majority(), 1000, 0, 0)
    np.testing.assert_allclose(scores, 1 / 3, atol=1e-6)
    assert len(set(scores.tolist())) == 1


def test_the_least_spread_is_in_the_least_core_and_spreads_no_more_than_a_vertex():
    game = AllUtilities.of(AveragingGame(np.random.default_rng(1).normal(1.0, 1.0, (7, 3)), np.ones(3)))
    coalitions = (np.arange(128)[:, None] >> np.arange(7) & 1).astype(bool)
    found, vertex = least_spread(coalitions, game.table), least_core(game)
    gains = game.table - game.table[0]
    assert found.sum() == pytest.approx(gains[-1])
    assert (coalitions @ found - gains + vertex.deficit)[1:-1].min() > -1e-6
    assert (found**2).sum() <= (vertex.values**2).sum() + 1e-6


@pytest.mark.parametrize("rule", GAME_RULES)
@pytest.mark.parametrize("n", [7, 30])
def test_equal_contributions_score_the_same_to_the_last_bit(rule, n):
    vectors = np.random.default_rng(2).normal(1.0, 1.0, (n, 3))
    vectors[5] = vectors[2]
    scores = game_scores(rule, AveragingGame(vectors, np.ones(3)), 600, 0, 0)
    assert scores[5] == scores[2]
    assert len(set(scores.tolist())) == n - 1


LABELS = np.array([[0, 0, 1], [1, 1, 1], [0, 1, 1], [1, 0, -1], [0, 0, 1], [1, 1, -1]])


def test_gold_questions_and_agreement_by_hand():
    gold = np.array([0, 1, -1, 1, -1, -1])
    np.testing.assert_allclose(gold_questions(LABELS, gold), [1, 2 / 3, 1 / 2])
    # the first worker: 1/2, 1, 0, 0, 1/2, 1
    np.testing.assert_allclose(output_agreement(LABELS), [3 / 6, 3.5 / 6, 1.5 / 4])


def test_dmi_by_hand():
    # items 0, 2, 4: (0,0), (0,1), (0,0): det of [[2/3, 1/3], [0, 0]] is 0
    assert dmi(LABELS[:, :2], 2).tolist() == [0.0, 0.0]
    labels = np.array([[0, 0], [0, 0], [1, 1], [1, 1], [1, 0], [0, 0]])
    # items 0, 2, 4: [[1, 0], [1, 1]] / 3, items 1, 3, 5: [[2, 0], [0, 1]] / 3
    np.testing.assert_allclose(dmi(labels, 2), (1 / 9) * (2 / 9))


def test_dmi_pays_constant_and_random_reporters_nothing():
    draws = np.random.default_rng(5)
    runs = []
    for _ in range(200):
        truth = draws.integers(0, 2, 60)
        honest = [np.where(draws.random(60) < 0.8, truth, 1 - truth) for _ in range(4)]
        runs.append(dmi(np.column_stack([*honest, np.zeros(60, dtype=int), draws.integers(0, 2, 60)]), 2))
    mean, error = np.mean(runs, axis=0), np.std(runs, axis=0, ddof=1) / np.sqrt(len(runs))
    assert (mean[:4] > 10 * error[:4]).all()
    assert abs(mean[4]) < 1e-12
    assert abs(mean[5]) < 2 * error[5]


@pytest.mark.parametrize("rule", GAME_RULES)
def test_order_of_players_does_not_matter(rule):
    vectors, order = np.random.default_rng(2).normal(1.0, 1.0, (7, 3)), np.random.default_rng(3).permutation(7)
    scores, permuted = (
        game_scores(rule, AveragingGame(own, np.ones(3)), 600, 0, 0) for own in (vectors, vectors[order])
    )
    np.testing.assert_allclose(permuted, scores[order], atol=1e-6 if rule == "least_core" else 1e-12)


def test_every_rule_has_its_line_on_the_page():
    page = (Path(__file__).parents[2] / "docs" / "attacks_payment.md").read_text(encoding="utf-8")
    assert all(f"`{rule}`" in page for rule in RULES)
