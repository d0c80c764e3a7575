"""Packed, batched and multi-adapter training against plain peft on one candidate."""

from dataclasses import replace

import numpy as np
import pytest

from crowd_sim.models.packing import Tokens, pack
from crowd_sim.random import Purpose, generator
from tests.learners.busy import busy_adapter
from tests.learners.plain_peft import gradients, plain_loss, plain_model, plain_tune
from tests.learners.tiny_llm import make_tiny_llm

pytest.importorskip("torch", reason="needs the extra llm")
pytest.importorskip("peft", reason="needs the extra llm")

from crowd_sim.models.adapters import AdapterStack, LoraSpec
from crowd_sim.models.language_model import load_base
from crowd_sim.models.likelihoods import losses_of
from crowd_sim.models.steps import batches
from crowd_sim.models.training import Key, PackedTuneJob, Training
from crowd_sim.models.tuning import tune

SPEC = LoraSpec(rank=3, alpha=6.0)
PROMPTS = ((1, 40, 41, 2), (1, 50, 2), (1, 60, 61, 62, 63, 2))


@pytest.fixture(scope="module", params=["llama", "qwen2"])
def tiny(request, tmp_path_factory):
    folder = make_tiny_llm(tmp_path_factory.mktemp(request.param), request.param)
    base = load_base(str(folder), "cpu", "float32")
    return folder, base, AdapterStack(base, SPEC)


def examples(n: int, seed: int = 0) -> tuple[Tokens, ...]:
    draws = np.random.default_rng(seed)
    made = []
    for i in range(n):
        response = (*draws.integers(3, 200, draws.integers(1, 12)).tolist(), 0)
        made.append(Tokens(PROMPTS[i % len(PROMPTS)], response, len(response)))
    return tuple(made)


def test_gradients_are_those_of_plain_peft(tiny, tmp_path):
    folder, base, stack = tiny
    starts = [busy_adapter(stack, run) for run in range(3)]
    rows = [examples(5, 1), examples(8, 2), examples(2, 3)]
    stack.put(starts, trainable=True)
    losses = losses_of(base, [pack(row) for row in rows])
    losses.sum().backward()
    for k, (start, row) in enumerate(zip(starts, rows, strict=True)):
        plain = plain_model(folder, start, SPEC, tmp_path / str(k))
        loss = plain_loss(plain, row)
        loss.backward()
        expected = gradients(plain)
        found = stack.named(stack.weights(k).grad)
        assert found.keys() == expected.keys()
        assert abs(losses[k].item() - loss.item()) < 1e-5
        largest = max(np.abs(g).max() for g in expected.values())
        assert largest > 1e-3  # there is something to compare
        for name, gradient in expected.items():
            np.testing.assert_allclose(found[name], gradient, rtol=0, atol=1e-5)


@pytest.mark.parametrize("together", [False, True])
def test_three_epochs_lose_what_plain_peft_loses(tiny, tmp_path, together):
    folder, base, stack = tiny
    base = replace(base, one_by_one=not together)
    training = Training(epochs=3, batch_size=4, learning_rate=3e-3)
    # groups of different sizes: the batched candidates end at different steps
    jobs = [PackedTuneJob(busy_adapter(stack, k), examples(n, k), Key(5, 0, 1, k)) for k, n in enumerate((9, 14, 3))]
    tuned = tune(base, stack, jobs, training)
    for k, (job, result) in enumerate(zip(jobs, tuned, strict=True)):
        plain = plain_model(folder, job.start, SPEC, tmp_path / str(k))
        expected = plain_tune(plain, list(batches(job, training)), 3e-3, training.max_grad_norm)
        np.testing.assert_allclose(result.losses, expected, rtol=1e-3)
        assert any(not np.array_equal(result.adapter[name], job.start[name]) for name in job.start)
        assert result.n_tokens == 3 * sum(example.n_trained for example in job.examples)


@pytest.mark.parametrize(("dtype", "together"), [("bfloat16", False), ("bfloat16", True), ("float16", True)])
def test_in_half_precision_losses_are_those_of_float32_within_one_percent(tiny, dtype, together):
    folder, base, stack = tiny
    half = load_base(str(folder), "cpu", dtype)
    half_stack = AdapterStack(half, SPEC)
    training = Training(epochs=3, batch_size=4, learning_rate=3e-3)
    jobs = [PackedTuneJob(busy_adapter(stack, k), examples(n, k), Key(5, 0, 1, k)) for k, n in enumerate((9, 14, 3))]
    expected = tune(base, stack, jobs, training)
    found = tune(replace(half, one_by_one=not together), half_stack, jobs, training)
    for own, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(own.losses, other.losses, rtol=1e-2)
        assert not np.array_equal(own.losses, other.losses)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_alone_a_candidate_has_the_same_bits_as_in_company(tiny, dtype):
    folder, *_ = tiny
    base = load_base(str(folder), "cpu", dtype)
    stack = AdapterStack(base, SPEC)
    assert base.one_by_one
    training = Training(epochs=1, batch_size=4)
    jobs = [PackedTuneJob(busy_adapter(stack, k), examples(6, k), Key(5, 0, 1, k)) for k in range(3)]
    together = tune(base, stack, jobs, training)
    for job, other in zip(jobs, together, strict=True):
        (alone,) = tune(base, stack, [job], training)
        assert all(np.array_equal(alone.adapter[name], other.adapter[name]) for name in alone.adapter)


def test_a_budget_of_tokens_is_met_exactly(tiny):
    _, base, stack = tiny
    own = examples(5)
    per_epoch = sum(example.n_trained for example in own)
    for wanted in (1, per_epoch - 1, per_epoch, 2 * per_epoch + 3):
        (tuned,) = tune(base, stack, [PackedTuneJob(stack.initial(0, 0), own, Key(0, 0, 0, 0), wanted)], Training())
        assert tuned.n_tokens == wanted


def test_every_epoch_has_an_order_of_its_own():
    own = examples(20)
    job = PackedTuneJob({}, own, Key(1, 2, 3, 4))
    seen = [e for batch in batches(job, Training(epochs=2, batch_size=8)) for e in batch]
    assert sorted(map(str, seen[:20])) == sorted(map(str, own))
    assert seen[:20] != seen[20:]
    other = [e for batch in batches(replace(job, key=Key(1, 2, 3, 5)), Training(epochs=1)) for e in batch]
    assert other != seen[:20]
    assert generator(1, 2, Purpose.EXAMPLES, 3, 4 << 32).permutation(20).tolist() == [own.index(e) for e in seen[:20]]


def test_with_a_sliding_window_examples_that_fit_into_it_lose_what_they_lose_in_plain_peft(tmp_path):
    folder = make_tiny_llm(tmp_path / "model", "mistral", sliding_window=20)
    base = load_base(str(folder), "cpu", "float32")
    stack = AdapterStack(base, SPEC)
    start = busy_adapter(stack, 0)
    plain = plain_model(folder, start, SPEC, tmp_path)
    own = examples(8, 2)
    assert max(len(example.prompt) + example.n_trained for example in own) <= 20 < len(pack(own).ids)
    longer = Tokens(PROMPTS[0], tuple(range(30, 60)), 30)  # why it is refused
    for row, equal in ((own, True), ([longer], False)):
        stack.put([start], trainable=False)
        off = abs(losses_of(base, [pack(row)])[0].item() - plain_loss(plain, row).item())
        assert (off < 1e-5) == equal
