"""How a candidate is tuned besides: in float16, at rates that change, with layers that are computed again."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra llm")
pytest.importorskip("peft", reason="needs the extra llm")

from crowd_sim.errors import InputError
from crowd_sim.models.adapters import AdapterStack, LoraSpec
from crowd_sim.models.architecture_check import check_architecture
from crowd_sim.models.generation import GenerateJob, Sampling, generate
from crowd_sim.models.language_model import load_base
from crowd_sim.models.memory import Room
from crowd_sim.models.packing import Tokens
from crowd_sim.models.recomputing import recompute
from crowd_sim.models.schedules import learning_rate
from crowd_sim.models.steps import steps_of
from crowd_sim.models.training import Key, PackedTuneJob, Training
from crowd_sim.models.tuning import _gradients, tune
from crowd_sim.random import Purpose
from tests.learners.busy import busy_adapter
from tests.learners.tiny_llm import make_tiny_llm

SPEC = LoraSpec(rank=3, alpha=6.0)
PROMPTS = ((1, 40, 41, 2), (1, 50, 2), (1, 60, 61, 62, 63, 2))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_tiny_llm(tmp_path_factory.mktemp("model"))


def examples(n):
    draws = np.random.default_rng(0)
    responses = [(*draws.integers(3, 200, 1 + i % 9).tolist(), 0) for i in range(n)]
    return tuple(Tokens(PROMPTS[i % 3], response, len(response)) for i, response in enumerate(responses))


def test_in_float16_losses_are_scaled_as_far_as_gradients_stay_finite(folder):
    half = load_base(str(folder), "cpu", "float16")
    stack = AdapterStack(half, SPEC)
    start = busy_adapter(stack, 0)
    job = PackedTuneJob(start, examples(6), Key(0, 0, 0, 0))

    def gradients(weight):
        (row,) = next(steps_of(half, stack, 0, job, Training())).rows()
        stack.put([start], trainable=True)
        _gradients(half, stack, {0: [replace(row, loss=lambda losses: weight * losses.mean())]}, Room("rows", "cpu"))
        return list(stack.named(stack.weights(0).grad / weight).values())

    usual = gradients(1.0)
    for weight in (
        1e-5,
        3e3,
    ):  # small ones become 0 where nothing is scaled, large ones are not finite at the largest scale
        for own, other in zip(gradients(weight), usual, strict=True):
            np.testing.assert_allclose(own, other, rtol=0, atol=0.02 * np.abs(other).max())


def test_float16_is_refused_where_the_device_does_not_take_it(folder, monkeypatch):
    import torch

    def softmax(*_, **__):
        raise RuntimeError("not implemented for 'Half'\nmore")

    monkeypatch.setattr(torch.nn.functional, "softmax", softmax)
    with pytest.raises(
        InputError, match=r"^task\.dtype = 'float16': must be another type: .* \(not implemented for 'Half'\)$"
    ):
        load_base(str(folder), "cpu", "float16")


@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine"])
def test_learning_rates_are_those_of_transformers(folder, schedule):
    import torch
    import transformers
    from torch.optim.optimizer import register_optimizer_step_pre_hook

    base = load_base(str(folder), "cpu", "float32")
    stack = AdapterStack(base, SPEC)
    training = Training(epochs=4, batch_size=2, learning_rate=3e-3, schedule=schedule, warmup=0.25)
    job = PackedTuneJob(stack.initial(0, 0), examples(9), Key(5, 0, 1, 0))
    rates = []
    handle = register_optimizer_step_pre_hook(lambda own, *_: rates.append(own.param_groups[0]["lr"]))
    try:
        tune(base, stack, [job], training)
    finally:
        handle.remove()
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=3e-3)
    name = "constant_with_warmup" if schedule == "constant" else schedule
    scheduler = transformers.get_scheduler(name, optimiser, num_warmup_steps=5, num_training_steps=20)
    expected = []
    for _ in range(20):
        expected.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        scheduler.step()
    np.testing.assert_allclose(rates, expected, rtol=1e-12, atol=1e-18)
    # of a number of tokens, by those that are spent
    budget = replace(job, n_tokens=100)
    assert learning_rate(budget, training, 7, 60) == pytest.approx(learning_rate(job, training, 12, 0))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_layers_that_are_computed_again_give_the_same_bits(folder, dtype):
    found, passes = [], []
    for again in (False, True):
        base = load_base(str(folder), "cpu", dtype)
        if again:
            recompute(base)
        stack = AdapterStack(base, SPEC)
        check_architecture(base, stack)
        number = []
        inner = base.model.get_submodule("model.layers.1.self_attn")
        inner.register_forward_hook(lambda *_, number=number: number.append(1))
        job = PackedTuneJob(busy_adapter(stack, 0), examples(9), Key(5, 0, 1, 0))
        (tuned,) = tune(base, stack, [job], Training(epochs=2, batch_size=4, learning_rate=3e-3))
        passes.append(len(number))
        drawn = GenerateJob(tuned.adapter, PROMPTS, Key(1, 0, 1, 0), Purpose.REPORT_OUTPUTS)
        found.append((tuned, generate(base, stack, [drawn], Sampling(5, 1.0))))
    assert passes[1] == 2 * passes[0]
    (plain, outputs), (recomputed, others) = found
    assert all(np.array_equal(plain.adapter[name], recomputed.adapter[name]) for name in plain.adapter)
    assert np.array_equal(plain.losses, recomputed.losses)
    assert outputs == others
