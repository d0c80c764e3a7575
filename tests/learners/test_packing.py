"""Packed rows against ones made by hand."""

import numpy as np
import pytest

from crowd_sim.models.packing import Tokens, attention, pack

A, B = (7, 8), (9,)
FIRST = Tokens(A, (1, 2, 0), 3)
SECOND = Tokens(B, (3, 0), 2)
THIRD = Tokens(A, (4, 5, 6, 0), 2)  # cut after two


def test_a_row_made_by_hand():
    packed = pack([FIRST, SECOND, THIRD])
    # the prompt A, responses 1 2 and 4 behind it, the prompt B, response 3; the last token learnt is not among them
    assert packed.ids.tolist() == [7, 8, 1, 2, 4, 9, 3]
    assert packed.positions.tolist() == [0, 1, 2, 3, 2, 0, 1]
    assert packed.prompts.tolist() == [0, 0, 0, 0, 0, 1, 1]
    assert packed.responses.tolist() == [-1, -1, 0, 0, 1, -1, 2]
    assert packed.sources.tolist() == [1, 2, 3, 1, 4, 5, 6]
    assert packed.targets.tolist() == [1, 2, 0, 4, 5, 3, 0]


def test_who_may_look_at_whom():
    wanted = [
        "1.......",  # A: 7
        "11......",  # A: 8
        "111.....",  # 1
        "1111....",  # 2
        "11..1...",  # 4 sees the prompt, not the response before it
        ".....1..",  # B: 9
        ".....11.",  # 3
        ".......1",  # padding
    ]
    found = attention(pack([FIRST, SECOND, THIRD]), 8)
    assert ["".join("1" if seen else "." for seen in row) for row in found] == wanted


def test_a_response_of_one_token_is_predicted_by_the_prompt_alone():
    packed = pack([Tokens((7, 8), (5, 6), 1)])
    assert packed.ids.tolist() == [7, 8]
    assert packed.sources.tolist() == [1]
    assert packed.targets.tolist() == [5]


@pytest.mark.parametrize("seed", range(5))
def test_each_example_sees_what_it_would_see_alone(seed):
    draws = np.random.default_rng(seed)
    prompts = [tuple(draws.integers(0, 9, n).tolist()) for n in (1, 3, 4)]
    examples = []
    for _ in range(12):
        response = tuple(draws.integers(10, 19, draws.integers(1, 6)).tolist())
        examples.append(Tokens(prompts[draws.integers(3)], response, int(draws.integers(1, len(response) + 1))))
    packed = pack(examples)
    allowed = attention(packed, len(packed.ids) + 2)
    # each target's own view: what its source may look at, in the order of the positions, and then the target itself
    views = []
    for source, target in zip(packed.sources, packed.targets, strict=True):
        seen = np.flatnonzero(allowed[source])
        assert packed.positions[seen].tolist() == list(range(len(seen)))
        views.append((*packed.ids[seen].tolist(), int(target)))
    wanted = [e.prompt + e.response[: i + 1] for e in examples for i in range(e.n_trained)]
    assert sorted(views) == sorted(wanted)
    assert len(packed.targets) == sum(e.n_trained for e in examples)
