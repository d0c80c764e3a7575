"""Compiled steps say what torch says of the same arrays."""

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra llm")

import torch

from crowd_sim.models.fused_layer import _reach
from crowd_sim.models.fused_ops import Frozen, ordered
from crowd_sim.models.packing import Tokens, attention, pack
from crowd_sim.models.row_kernels import (
    LANES,
    array,
    attend,
    attend_backward,
    gated,
    gated_backward,
    scale_rows,
    softmax,
)

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_numbers_are_read_and_rounded_as_torch_does(kind):
    numbers = [1.0, -2.5, 1 / 3, 1 + 2**-8, 1 + 3 * 2**-8, 65519.0, 3e-8, 0.0, -0.0, INF, -INF, NAN]
    x = torch.tensor([[*numbers, *np.random.default_rng(0).normal(size=200)]]).to(kind)
    factor = torch.tensor([1.0078125])
    expected = (x.float() * factor).to(kind)
    scale_rows(array(x), array(factor))
    assert torch.equal(x.nan_to_num(7.0), expected.nan_to_num(7.0))
    assert x[0, 11].isnan()


def test_gates_and_the_softmax_hold_extremes_and_what_is_no_number():
    draws = torch.Generator().manual_seed(0)
    both = torch.randn(3, 10, generator=draws)
    both[0, :4] = torch.tensor([200.0, -200.0, NAN, -88.5])
    own = both.clone().requires_grad_()
    expected = torch.nn.functional.silu(own[:, :5]) * own[:, 5:]
    grad = torch.randn(3, 5, generator=draws)
    expected.backward(grad)
    found, of_both = torch.empty(3, 5), torch.empty(3, 10)
    gated(array(both), array(found))
    gated_backward(array(grad), array(both), array(of_both))
    torch.testing.assert_close(found, expected.detach(), rtol=1e-5, atol=1e-6, equal_nan=True)
    torch.testing.assert_close(of_both, own.grad, rtol=1e-5, atol=1e-6, equal_nan=True)
    logits, sums = torch.tensor([[200.0, -500.0, 199.0], [1.0, 2.0, 3.0], [NAN, 0.0, 0.0]]), torch.empty(3)
    expected = logits.softmax(dim=-1), logits.logsumexp(dim=-1)
    softmax(array(logits), array(sums))
    torch.testing.assert_close((logits, sums), expected, rtol=1e-6, atol=1e-6, equal_nan=True)


def test_tokens_that_see_few_others_attend_as_all_to_all():
    draws = torch.Generator().manual_seed(0)
    rows = [pack([Tokens((1, 2), (i, 3, 4, 5, 0), 5) for i in range(n)]) for n in (8, 6)]
    allowed = torch.from_numpy(np.stack([attention(row, 40) for row in rows]))[:, None]
    mask = torch.zeros(allowed.shape).masked_fill_(~allowed, torch.finfo(torch.float32).min)
    reach = _reach(mask, 2)
    assert reach is not None
    assert _reach(mask - 0.5, 2) is None  # scores that are shifted are not scores that count or do not
    assert _reach(torch.zeros(2, 1, 5, 5), 2) is None  # many see all
    heads = torch.randn(2, 8, 40, LANES, generator=draws, requires_grad=True)
    q, k, v = heads[:, :4], heads[:, 4:6].repeat_interleave(2, dim=1), heads[:, 6:].repeat_interleave(2, dim=1)
    expected = ((q @ k.mT * 0.25 + mask).softmax(dim=-1) @ v).transpose(1, 2).reshape(80, -1)
    grad = torch.randn(expected.shape, generator=draws)
    expected.backward(grad)
    own, p = array(heads), np.empty((4, len(reach.seen)), np.float32)
    found, of_heads = torch.empty(expected.shape), torch.empty(heads.shape)
    scale = np.float32(0.25)
    attend(own[:, :4], own[:, 4:6], own[:, 6:], reach.starts, reach.seen, scale, p, array(found))
    attend_backward(array(grad), own, reach.starts, reach.seen, scale, p, array(of_heads))
    torch.testing.assert_close(found, expected.detach(), rtol=0, atol=1e-5)
    torch.testing.assert_close(of_heads, heads.grad, rtol=0, atol=1e-5)


def test_ordered_weights_say_the_same():
    weight, bias = torch.randn(48, 32).bfloat16(), torch.randn(48).bfloat16()
    frozen = Frozen(weight, bias, ordered(weight), ordered(weight.T))
    if frozen.forward is None:
        pytest.skip("needs a CPU with instructions for bfloat16")
    x, grad = torch.randn(7, 32).bfloat16(), torch.randn(7, 48).bfloat16()
    torch.testing.assert_close(frozen.output(x), Frozen(weight, bias).output(x))
    torch.testing.assert_close(frozen.input_gradient(grad), Frozen(weight, bias).input_gradient(grad))
    assert ordered(weight.float()) is None
