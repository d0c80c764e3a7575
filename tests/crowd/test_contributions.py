import pytest

from crowd_sim.crowd.texts import Example, TextCrowd
from crowd_sim.errors import InputError


def crowd(*responses, ids=None):
    examples = tuple(tuple(Example("p", text) for text in own) for own in responses)
    return TextCrowd(tuple(ids or map(str, range(len(responses)))), examples, ("target",))


def test_some_workers_in_the_order_asked_for():
    some = crowd("ab", "c", "def").of([2, 0])
    assert some.ids == ("2", "0")
    assert [[example.response for example in own] for own in some.examples] == [["d", "e", "f"], ["a", "b"]]
    assert some.target_texts == ("target",)
    assert some.n_workers == 2


def test_in_turn_is_a_round_robin_over_what_is_left():
    assert "".join(example.response for example in crowd("adf", "b", "ce").in_turn()) == "abcdef"


@pytest.mark.parametrize(
    ("build", "says"),
    [
        (crowd, "at least one worker"),
        (lambda: crowd("a", ""), "'1': a worker needs at least one example"),
        (lambda: crowd("a", "b", ids=("x", "x")), "'x': a worker's name must come only once"),
        (lambda: TextCrowd(("x",), ((Example("p", "a"),),), ()), "at least one target text"),
        (lambda: crowd("a").of([]), "at least one worker"),
    ],
)
def test_what_is_no_crowd_is_refused(build, says):
    with pytest.raises(InputError, match=says):
        build()
