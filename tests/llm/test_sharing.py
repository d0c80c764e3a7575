"""What tournaments side by side share: no job is done twice, and none is taken for another."""

import threading
from dataclasses import replace

import numpy as np
import pytest

from crowd_sim.crowd.texts import Example
from crowd_sim.host import LocalTrainers
from crowd_sim.models.generation import Sampling
from crowd_sim.models.jobs import OutputJob, TuneJob
from crowd_sim.models.training import Key, Training
from crowd_sim.random import Purpose
from crowd_sim.tasks.adapters.lockstep import Lockstep
from crowd_sim.tasks.adapters.output_cache import OutputCache, content_name
from crowd_sim.tasks.adapters.trainers import TextTrainers
from tests.llm.scripted import Scripted, number

KEY = Key(0, 0, 1, 0)
TUNING = TuneJob(number(2.0), (Example("p", "x"), Example("p", "y")), KEY, Training())
JUDGING = OutputJob(number(2.0), ("p", "q"), KEY, Purpose.SELECTION_OUTPUTS, Sampling())


def values(tuned) -> list[float]:
    return [float(one.adapter["m.lora_A"][0, 0]) for one in tuned]


def test_equal_jobs_of_two_tournaments_are_tuned_once_and_answers_stand_in_their_order():
    learners = Scripted([1.0, 2.0, 3.0])
    both = TextTrainers(LocalTrainers(learners))
    other, third = (replace(TUNING, key=Key(0, 0, 1, k)) for k in (1, 2))
    # equal, but not the same objects
    again = TuneJob(number(2.0), (Example("p", "x"), Example("p", "y")), Key(0, 0, 1, 0), Training())
    found = both.together([lambda: both.tune([TUNING, other]), lambda: both.tune([third, again])])
    assert [values(own) for own in found] == [[1.0, 2.0], [3.0, 1.0]]
    assert [job.key.number for job in learners.jobs] == [0, 1, 2]


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
        {"training": Training(learning_rate=2e-3)},
        *({"key": replace(KEY, **{name: 7})} for name in ("seed", "run", "round", "number")),
    ],
)
def test_a_job_that_differs_in_anything_is_another(changes):
    assert content_name([TUNING]) == content_name([replace(TUNING)])
    assert content_name([TUNING]) != content_name([replace(TUNING, **changes)])


@pytest.mark.parametrize(
    "changes",
    [
        {"adapter": number(-2.0)},
        {"prompts": ("q", "p")},
        {"prompts": ("p",)},
        {"key": Key(0, 0, 2, 0)},
        {"purpose": Purpose.REPORT_OUTPUTS},
        {"sampling": Sampling(temperature=0.5)},
    ],
)
def test_who_was_judged_is_remembered_with_the_company(changes, tmp_path):
    learners = Scripted([])
    both = TextTrainers(LocalTrainers(learners), OutputCache(tmp_path))
    other = replace(JUDGING, **changes)
    first = both.judge([JUDGING, other])
    assert [len(one.texts) for one in first] == [2, len(other.prompts)]
    assert len(learners.judged) == 2
    later = TextTrainers(LocalTrainers(learners), OutputCache(tmp_path))  # of another process
    for cache in (both, later):
        again = cache.judge([JUDGING, other])
        assert len(learners.judged) == 2
        for before, after in zip(first, again, strict=True):
            assert (before.texts, before.n_tokens) == (after.texts, after.n_tokens)
            assert before.vectors.tobytes() == after.vectors.tobytes()
    # alone, or in another order, its last bits may be others
    both.judge([JUDGING])
    both.judge([other, JUDGING])
    assert len(learners.judged) == 5


class Several(LocalTrainers):
    """As many as there are calls at a time; which of their methods was asked."""

    def __init__(self, hosted, number):
        super().__init__(hosted, number)
        object.__setattr__(self, "asked", [])

    def gather(self, method, calls, names):
        assert len(calls) <= self.number
        self.asked.append(method)
        return super().gather(method, calls, names)


