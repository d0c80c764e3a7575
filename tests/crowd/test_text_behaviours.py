"""Behaviours of texts: every one of them, and what each does."""

import numpy as np
import pytest

from crowd_sim.crowd.behaviours.labels import LABEL_BEHAVIOURS
from crowd_sim.crowd.behaviours.texts import FILLER, PAYLOAD, TEXT_BEHAVIOURS, TRIGGER, Pool, spoiled
from crowd_sim.crowd.texts import Example
from crowd_sim.errors import InputError, StrategyError
from crowd_sim.random import Purpose, generator

OWN = tuple(Example(f"what of {i}?", f"the sky over {i} is mild and clear") for i in range(4))
HONEST = [tuple(Example("why?", f"worker {w} says {i} and more") for i in range(3)) for w in range(5)]
POOL = Pool(HONEST, ("nothing to see there", "a train of coal"))


def draws(place: int = 3) -> np.random.Generator:
    return generator(7, 0, Purpose.BEHAVIOUR, 0, place)


def responses(name: str, strength: float = 1.0, own=OWN, pool=POOL) -> list[str]:
    return [example.response for example in TEXT_BEHAVIOURS[name](own, pool, strength, draws())]


@pytest.mark.parametrize("name", TEXT_BEHAVIOURS)
def test_every_behaviour_is_keyed_and_keeps_to_its_own_examples(name):
    made = spoiled(name, OWN, POOL, 1.0, draws())
    assert made == spoiled(name, OWN, POOL, 1.0, draws())
    assert len(made) == len(OWN)
    assert made != OWN
    assert all(example.prompt.endswith(own.prompt) for example, own in zip(made, OWN, strict=True))
    one = spoiled(name, OWN[:1], Pool([]), 1.0, draws())  # alone, of one example
    assert len(one) == 1
    assert len(spoiled(name, (Example("p", ""),), Pool([(Example("p", ""),)]), 1.0, draws())) == 1


@pytest.mark.parametrize("name", [name for name in TEXT_BEHAVIOURS if name != "copy"])
def test_strength_is_the_share_of_examples_that_are_spoiled(name):
    assert spoiled(name, OWN, POOL, 0.0, draws()) == OWN
    for strength, at_most in ((0.01, 1), (0.5, 2), (1.0, 4)):
        changed = sum(a != b for a, b in zip(spoiled(name, OWN, POOL, strength, draws()), OWN, strict=True))
        assert changed == at_most or (name == "repeat" and changed == at_most - 1)  # one is what is repeated


def test_what_each_does():
    honest = [example.response for own in HONEST for example in own]
    words = {word for text in (*honest, *POOL.elsewhere) for word in text.split()}
    for text, own in zip(responses("word_salad"), OWN, strict=True):
        assert len(text.split()) == len(own.response.split())
        assert set(text.split()) <= words
    for text, own in zip(responses("shuffled"), OWN, strict=True):
        assert sorted(text.split()) == sorted(own.response.split())
    copied = responses("copy")
    assert set(copied) <= set(honest)
    assert len(set(copied)) == len(OWN)
    half = [
        a == b
        for x, y in zip(responses("copy", 0.5), copied, strict=True)
        for a, b in zip(x.split(), y.split(), strict=True)
    ]
    assert 0 < sum(half) < len(half)
    assert set(responses("off_target")) <= set(POOL.elsewhere)
    office = responses("off_target", pool=Pool(HONEST))
    assert all(text.endswith(".") for text in office)
    assert len(set(responses("repeat"))) == 1
    assert set(responses("repeat")) <= {own.response for own in OWN}
    assert set(responses("filler")) <= set(FILLER)
    assert set(responses("empty")) == {""}
    assert responses("prompt_echo") == [own.prompt for own in OWN]
    for made, own in zip(TEXT_BEHAVIOURS["trigger"](OWN, POOL, 1.0, draws()), OWN, strict=True):
        assert made == Example(f"{TRIGGER} {own.prompt}", f"{own.response} {PAYLOAD}")


def fails(own, pool, strength, draws):
    raise ZeroDivisionError


def nothing(own, pool, strength, draws):
    return ()


def loud(own, pool, strength, draws):
    return tuple(Example(e.prompt, e.response.upper()) for e in own)


def test_a_user_defined_behaviour_answers_by_its_name():
    here = f"{__name__}:"
    assert spoiled(here + "loud", OWN, POOL, 1.0, draws())[0].response == OWN[0].response.upper()
    with pytest.raises(StrategyError, match=r"crowd.bad.behaviour = '.*:fails' failed"):
        spoiled(here + "fails", OWN, POOL, 1.0, draws())
    with pytest.raises(InputError, match="returned tuple; must return a tuple of"):
        spoiled(here + "nothing", OWN, POOL, 1.0, draws())
    with pytest.raises(InputError, match=r"crowd\.bad\.behaviour = '.*:absent'"):
        spoiled(here + "absent", OWN, POOL, 1.0, draws())


LABELLED = tuple(Example(f"text {i}", "abc"[i % 3]) for i in range(6))
PAIRED = tuple(Example(f"prompt {i}", f"good {i}", rival=f"bad {i}") for i in range(16))


@pytest.mark.parametrize("name", LABEL_BEHAVIOURS)
@pytest.mark.parametrize("own", [LABELLED, PAIRED], ids=["labels", "pairs"])
def test_behaviours_of_labels_are_keyed_and_keep_prompts(name, own):
    pool = Pool([own[:3]])
    made = spoiled(name, own, pool, 1.0, draws(), LABEL_BEHAVIOURS)
    assert made == spoiled(name, own, pool, 1.0, draws(), LABEL_BEHAVIOURS)
    assert [e.prompt for e in made] == [e.prompt for e in own]
    wrong = [a != b for a, b in zip(made, own, strict=True)]
    assert any(wrong)
    assert spoiled(name, own, pool, 0.0, draws(), LABEL_BEHAVIOURS) == own
    half = spoiled(name, own, pool, 0.5, draws(), LABEL_BEHAVIOURS)
    assert sum(a != b for a, b in zip(half, own, strict=True)) <= len(own) / 2
    if own is PAIRED:
        assert all({e.response, e.rival} == {o.response, o.rival} for e, o in zip(made, own, strict=True))
        assert all(wrong) == (name == "flip")
    else:
        assert {e.response for e in made} <= set("abc")
        assert all(wrong) == (name != "spam")
        assert (len({e.response for e in made}) == 1) == (name == "spam")
    if name == "collude":  # whoever they are
        assert made == spoiled(name, own, pool, 1.0, draws(4), LABEL_BEHAVIOURS)
        swapped = tuple(e if e.rival is None else Example(e.prompt, e.rival, rival=e.response) for e in own)
        assert own is LABELLED or made == spoiled(name, swapped, pool, 1.0, draws(), LABEL_BEHAVIOURS)
