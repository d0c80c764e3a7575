"""Layers computed as one step are the model's own layers with adapters beside their modules."""

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra llm")
pytest.importorskip("peft", reason="needs the extra llm")

import torch

from crowd_sim.models import adapters
from crowd_sim.models.adapters import AdapterStack, LoraSpec
from crowd_sim.models.fused_ops import cross_entropies
from crowd_sim.models.language_model import load_base
from crowd_sim.models.likelihoods import losses_of
from crowd_sim.models.packing import Tokens, pack
from tests.learners.busy import busy_adapter
from tests.learners.tiny_llm import make_tiny_llm

EXAMPLES = [Tokens((1, 40, 41), (50 + i, 60, 7 * i + 3, 0)[i % 3 :], 4 - i % 3) for i in range(5)]


def losses_and_gradient(folder, spec: LoraSpec, n: int):
    base = load_base(str(folder), "cpu", "float32")
    stack = AdapterStack(base, spec)
    stack.put([busy_adapter(stack, k) for k in range(n)], trainable=True)
    losses = losses_of(base, [pack(EXAMPLES[k:]) for k in range(n)])
    losses.sum().backward()
    return losses.detach(), [stack.named(stack.weights(k).grad) for k in range(n)]


@pytest.mark.parametrize(
    ("kind", "targets", "n"), [("llama", (), 1), ("qwen2", ("k_proj", "v_proj", "up_proj"), 2), ("mistral", (), 2)]
)
def test_layers_as_one_step_are_layers_of_modules(tmp_path, monkeypatch, kind, targets, n):
    folder, spec = make_tiny_llm(tmp_path, kind), LoraSpec(3, 6.0, targets)
    passed = []
    forward = adapters.FusedLayer.forward
    monkeypatch.setattr(adapters.FusedLayer, "forward", lambda *own: passed.append(1) or forward(*own))
    losses, gradients = losses_and_gradient(folder, spec, n)
    assert passed
    monkeypatch.setattr(adapters, "fuse", lambda _: [])
    expected, others = losses_and_gradient(folder, spec, n)
    torch.testing.assert_close(losses, expected, rtol=0, atol=1e-5)
    for own, other in zip(gradients, others, strict=True):
        assert own.keys() == other.keys()
        assert max(np.abs(gradient).max() for gradient in other.values()) > 1e-3  # there is something to compare
        for name, gradient in other.items():
            np.testing.assert_allclose(own[name], gradient, rtol=0, atol=1e-5)


def test_weights_that_are_moved_count_at_the_next_pass_without_gradients_too(tmp_path):
    base = load_base(str(make_tiny_llm(tmp_path)), "cpu", "float32")
    stack = AdapterStack(base, LoraSpec(rank=2))
    stack.put([busy_adapter(stack, 0)], trainable=True)
    with torch.no_grad():
        before = losses_of(base, [pack(EXAMPLES)])
        stack.weights(0).mul_(2.0)
        after = losses_of(base, [pack(EXAMPLES)])
    assert not torch.equal(before, after)


@pytest.mark.parametrize(("kind", "tolerance"), [(torch.float32, 1e-6), (torch.bfloat16, 4e-3)])
def test_gradients_of_cross_entropies_are_autograds(kind, tolerance):
    draws = torch.Generator().manual_seed(0)
    logits = (4 * torch.randn(20, 300, generator=draws)).to(kind)
    # two tokens at a place, one of them twice
    places, targets = torch.tensor([0, 0, 0, 3, 18, 19]), torch.tensor([5, 5, 7, 9, 1, 299])
    logits[18, 1] = 30.0  # one that is all but certain
    weights = torch.rand(6, generator=draws)
    found, wanted = (logits.clone().requires_grad_() for _ in range(2))
    losses = cross_entropies(found * 1.0, places, targets)
    expected = torch.nn.functional.cross_entropy(wanted.float()[places], targets, reduction="none")
    torch.testing.assert_close(losses, expected, rtol=1e-5, atol=1e-5)
    (losses * weights).sum().backward()
    (expected * weights).sum().backward()
    torch.testing.assert_close(found.grad, wanted.grad, rtol=2 * tolerance, atol=tolerance / 1000)
