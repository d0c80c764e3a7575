"""Pairs, ratings and judgements: what is learnt of them, and whose are contradicted."""

import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from crowd_sim.config.bad import BadConfig
from crowd_sim.crowd.screens import PAIR_SCREENS, screened
from crowd_sim.errors import InputError
from crowd_sim.host import LocalTrainers
from crowd_sim.models.jobs import TuneJob
from crowd_sim.models.lora import shared_learner
from crowd_sim.models.training import Key
from crowd_sim.models.tuning import tune
from crowd_sim.tasks.adapters.settings import learner_spec, training_of
from crowd_sim.tasks.adapters.trainers import TextTrainers
from crowd_sim.tasks.choose.crowd import load_choices
from crowd_sim.tasks.choose.screening import peer_agreement, screen
from crowd_sim.tasks.load import task_key
from tests.llm.choosing import PEERS, by_peft, configuration, pairs, run
from tests.llm.small import config as of_texts


def judgements(n=48):
    return [
        {
            "worker": f"w{i % 6}",
            "prompt": f"day {i // 12 * 6 + i % 6}?",
            "completion": f"{'sun' if i // 6 % 2 else 'rain'} {i}",
            "label": bool(i // 6 % 2),
        }
        for i in range(n)
    ]


def test_kto_takes_judgements_that_are_no_pairs(parts, tmp_path):
    rows = [row | {"prompt": f"{row['prompt']}{row['completion'][:2]}"} for row in judgements()]
    task = {"objective": "kto", "baselines": ["single"]}
    setup = configuration(parts, tmp_path, "prefer", rows, task=task, crowd={"held_out": 0.25})
    learner, crowd = shared_learner(learner_spec(setup)), load_choices(setup)
    assert [Counter(item.right for item in part) for part in (crowd.selection, crowd.report)] == [{0: 6, 1: 6}] * 2
    given = learner._packed(
        TuneJob(learner.initial(4, 0), crowd.texts.examples[0], Key(4, 0, 1, 0), training_of(setup))
    )
    assert given.gains == tuple(float(e.response.startswith("sun")) for e in crowd.texts.examples[0])
    assert set(given.gains) == {0.0, 1.0}
    assert crowd.items_of(0)[0].right == 1 - given.gains[0]
    finished = run(setup, tmp_path / "judged")
    by_peft(finished)
    found = json.loads((finished.folder / "summary.json").read_text())["choices"]
    assert (found["floor"]["mean"], found["accuracy_before"]["mean"]) == (0.5, 0.5)
    assert found["log_likelihood_after"]["mean"] > found["log_likelihood_before"]["mean"]
    assert found["margin_after"]["mean"] > 0
    items = pd.read_parquet(finished.folder / "items.parquet")
    assert set(items["right"]) == {"good", "bad"}
    assert (items["response"].str.startswith("sun") == (items["right"] == "good")).all()
    assert (items["chosen_after"] == items["right"]).mean() == found["accuracy_after"]["mean"]
    turned = load_choices(setup.model_copy(update={"crowd": of_bad(setup, "flip")}))
    was, now = ([e.good for own in one.texts.examples for e in own] for one in (crowd, turned))
    assert now == [not good for good in was]
    assert load_choices(setup.model_copy(update={"crowd": of_bad(setup, "spam")})).texts != crowd.texts
    as_pairs = setup.model_copy(update={"task": setup.task.model_copy(update={"objective": "dpo"})})
    assert task_key(as_pairs) != task_key(setup)  # a sweep over objectives reads the same file in two ways


def of_bad(setup, behaviour):
    return setup.crowd.model_copy(update={"bad": BadConfig(behaviour=behaviour, share=1.0)})


def test_sft_before_kto_is_over_what_is_good(parts, tmp_path):
    setup = configuration(parts, tmp_path, "prefer", judgements(), task={"objective": "kto", "sft_epochs": 1})
    learner, own = shared_learner(learner_spec(setup)), load_choices(setup).texts.examples[0]
    job = TuneJob(learner.initial(4, 0), own, Key(4, 0, 1, 0), training_of(setup))
    assert learner._warmed(job).examples == tuple(e for e in own if e.good)
    assert learner._warmed(replace(job, examples=tuple(e for e in own if not e.good))) is None


def test_ratings_and_judgements_are_pairs_of_one_worker(parts, tmp_path):
    rated = [
        {"worker": w, "prompt": f"{w}?", "response": f"{w} {r}", "rating": n}
        for w in ("w0", "w1", "w2", "w3", "w4", "w5")
        for r, n in (("best", 5), ("good", 4.5), ("bad", 1), ("as bad", 1))
    ]
    task = {"objective": "sft"}
    crowd = load_choices(configuration(parts, tmp_path, "prefer", rated, task=task, crowd=FEW))
    made = [(item.prompt, *item.choices) for item in (*crowd.selection, *crowd.report)]
    made += [(e.prompt, e.response, e.rival) for own in crowd.texts.examples for e in own]
    expected = [("best", "good"), ("best", "bad"), ("best", "as bad"), ("good", "bad"), ("good", "as bad")]
    assert sorted(made) == sorted((f"w{i}?", f"w{i} {a}", f"w{i} {b}") for i in range(6) for a, b in expected)
    ((said),) = crowd.remarks
    assert "6 pairs of responses are alike" in said
    crowd = load_choices(configuration(parts, tmp_path, "prefer", judgements(), task={"objective": "dpo"}))
    assert all(e.response.startswith("sun") and e.rival.startswith("rain") for own in crowd.texts.examples for e in own)
    task = {"objective": "kto", "baselines": ["best_of_n"], "generation": {"temperature": 1.0}}
    with pytest.raises(InputError, match=r"^task\.baselines = .*: must ask no reward model .* with judgements"):
        load_choices(configuration(parts, tmp_path, "prefer", judgements(), task=task))
    task = {"objective": "sft"}
    unnamed = [{name: value for name, value in row.items() if name != "worker"} for row in rated]
    with pytest.raises(InputError, match=r"of one worker, that are rated differently; there are none; whose the rows"):
        load_choices(configuration(parts, tmp_path, "prefer", unnamed, task=task))
    both = configuration(parts, tmp_path, "prefer", rated, unnamed[:8], task=task, crowd={"n_workers": 4})
    assert len(load_choices(both).report) == 5  # trusted rows are one voice


FEW = {"n_workers": 2, "held_out": 1 / 3}


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


def test_kto_learns_from_both_sides_and_spin_from_the_models_own(parts, tmp_path, monkeypatch):
    given = []
    monkeypatch.setattr(
        "crowd_sim.models.lora.tune",
        lambda base, stack, jobs, ways: given.extend(jobs) or tune(base, stack, jobs, ways),
    )
    pairs_of = configuration(parts, tmp_path, "prefer", task={"objective": "kto"})
    learner, pairs = shared_learner(learner_spec(pairs_of)), load_choices(pairs_of).texts.in_turn()[:4]
    start, key = learner.initial(4, 0), Key(4, 0, 1, 0)
    (kto,) = learner.tune([TuneJob(start, pairs, key, training_of(pairs_of))])
    assert given[-1].gains == (1.0,) * 4 + (0.0,) * 4
    assert kto.n_tokens == sum(len(e.response) + len(e.rival) + 2 for e in pairs)
    own = {"objective": "spin", "generation": {"max_new_tokens": 5}}
    spin = of_texts(parts, task=own)
    (tuned,) = learner.tune([TuneJob(start, pairs, key, training_of(spin))])
    assert [e.prompt for e in given[-1].rivals] == [e.prompt for e in given[-1].examples]
    assert all(e.response[-1] == 0 or len(e.response) == 5 for e in given[-1].rivals)
    assert tuned.losses[0] == pytest.approx(np.log(2))  # the model is the reference
    with pytest.raises(InputError, match=r"^task\.beta = 0\.5: must be left out without task\.objective=spin"):
        of_texts(parts, task={"beta": 0.5})


def test_passes_of_sft_come_first_and_count(parts, tmp_path):
    setup = configuration(parts, tmp_path, "prefer", task={"sft_epochs": 1, "label_smoothing": 0.1})
    learner, pairs = shared_learner(learner_spec(setup)), load_choices(setup).texts.in_turn()[:4]
    start, key, training = learner.initial(4, 0), Key(4, 0, 1, 0), training_of(setup)
    (both,) = learner.tune([TuneJob(start, pairs, key, training)])
    (sft,) = learner.tune([TuneJob(start, pairs, key, replace(training, objective="sft", sft_epochs=0))])
    (dpo,) = learner.tune([TuneJob(sft.adapter, pairs, key, replace(training, sft_epochs=0))])
    assert both.losses.tolist() == [*sft.losses, *dpo.losses]
    assert both.n_tokens == sft.n_tokens + dpo.n_tokens
    assert all((both.adapter[name] == dpo.adapter[name]).all() for name in start)
    (few,) = learner.tune([TuneJob(start, pairs, key, training, sft.n_tokens - 1)])
    assert few.n_tokens == sft.n_tokens - 1
    assert len(few.losses) == 1
    (mixed,) = learner.tune([TuneJob(start, pairs, key, training, sft.n_tokens + 1)])
    assert len(mixed.losses) == 2
