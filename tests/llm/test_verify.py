"""Answers: verifiers, and objectives that learn from what they say of outputs."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from crowd_sim.cli.sweep import sweep
from crowd_sim.crowd import verifiers
from crowd_sim.crowd.verifiers import Rule, check_answer, meaning_of, verifier_of
from crowd_sim.engine import simulate
from crowd_sim.errors import InputError, StrategyError
from crowd_sim.host import InProcess
from crowd_sim.models.jobs import TuneJob
from crowd_sim.models.lora import shared_learner
from crowd_sim.models.training import Key, PackedTuneJob
from crowd_sim.models.tuning import tune
from crowd_sim.sweeps.plan import Sweep
from crowd_sim.tasks.adapters.settings import learner_spec, training_of
from crowd_sim.tasks.choose.crowd import load_choices
from crowd_sim.tasks.load import load_task
from crowd_sim.tasks.verify.tables import verify_metrics
from tests.bad_input.command import IN_PROCESS
from tests.llm.choosing import configuration


def test_answers_are_the_same_where_the_verifier_finds_them_so():
    for kind, *same, other in (
        ("exact", "a  b", " a b", "ab"),
        ("number", "1,000", "1000.0", "1"),
        ("json", '{"a": 1, "b": [true]}', '{"b": [true], "a": 1.0}', '{"a": 1, "b": [1]}'),
        ("length", "5", "5-5", "5-8"),
        ("regex", "a", "a", "A"),
    ):
        one, two, third = (meaning_of(Rule(kind), answer) for answer in (*same, other))
        assert (one == two, one == third, len({one, two, third})) == (True, False, 2)


def test_a_sweep_of_verifiers_is_its_points_by_themselves(parts, tmp_path):
    setup = configuration(parts, tmp_path, "verify", tournament={"rounds": 1}, task={"objective": "sft"})
    patterns = ["[{answer}a-p]", "[q-z]"]
    plan = Sweep.parse(
        setup.model_dump(exclude_defaults=True) | {"sweep": {"task": {"verifier": {"pattern": patterns}}}}
    )
    assert sweep(plan, "answers", tmp_path / "swept", IN_PROCESS[1], Console(quiet=True)).done == 2
    table = pd.read_parquet(tmp_path / "swept" / "points.parquet")
    for point, reward in zip(plan.points, table["reward_after_mean"], strict=True):
        (alone,) = simulate([point.config], load_task(point.config), InProcess())
        assert verify_metrics(alone)["reward_after"][0] == reward
    assert table["reward_before_mean"].nunique() == 2


VERDICTS = [
    ("exact", "a  b\n", "a b", 1),
    ("exact", "a b c", "a b", 0),
    ("number", "so 3 and 1,200.50 in all.", "1200.5", 1),
    ("number", "12 or 13", "12", 0),
    ("number", "none", "0", 0),
    ("json", '{"b": [1, 2.0], "a": null}', '{"a":null,"b":[1,2]}', 1),
    ("json", '{"a": true}', '{"a": 1}', 0),
    ("json", "[" * 100_000, "[]", 0),
    ("regex", "it is a.b!", "a.b", 1),
    ("regex", "it is a-b!", "a.b", 0),
    ("length", "one two  three", "3", 1),
    ("length", "one two three", "4-6", 0),
    ("length", "one two three", "1–3", 1),
    ("tests.llm.test_verify:halved", "xx", "xxxx", 0.5),
]


def halved(prompt, output, answer):
    return len(output) / len(answer + prompt)


@pytest.mark.parametrize(("kind", "output", "answer", "reward"), VERDICTS)
def test_verifiers(kind, output, answer, reward):
    assert verifier_of(Rule(kind, "is {answer}!$" if kind == "regex" else None))("", output, answer) == reward
    check_answer(Rule(kind), answer, "line 1")


def test_a_user_defined_verifier_is_answered_for_by_its_name():
    with pytest.raises(
        StrategyError, match=r"task\.verifier\.kind = 'tests\.llm\.test_verify:halved' failed.*division"
    ):
        verifier_of(Rule("tests.llm.test_verify:halved"))("", "a", "")
    with pytest.raises(InputError, match=r"returned \[1\]; must return a finite number"):
        verifier_of(Rule("tests.llm.test_verify:no_number"))("", "a", "")
    for huge in ("1e308", "-1e7", "nan"):
        with pytest.raises(
            InputError,
            match=rf"returned {huge.replace('e308', r'e[+]308').replace('-1e7', '-10000000.0')}; must .* -1e6 to 1e6",
        ):
            verifier_of(Rule("tests.llm.test_verify:number"))("", huge, "")
    with pytest.raises(InputError, match=r"answer must be one of positive, negative"):
        check_answer(Rule("vader"), "fine", "line 1")


def no_number(*_):
    return [1]


def number(_, output, answer):
    del answer
    return float(output)


def test_a_pattern_that_takes_too_long_is_refused_and_worth_nothing(monkeypatch):
    monkeypatch.setattr(verifiers, "_SECONDS", 0.02)
    match = r"^task\.verifier\.pattern = '\^\(a\|aa\)\+\$': takes more than 0\.02 seconds on the output 'aaa.*…'; must have no"
    with pytest.raises(InputError, match=match):
        verifier_of(Rule("regex", "^(a|aa)+$"))("", "a" * 80 + "b", "")
    with pytest.raises(InputError, match=r"task\.verifier\.pattern.*regular expression"):
        verifier_of(Rule("regex", "(?P<a>x)(?P<1>y)"))


def test_vader_is_on_the_answers_side():
    pytest.importorskip("vaderSentiment", reason="needs the extra vader")
    verify = verifier_of(Rule("vader"))
    assert verify("", "I love this, it is great!", "positive") > 0.9
    assert verify("", "I love this, it is great!", "negative") < 0.1


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
