"""The learner as its hosts see it."""

import pytest

pytest.importorskip("torch", reason="needs the extra llm")
pytest.importorskip("peft", reason="needs the extra llm")

import numpy as np
import torch

from crowd_sim.crowd.texts import Example
from crowd_sim.models.generation import Sampling
from crowd_sim.models.jobs import OutputJob, TuneJob
from crowd_sim.models.lora import LoraLearner
from crowd_sim.models.training import Key, Training
from crowd_sim.random import Purpose
from crowd_sim.tasks.adapters.settings import learner_spec
from tests.llm.small import config, make_parts


@pytest.fixture(scope="module")
def learner(tmp_path_factory):
    folder = make_parts(tmp_path_factory.mktemp("small"))
    return LoraLearner(learner_spec(config(folder, task={"threads": 2})))


def calls(learner):
    start, key = learner.initial(0, 0), Key(0, 0, 1, 0)
    own = (Example("p", "a b c"), Example("q", "d"))
    return {
        "tune": lambda: learner.tune([TuneJob(start, own, key, Training())]),
        "judge": lambda: learner.judge([OutputJob(start, ("p", "q"), key, Purpose.REPORT_OUTPUTS, Sampling())]),
        "first_order": lambda: learner.first_order(start, [own, own], own, key, Training()),
        "embed": lambda: learner.embed(["a"]),
    }


@pytest.mark.parametrize("method", ["tune", "judge", "first_order", "embed"])
def test_sums_are_split_over_the_configured_threads_whoever_calls(learner, method):

    call = calls(learner)[method]
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # as a host that limits its threads does
    try:
        call()
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_an_example_is_its_template_its_response_and_an_end(learner):
    tokens, cut = learner.tokens(Example("p?", "ab"))
    assert (len(tokens.prompt), len(tokens.response), tokens.n_trained, cut) == (4, 3, 3, False)
    assert tokens.response[-1] == learner.base.tokenizer.eos_token_id
    assert learner.base.tokenizer.decode(tokens.prompt) == "<q>p?<a>"
    assert learner.count([(Example("p?", "ab"), Example("x", "abcd")), ()]) == [3 + 5, 0]


def test_a_candidate_without_examples_stays_as_it_was(learner):
    start = learner.initial(0, 0)
    for n_tokens in (None, 0, 50):
        (tuned,) = learner.tune([TuneJob(start, (), Key(0, 0, 1, 0), Training(), n_tokens)])
        assert tuned.n_tokens == 0
        assert all(tuned.adapter[name].tobytes() == start[name].tobytes() for name in start)


def test_a_candidate_that_diverged_has_no_place_and_disturbs_nobody(learner):
    start, key = learner.initial(0, 0), Key(0, 0, 1, 0)
    broken = {name: weights.copy() for name, weights in start.items()}
    next(iter(broken.values())).flat[0] = float("nan")
    well = OutputJob(start, ("p", "q"), key, Purpose.REPORT_OUTPUTS, Sampling())
    gone, judged = learner.judge([OutputJob(broken, ("p", "q"), key, Purpose.REPORT_OUTPUTS, Sampling()), well])
    (alone,) = learner.judge([well])
    assert (judged.texts, judged.vectors.tobytes()) == (alone.texts, alone.vectors.tobytes())
    assert gone.vectors.shape == judged.vectors.shape
    assert np.isnan(gone.vectors).all()
    assert (gone.texts, gone.n_tokens) == (("", ""), 0)
    (only,) = learner.judge([OutputJob(broken, ("p",), key, Purpose.REPORT_OUTPUTS, Sampling())])
    assert np.isnan(only.vectors).all()