def test_outputs_are_drawn_by_generators_where_there_are_some_and_are_the_same():
    jobs = [replace(JUDGING, adapter=number(float(k))) for k in range(9)]
    found = []
    for generators in (None, 1, 2):
        trainers = Several(Scripted([1.0]), 3)
        drawing = None if generators is None else Several(Scripted([]), generators)
        both = TextTrainers(trainers, None, None, drawing)
        judged, _ = both.baseline(TUNING, JUDGING)
        found.append([outputs.vectors.tobytes() for outputs in (*both.judge(jobs), *judged.outputs)])
        assert trainers.asked == ["tune", *(["judge_all"] * 2 if drawing is None else [])]
        assert drawing is None or drawing.asked == ["judge_all"] * 2
    assert found[0] == found[1] == found[2]


def test_a_baseline_is_tuned_once_and_no_damage_is_taken_for_it(tmp_path):
    learners = Scripted([1.0, 2.0])
    report = replace(JUDGING, adapter={}, purpose=Purpose.REPORT_OUTPUTS)

    def baseline():
        trainers = TextTrainers(LocalTrainers(learners), OutputCache(tmp_path))
        judged, _ = trainers.baseline(TUNING, report)
        return judged.n_trained, judged.outputs[0].vectors.tolist()

    assert baseline() == baseline() == (2, [[1.0], [1.0]])
    (path,) = tmp_path.iterdir()
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert baseline() == (2, [[2.0], [2.0]])
    assert baseline() == (2, [[2.0], [2.0]])


def test_nothing_is_remembered_where_nothing_comes_again():
    learners = Scripted([1.0, 2.0])
    plain = TextTrainers(LocalTrainers(learners))
    assert values(plain.tune([TUNING])) + values(plain.tune([TUNING])) == [1.0, 2.0]
    assert len(plain.judge([JUDGING])) == len(plain.judge([JUDGING])) == 1
    assert len(learners.judged) == 2


def test_questions_are_answered_together_as_long_as_anyone_is_at_work():
    heard = []

    def answer(questions):
        heard.append(questions)
        assert threading.current_thread() is threading.main_thread()
        return [10 * question for question in questions]

    lockstep = Lockstep(answer)

    def work(number, n_questions):
        return sum(lockstep.ask(100 * number + i) for i in range(n_questions))

    assert lockstep.run([lambda i=i, n=n: work(i, n) for i, n in enumerate((1, 3, 0, 2))]) == [0, 3030, 0, 6010]
    assert heard == [[0, 100, 300], [101, 301], [102]]
    assert lockstep.ask(7) == 70


def test_what_a_piece_of_work_raises_stops_no_other_and_what_cannot_be_answered_all_who_asked():
    done = []

    def answer(questions):
        if "bad" in questions:
            raise ValueError("no answer")
        return questions

    lockstep = Lockstep(answer)

    def fails():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        lockstep.run([fails, lambda: done.append(lockstep.ask("good"))])
    assert done == ["good"]
    with pytest.raises(ValueError, match="no answer"):
        lockstep.run([lambda: lockstep.ask("bad"), lambda: lockstep.ask("good")])


def test_an_interruption_is_heard_by_all_who_are_at_work():
    heard = []

    def answer(questions):
        raise KeyboardInterrupt

    def work():
        try:
            lockstep.ask("?")
        except KeyboardInterrupt:
            heard.append(True)
            with pytest.raises(KeyboardInterrupt):
                lockstep.ask("again?")
            raise

    lockstep = Lockstep(answer)
    with pytest.raises(KeyboardInterrupt):
        lockstep.run([work, work])
    assert heard == [True, True]


def test_side_by_side_is_what_one_after_the_other_is():
    def tournament(trainers, step):
        found = []
        for i in range(step):
            (tuned,) = trainers.tune([replace(TUNING, key=Key(0, 0, i, step))])
            (outputs,) = trainers.judge([replace(JUDGING, adapter=tuned.adapter)])
            found.append(outputs.vectors.tobytes())
        return found

    class Echo(Scripted):
        """Tunes to what the key says."""

        def tune(self, jobs):
            self.results = [job.key.round + 10.0 * job.key.number for job in jobs]
            return super().tune(jobs)

    alone = TextTrainers(LocalTrainers(Echo([])))
    both = TextTrainers(LocalTrainers(Echo([])), OutputCache())
    expected = [tournament(alone, step) for step in (3, 1, 2)]
    assert both.together([lambda step=step: tournament(both, step) for step in (3, 1, 2)]) == expected
    assert not np.array_equal(expected[0][:1], expected[1])
