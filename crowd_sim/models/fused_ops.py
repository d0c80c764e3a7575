"""Two differentiable steps with gradients written out: a frozen linear module with its adapters, and the loss of packed rows.

Taken apart by autograd, each costs several passes over its largest array and as many copies of it; written out, one or two.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

_ROWS = 16
"""Rows whose softmax is taken at a time, so that what is needed beside the logits stays small."""


def adapted_linear(x: Any, weight: Any, bias: Any, a: Any, b: Any) -> Any:
    """A frozen module and its adapters: x Wᵀ + bias + x Aₖᵀ Bₖᵀ for the rows of every candidate k.

    Args:
        x: [..., in], the rows of K candidates, equally many of each, candidate by candidate.
        weight: W, [out, in], without gradient.
        bias: [out] or None, without gradient.
        a: [K, r, in], of the same type as `x`.
        b: [K, out, r], likewise, with the adapters' scale in it.

    Returns:
        [..., out].
    """
    return _classes()[0].apply(x, weight, bias, a, b)


def cross_entropies(logits: Any, places: Any, targets: Any) -> Any:
    """−log softmax of M predicted tokens: float32[M], in nats.

    Args:
        logits: [U, V]; in float32 their memory is used up, as a second array of that size would cost as much as the sums.
        places: int64[M], the row of `logits` that predicts a token; several tokens may be predicted by one.
        targets: int64[M], the tokens.
    """
    return _classes()[1].apply(logits, places, targets)


@lru_cache(maxsize=1)
def _classes() -> tuple[Any, Any]:
    """The classes of both; made late, as torch is imported late."""
    import torch

    class AdaptedLinear(torch.autograd.Function):  # type: ignore[misc]
        @staticmethod
        def forward(ctx: Any, x: Any, weight: Any, bias: Any, a: Any, b: Any) -> Any:
            rows = x.reshape(len(a), -1, x.shape[-1])
            y = torch.nn.functional.linear(rows, weight, bias)
            u = torch.bmm(rows, a.mT)
            ctx.save_for_backward(rows, weight, a, b, u)
            ctx.shape = x.shape
            return y.baddbmm_(u, b.mT).view(*x.shape[:-1], -1)

        @staticmethod
        def backward(ctx: Any, grad: Any) -> tuple[Any, ...]:
            rows, weight, a, b, u = ctx.saved_tensors
            grad = grad.reshape(len(a), -1, grad.shape[-1])
            inner = torch.bmm(grad, b)
            down = None
            if ctx.needs_input_grad[0]:
                down = torch.matmul(grad, weight).baddbmm_(inner, a).view(ctx.shape)
            return down, None, None, torch.bmm(inner.mT, rows), torch.bmm(grad.mT, u)

    class CrossEntropies(torch.autograd.Function):  # type: ignore[misc]
        @staticmethod
        def forward(ctx: Any, logits: Any, places: Any, targets: Any) -> Any:
            largest, wanted = logits.amax(dim=-1).float(), logits[places, targets].float()
            shares = logits.float()
            for part in shares.split(_ROWS):
                part.copy_(part.softmax(dim=-1))
            ctx.save_for_backward(shares, places, targets)
            ctx.kind = logits.dtype
            # the likeliest token's share cannot underflow
            return (largest - shares.amax(dim=-1).log())[places] - wanted

        @staticmethod
        def backward(ctx: Any, grad: Any) -> tuple[Any, ...]:
            shares, places, targets = ctx.saved_tensors
            weights = torch.zeros(len(shares), dtype=grad.dtype, device=grad.device).index_add_(0, places, grad)
            # in place, as the array is the largest of all; a second pass backward would be refused for it
            down = shares.mul_(weights[:, None])
            down.index_put_((places, targets), -grad, accumulate=True)
            return down.to(ctx.kind), None, None

    return AdaptedLinear, CrossEntropies
