"""Results of small runs of every kind are what they were, to the last bit; more columns than there were are no failure."""

import warnings

import pytest

from tests.golden.comparing import difference, read
from tests.golden.pinned import IS_PINNABLE, versions
from tests.golden.runs import KINDS, made

GOLDEN = read()

pinnable = pytest.mark.skipif(not IS_PINNABLE, reason="golden bytes are of x86-64 with Linux")


@pytest.fixture(scope="module")
def vectors():
    return made("vectors")


@pytest.fixture(scope="module")
def models():
    for package in ("torch", "transformers", "peft"):
        pytest.importorskip(package, reason="needs the extra llm")
    return made("models")


@pinnable
@pytest.mark.parametrize("name", GOLDEN["vectors"])
def test_runs_of_vectors(vectors, name):
    check(GOLDEN["vectors"][name], vectors[name])


@pinnable
@pytest.mark.parametrize("name", GOLDEN["models"])
def test_runs_of_language_models(models, name):
    check(GOLDEN["models"][name], models[name])


def check(golden, found):
    seen = difference(golden, found)
    if seen.changed or seen.missing:
        here = versions()
        others = [
            f"{name} {known}, here {here.get(name)}"
            for name, known in GOLDEN["versions"].items()
            if here.get(name) != known
        ]
        pytest.fail("\n".join([seen.words(), *(["made with " + "; ".join(others)] if others else [])]), pytrace=False)
    if seen.added:
        warnings.warn(f"not golden yet, see tests.golden.make: {', '.join(seen.added)}", stacklevel=2)


def test_every_configuration_has_its_digests():
    assert {kind: list(GOLDEN[kind]) for kind in KINDS} == {kind: list(own) for kind, own in KINDS.items()}


def test_what_is_changed_missing_and_added_is_told_apart():
    seen = difference({"t": {"a": "1", "b": "2", "c": "3"}}, {"t": {"a": "1", "b": "9", "d": "4"}})
    assert (seen.changed, seen.missing, seen.added) == (["t: b"], ["t: c"], ["t: d"])
    failed = difference({"t": {"a": "1"}}, {"command": {"error": "exit status 2"}})
    assert failed.words() == "missing: t: a\nadded: command: error exit status 2"
