"""Trusted records and screens of crowds who label and prefer."""

import numpy as np
import pytest

from crowd_sim.crowd.screens import LABEL_SCREENS, PAIR_SCREENS, screened
from crowd_sim.crowd.texts import Example
from crowd_sim.host import LocalTrainers
from crowd_sim.models.lora import shared_learner
from crowd_sim.participants import roles
from crowd_sim.tasks.adapters.learner import mixed
from crowd_sim.tasks.adapters.settings import learner_spec
from crowd_sim.tasks.adapters.trainers import TextTrainers
from crowd_sim.tasks.choose.crowd import load_choices
from crowd_sim.tasks.choose.screening import peer_agreement, screen
from crowd_sim.tasks.load import task_key
from tests.llm.choosing import FULL, PEERS, WEATHER, configuration, expert, labels, pairs


def test_trusted_records_judge_and_are_not_trained_on(parts, tmp_path):
    trusted = [{"worker": "t", "text": f"{WEATHER[i]} {i}", "label": "wet" if i < 3 else "dry"} for i in range(6)]
    crowd = load_choices(configuration(parts, tmp_path, "classify", target=trusted))
    assert len(crowd.selection) == len(crowd.report) == 3
    assert sum(map(len, crowd.texts.examples)) == 30  # without the six that are trusted
    assert crowd.texts.examples[0][0].prompt.startswith("Label this text as one of: dry, wet.\n\nrain")
    assert crowd.report[0].choices == ("dry", "wet")
    assert b"".join(crowd.identity()) != b"".join(crowd.texts.identity())


def test_an_expert_scores_and_screens_and_everything_else_is_for_the_report(parts, tmp_path):
    shared = [{"worker": "w0", "text": f"{WEATHER[0]} and 0", "label": "dry"}]
    crowd = load_choices(configuration(parts, tmp_path, "classify", [*labels(), *shared], trusted=expert(), **FULL))
    assert [item.prompt for item in crowd.selection] == [f"{row['text']}: dry, wet?" for row in expert()]
    assert len(crowd.report) == 7
    assert len(crowd.expert) == 6
    assert sum(map(len, crowd.texts.examples)) == 36 - 7  # without what the expert's record and the items share
    assert [item.choices[item.right] for item in crowd.items_of(2)] == [e.response for e in crowd.texts.examples[2]]


def test_workers_whom_the_expert_contradicts_are_flagged():
    likely = [[0.9, 0.7], [0.8, 0.6], [0.6], [0.1, 0.2], []]
    found = screened(LABEL_SCREENS, [np.array(own) for own in likely])
    assert found.scores["expert"].tolist() == pytest.approx([0.2, 0.3, 0.4, 0.85, 0.0])
    assert found.flagged.tolist() == [False, False, False, True, False]
    assert not screened(LABEL_SCREENS, [np.array([0.1])] * 5).flagged.any()  # what all do is the expert's fault


def test_workers_whom_a_reward_of_all_others_contradicts_are_flagged():
    draws = np.random.default_rng(0)
    better = [draws.normal(1.0, 1.0, (20, 3)) for _ in range(8)]
    worse = [draws.normal(-1.0, 1.0, (20, 3)) for _ in range(8)]
    better[5][:8], worse[5][:8] = worse[5][:8].copy(), better[5][:8].copy()
    agreed = peer_agreement(better, worse)
    assert (set(np.concatenate(agreed)), agreed[0].shape) == ({0.0, 1.0}, (20,))
    assert screened(PAIR_SCREENS, agreed, ("peers",)).flagged.tolist() == [i == 5 for i in range(8)]
    same = [np.ones((2, 3))] * 3
    assert np.concatenate(peer_agreement(same, same)).tolist() == [0.5] * 6


def test_the_more_pairs_the_less_they_may_be_contradicted():
    wrong = [(0, 20), (1, 20), (1, 20), (2, 20), (4, 20), (5, 20), (2, 4), (10, 80), (0, 0)]
    found = screened(PAIR_SCREENS, [np.arange(m) >= k for k, m in wrong], ("peers",))
    usual = np.mean([0.0, 0.05, 0.05, 0.1, 0.0])  # of those at most at the median, the one without pairs with them
    assert found.scores["peers"][4] == pytest.approx((0.2 - usual) / np.sqrt(usual * (1 - usual) / 20))
    assert found.flagged.tolist() == [False] * 4 + [True, True, True, True, False]
    assert not screened(PAIR_SCREENS, [np.zeros(20)] * 5, ("peers",)).flagged.any()  # what all do is nobody's fault


def test_peers_are_read_by_the_phi_of_the_configuration(parts, tmp_path):
    rows = [row | {"worker": "w5"} for row in pairs(36)[:2]] + pairs(44)[8:]
    task = {"phi": {"kind": "embedding", "model": str(parts / "phi")}}
    setup = configuration(parts, tmp_path, "prefer", rows, task=task, **PEERS)
    trainers, crowd = TextTrainers(LocalTrainers(shared_learner(learner_spec(setup)))), load_choices(setup)
    found = screen(setup, crowd, trainers).screened
    vectors = [trainers.embed([str(e.response) for e in own]) for own in crowd.texts.examples]
    rivals = [trainers.embed([str(e.rival) for e in own]) for own in crowd.texts.examples]
    assert len({len(own) for own in vectors}) > 1  # everyone's stay everyone's
    assert found.scores["peers"].tolist() == PAIR_SCREENS["peers"].scores(peer_agreement(vectors, rivals)).tolist()


def test_a_mixed_candidate_passes_over_examples_by_their_workers_weights():
    examples = [tuple(Example(f"{w}{i}", "") for i in range(3)) for w in "abc"]
    told = [e.prompt for e in mixed(examples, np.array([2.0, 0.0, 1.0]))]
    assert told == ["a0", "a1", "a2", "a0", "a1", "a2", "c0", "c1", "c2"]
    assert mixed(examples, np.zeros(3)) == tuple(e for own in examples for e in own)
    assert len(mixed([examples[0], ()], np.ones(2))) == 3


def test_bad_workers_mislabel_what_is_trained_on_and_nothing_that_judges(parts, tmp_path):
    bad = {"bad": {"behaviour": "flip", "share": 1 / 3}}
    honest = load_choices(configuration(parts, tmp_path, "classify"))
    setup = configuration(parts, tmp_path, "classify", crowd=bad)
    found = load_choices(setup)
    assert (found.selection, found.report) == (honest.selection, honest.report)
    is_bad = roles([setup]).bad[0].tolist()
    assert sum(is_bad) == 2
    for own, was, wrong in zip(found.texts.examples, honest.texts.examples, is_bad, strict=True):
        assert {a.response == b.response for a, b in zip(own, was, strict=True)} == {not wrong}
    assert task_key(setup) != task_key(configuration(parts, tmp_path, "classify"))
