"""Rules that reward outputs."""

import pytest

from crowd_sim.crowd import verifiers
from crowd_sim.crowd.verifiers import Rule, check_answer, verifier_of
from crowd_sim.errors import InputError, StrategyError

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
    ("tests.llm.test_verifiers:halved", "xx", "xxxx", 0.5),
]


def halved(prompt, output, answer):
    return len(output) / len(answer + prompt)


def no_number(*_):
    return [1]


def number(_, output, answer):
    del answer
    return float(output)


@pytest.mark.parametrize(("kind", "output", "answer", "reward"), VERDICTS)
def test_verifiers(kind, output, answer, reward):
    assert verifier_of(Rule(kind, "is {answer}!$" if kind == "regex" else None))("", output, answer) == reward
    check_answer(Rule(kind), answer, "line 1")


def test_a_user_defined_verifier_is_answered_for_by_its_name():
    with pytest.raises(
        StrategyError, match=r"task\.verifier\.kind = 'tests\.llm\.test_verifiers:halved' failed.*division"
    ):
        verifier_of(Rule("tests.llm.test_verifiers:halved"))("", "a", "")
    with pytest.raises(InputError, match=r"returned \[1\]; must return a finite number"):
        verifier_of(Rule("tests.llm.test_verifiers:no_number"))("", "a", "")
    for huge in ("1e308", "-1e7", "nan"):
        with pytest.raises(
            InputError,
            match=rf"returned {huge.replace('e308', r'e[+]308').replace('-1e7', '-10000000.0')}; must .* -1e6 to 1e6",
        ):
            verifier_of(Rule("tests.llm.test_verifiers:number"))("", huge, "")
    with pytest.raises(InputError, match=r"answer must be one of positive, negative"):
        check_answer(Rule("vader"), "fine", "line 1")


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
