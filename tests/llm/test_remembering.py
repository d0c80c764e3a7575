"""Trainers that remember do no job twice, and take no other for it."""

from dataclasses import replace

import numpy as np
import pytest

from crowd_sim.crowd.texts import Example
from crowd_sim.host import LocalTrainers
from crowd_sim.models.lora import OutputJob, TuneJob
from crowd_sim.models.tuning import Key
from crowd_sim.random import Purpose
from crowd_sim.tasks.imitate.trainers import TextTrainers
from tests.llm.scripted import Scripted, number

KEY = Key(0, 0, 1, 0)
TUNING = TuneJob(number(2.0), (Example("p", "x"), Example("p", "y")), KEY)
JUDGING = OutputJob(number(2.0), ("p", "q"), KEY, Purpose.SELECTION_OUTPUTS)


def values(tuned) -> list[float]:
    return [float(one.adapter["m.lora_A"][0, 0]) for one in tuned]


def test_equal_jobs_are_tuned_once_and_answers_stand_in_their_order():
    learners = Scripted([1.0, 2.0, 3.0])
    both = TextTrainers(LocalTrainers(learners), {})
    other = replace(TUNING, key=Key(0, 0, 1, 1))
    assert values(both.tune([TUNING])) == [1.0]
    last = replace(TUNING, key=Key(0, 0, 1, 2))
    assert values(both.tune([last, TUNING, other, last])) == [2.0, 1.0, 3.0, 2.0]
    # equal, but not the same objects
    again = TuneJob(number(2.0), (Example("p", "x"), Example("p", "y")), Key(0, 0, 1, 0))
    assert values(both.tune([again])) == [1.0]
    assert len(learners.jobs) == 3


@pytest.mark.parametrize(
    "changes",
    [
        {"start": number(2.5)},
        {"start": {name: weights.T.repeat(2, axis=0) for name, weights in number(2.0).items()}},
        {"examples": TUNING.examples[::-1]},
        {"examples": TUNING.examples[:1]},
        {"examples": (Example("p", "xp"), Example("", "y"))},
        {"n_tokens": 2},
        {"n_tokens": 0},
        *({"key": replace(KEY, **{name: 7})} for name in ("seed", "run", "round", "number")),
    ],
)
def test_a_job_that_differs_in_anything_is_another(changes):
    learners = Scripted([1.0, 2.0])
    both = TextTrainers(LocalTrainers(learners), {})
    assert values(both.tune([TUNING])) == [1.0]
    assert values(both.tune([replace(TUNING, **changes)])) == [2.0]
    assert values(both.tune([TUNING])) == [1.0]


@pytest.mark.parametrize(
    "changes",
    [
        {"adapter": number(-2.0)},
        {"prompts": ("q", "p")},
        {"prompts": ("p",)},
        {"key": Key(0, 0, 2, 0)},
        {"purpose": Purpose.REPORT_OUTPUTS},
    ],
)
def test_who_was_judged_is_remembered_with_the_company(changes):
    learners = Scripted([])
    both = TextTrainers(LocalTrainers(learners), {})
    other = replace(JUDGING, **changes)
    first = both.judge([JUDGING, other])
    assert [len(one.texts) for one in first] == [2, len(other.prompts)]
    n_judged = len(learners.judged)
    assert n_judged == 2
    again = both.judge([JUDGING, other])
    assert len(learners.judged) == 2
    for before, after in zip(first, again, strict=True):
        assert np.array_equal(before.vectors, after.vectors)
    # alone, or in another order, its last bits may be others
    both.judge([JUDGING])
    both.judge([other, JUDGING])
    assert len(learners.judged) == 5


def test_nothing_is_remembered_where_nothing_comes_again():
    learners = Scripted([1.0, 2.0])
    plain = TextTrainers(LocalTrainers(learners))
    assert values(plain.tune([TUNING])) + values(plain.tune([TUNING])) == [1.0, 2.0]
    assert len(plain.judge([JUDGING])) == len(plain.judge([JUDGING])) == 1
    assert len(learners.judged) == 2
