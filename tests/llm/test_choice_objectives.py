"""What a step of classify, prefer and verify learns from, and how it is measured."""

from dataclasses import replace

import numpy as np
import pytest

from crowd_sim.crowd.texts import Item
from crowd_sim.errors import InputError
from crowd_sim.models.jobs import TuneJob
from crowd_sim.models.lora import shared_learner
from crowd_sim.models.training import Key, PackedTuneJob
from crowd_sim.models.tuning import tune
from crowd_sim.tasks.adapters.settings import learner_spec, training_of
from crowd_sim.tasks.choose.crowd import load_choices
from crowd_sim.tasks.choose.learner import accuracy, calibration_error
from tests.llm.choosing import configuration
from tests.llm.small import config as of_texts


@pytest.mark.parametrize("objective", ["raft", "rloo", "grpo"])
def test_a_step_is_that_of_the_objective_on_what_was_drawn(parts, tmp_path, monkeypatch, objective):
    own = {"objective": objective, "baselines": [], "batch_size": 8, "verifier": {"kind": "regex", "pattern": "^[!-~]"}}
    setup = configuration(parts, tmp_path, "verify", task=own, tournament={"rounds": 1})
    learner, examples = shared_learner(learner_spec(setup)), load_choices(setup).texts.in_turn()[:8]
    drawn, usual = [], learner._drawer

    def drawer(job):
        draw = usual(job)

        def kept(*arguments):
            drawn.append(draw(*arguments))
            return drawn[-1]

        return kept

    monkeypatch.setattr(learner, "_drawer", drawer)
    start, key, training = learner.initial(setup.seed, 0), Key(setup.seed, 0, 1, 0), training_of(setup)
    (tuned,) = learner.tune([TuneJob(start, examples, key, training)])
    ((outputs, gains),) = drawn
    assert len(outputs) == 32
    assert tuned.n_tokens == sum(
        o.n_trained for o, gain in zip(outputs, gains, strict=True) if gain or objective != "raft"
    )
    given = PackedTuneJob(start, tuple(outputs), key, objective=objective, gains=tuple(gains))
    (same,) = tune(learner.base, learner.stack, [given], replace(training, batch_size=32, drawing=None))
    assert tuned.losses == pytest.approx(same.losses, abs=1e-5)
    moved = [(tuned.adapter[name] - start[name], same.adapter[name] - start[name]) for name in start]
    assert sum(np.abs(a).sum() for a, _ in moved) > 0
    # of all but a few weights whose gradients are rounding errors
    assert sum(np.abs(a - b).sum() for a, b in moved) < 0.01 * sum(np.abs(a).sum() for a, _ in moved)


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


def test_accuracy_and_calibration_halve_ties():
    items = [Item("p", ("a", "b"), right) for right in (0, 1, 1, 0)]
    told = np.array([[0.5, 0.5], [0.2, 0.8], [0.8, 0.2], [0.8, 0.2]])
    assert accuracy(told, items) == (0.5 + 1 + 0 + 1) / 4
    assert calibration_error(told, items) == pytest.approx((abs(0.5 - 0.5) + abs(2.4 - 2)) / 4)
