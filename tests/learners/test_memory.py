"""A model that runs out of memory above so many tokens in a pass: all is done, in halves, and told."""

import json
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra llm")
pytest.importorskip("peft", reason="needs the extra llm")

import torch

from crowd_sim.commands.run import run
from crowd_sim.errors import InputError
from crowd_sim.models.adapters import AdapterStack, LoraSpec
from crowd_sim.models.generation import GenerateJob, Sampling, generate
from crowd_sim.models.language_model import load_base
from crowd_sim.models.likelihoods import responses_of
from crowd_sim.models.lora import shared_learner
from crowd_sim.models.memory import take_events
from crowd_sim.models.packing import Tokens
from crowd_sim.models.phi import load_phi
from crowd_sim.models.training import Key, PackedTuneJob, Training
from crowd_sim.models.tuning import tune
from crowd_sim.random import Purpose
from crowd_sim.tasks.adapters.settings import learner_spec
from tests.learners.busy import busy_adapter
from tests.learners.tiny_llm import make_tiny_llm, make_tiny_phi
from tests.llm.small import config, make_parts

ERRORS = (
    torch.OutOfMemoryError("CUDA out of memory."),
    RuntimeError(
        "[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."
    ),
)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    base = load_base(str(make_tiny_llm(tmp_path_factory.mktemp("model"))), "cpu", "float32")
    return base, AdapterStack(base, LoraSpec(rank=2, alpha=4.0))


@pytest.fixture
def small_memory():
    """Has a module's passes fail above so many tokens, forward or, by the gradients of its output, backward."""
    handles = []
    take_events()

    def shrink(module, most, backward=False, errors=ERRORS):

        def before(_, args, kwargs):
            ids = kwargs.get("input_ids", args[0] if args else None)
            if ids.numel() > most and not backward:
                raise errors[len(told) % len(errors)]
            told.append(ids.numel())

        def after(_, __, ___, out):
            if backward and out.logits.requires_grad and told[-1] > most:
                out.logits.register_hook(fail)

        def fail(_):
            raise errors[0]

        told = []
        handles.append(module.register_forward_pre_hook(before, with_kwargs=True))
        handles.append(module.register_forward_hook(after, with_kwargs=True))
        return told

    yield shrink
    for handle in handles:
        handle.remove()


def examples(n, seed=0):
    draws = np.random.default_rng(seed)
    return tuple(
        Tokens((1, 40 + i % 3, 2), (*draws.integers(3, 200, 2 + i % 5).tolist(), 0), 3 + i % 5) for i in range(n)
    )


OBJECTIVES = {
    "sft": {},
    "dpo": {"objective": "dpo", "rivals": examples(12, 9)},
    "kto": {"objective": "kto", "gains": (1.0, 0.0) * 6},
}


@pytest.mark.parametrize(
    ("objective", "together", "backward"),
    [("sft", False, False), ("sft", True, True), ("dpo", False, True), ("kto", True, False)],
)
def test_tuning_in_halves_loses_what_tuning_at_once_loses(tiny, small_memory, objective, together, backward):
    base, stack = tiny
    base = replace(base, one_by_one=not together)
    jobs = [
        PackedTuneJob(busy_adapter(stack, k), examples(12, k), Key(5, 0, 1, k), **OBJECTIVES[objective]) for k in (0, 1)
    ]
    training = Training(epochs=2, batch_size=12, learning_rate=1e-4)
    expected = tune(base, stack, jobs, training)
    assert take_events() == []
    told = small_memory(base.model, 40, backward)
    found = tune(base, stack, jobs, training)
    assert (max(told) > 40) == backward
    events = take_events()
    assert {event["what"] for event in events} <= {"examples", "responses"}
    assert events[0]["at_once"] > events[0]["from_now_on"] > 0
    for own, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(own.losses, other.losses, rtol=0, atol=1e-5)
        assert own.n_tokens == other.n_tokens
        # AdamW's steps are of the learning rate's size whatever the gradient's: signs of what rounding makes of 0 differ
        away = [np.abs(own.adapter[name] - other.adapter[name]) for name in own.adapter]
        assert max(map(np.max, away)) <= 4 * training.learning_rate
        assert np.mean([np.mean(part > 1e-6) for part in away]) < 0.02


def test_outputs_in_halves_are_those_drawn_at_once(tiny, small_memory):
    base, stack = tiny
    prompts = tuple((1, 40 + i, 2) for i in range(7))
    jobs = [
        GenerateJob(busy_adapter(stack, k), prompts[: 7 - k], Key(1, 0, 1, k), Purpose.REPORT_OUTPUTS) for k in range(3)
    ]
    sampling = Sampling(8, 0.8)
    expected = generate(base, stack, jobs, sampling)
    told = small_memory(base.model, 9)  # three rows of prompts
    assert generate(base, stack, jobs, sampling) == expected
    assert max(told) <= 9
    events = take_events()
    assert [(event["at_once"], event["from_now_on"]) for event in events] == [(21, 11), (7, 4), (4, 2)]
    assert {event["what"] for event in events} == {"outputs"}


def test_likelihoods_and_places_in_halves_are_those_at_once(tiny, small_memory, tmp_path):
    base, stack = tiny
    start = busy_adapter(stack, 0)
    expected = responses_of(base, stack, start, examples(20))
    small_memory(base.model, 40)
    np.testing.assert_allclose(responses_of(base, stack, start, examples(20)), expected, rtol=0, atol=1e-5)
    assert take_events()
    phi = load_phi("embedding", str(make_tiny_phi(tmp_path)), "cpu")
    texts = ["sun " * (1 + i % 3) for i in range(9)]
    expected = phi(texts)
    small_memory(phi.model, 30)
    np.testing.assert_allclose(phi(texts), expected, rtol=0, atol=1e-6)
    assert {event["what"] for event in take_events()} == {"texts"}


@pytest.mark.parametrize(
    ("errors", "kind", "says"),
    [
        (ERRORS, InputError, r"^task\.device = 'cpu': has no memory for one of the outputs alone: lower"),
        ((RuntimeError("shapes do not fit"),), RuntimeError, "^shapes do not fit$"),
    ],
)
def test_what_is_too_large_alone_is_refused_and_another_error_is_none_of_memory(tiny, small_memory, errors, kind, says):
    base, stack = tiny
    job = GenerateJob(stack.initial(0, 0), ((1, 40, 2),) * 2, Key(1, 0, 1, 0), Purpose.REPORT_OUTPUTS)
    small_memory(base.model, 2, errors=errors)
    with pytest.raises(kind, match=says):
        generate(base, stack, [job], Sampling())
    assert len(take_events()) == (kind is InputError)


def test_a_run_tells_of_it_in_its_log(tmp_path, small_memory):
    own = config(make_parts(tmp_path / "parts"), tournament={"rounds": 1})
    small_memory(shared_learner(learner_spec(own)).base.model, 40)
    run(own, tmp_path / "out")
    lines = [json.loads(line) for line in (tmp_path / "out" / "log.jsonl").read_text().splitlines()]
    told = [line for line in lines if line["event"] == "out of memory"]
    assert {line["what"] for line in told} >= {"examples", "outputs"}
    assert all(line["at_once"] > line["from_now_on"] for line in told)
