"""Differentiable steps with gradients written out: frozen linear modules with their adapters, and the loss of packed rows.

Taken apart by autograd, each costs several passes over its largest array and as many copies of it; written out, one or two.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from crowd_sim.models.row_kernels import array, scale_rows, softmax

_ROWS = 16
"""Rows whose softmax is taken at a time, so that what is needed beside the logits stays small."""

_ORDERED_FOR = 128
"""Rows of a product, about."""


def adapted_linear(x: Any, weight: Any, bias: Any, a: Any, b: Any, scale: float) -> Any:
    """A frozen module and its adapters: x Wᵀ + bias + s x Aₖᵀ Bₖᵀ for the rows of every candidate k.

    Args:
        x: [..., in], the rows of K candidates, equally many of each, candidate by candidate.
        weight: W, [out, in], without gradient.
        bias: [out] or None, without gradient.
        a: [K, r, in], of the same type as `x`.
        b: [K, out, r], likewise.
        scale: s, the adapters'.

    Returns:
        [..., out].
    """
    return _classes()[0].apply(x, weight, bias, a, b, scale)


@dataclass(frozen=True, eq=False)
class Frozen:
    """A linear module's weights, without gradient.

    Attributes:
        weight: [out, in].
        bias: [out] or None.
        forward, backward: the weight and its transpose in the order that products with them want, see `ordered`, or None.
    """

    weight: Any
    bias: Any
    forward: Any = None
    backward: Any = None

    def output(self, x: Any) -> Any:
        """The output x Wᵀ + bias of x [R, in]: [R, out]."""
        import torch

        if self.forward is None:
            return torch.nn.functional.linear(x, self.weight, self.bias)
        return torch.ops.mkldnn._linear_pointwise(x, self.forward, self.bias, "none", [], "")

    def input_gradient(self, grad: Any) -> Any:
        """The gradient of x by that of the output [R, out]: grad W, [R, in]."""
        import torch

        if self.backward is None:
            return torch.mm(grad, self.weight)
        return torch.ops.mkldnn._linear_pointwise(grad, self.backward, None, "none", [], "")


def ordered(weight: Any) -> Any:
    """A weight [out, in] for products that are asked for again and again; None where it is best as it is.

    A CPU with instructions for bfloat16 wants weights in an order of its own; to bring them into it for each product anew costs
    up to half of a product of a hundred rows. So they are kept in it, beside what they are.
    """
    import torch

    known = weight.dtype == torch.bfloat16 and weight.device.type == "cpu"
    if not known or not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return None
    return torch.ops.mkldnn._reorder_linear_weight(weight.detach().contiguous(), _ORDERED_FOR)


def project(x: Any, frozen: Frozen, a: Any, b: Any, scale: float) -> tuple[Any, Any]:
    """`adapted_linear` of x [R, in] without autograd, [R, out]; and s x Aₖᵀ, [K, R / K, r], which its gradient needs.

    Where a and b are None there are no adapters, and the second is None, too.
    """
    import torch

    if a is None:
        return frozen.output(x), None
    # first what needs little, as the weights drive x out of the cache
    u = torch.bmm(x.view(len(a), -1, x.shape[1]), a.mT).mul_(scale)
    y = frozen.output(x)
    y.view(len(a), -1, y.shape[1]).baddbmm_(u, b.mT)
    return y, u


def project_backward(
    grad: Any, x: Any, frozen: Frozen, u: Any, adapters: tuple[Any, Any], scale: float, wants_input: bool
) -> tuple[Any, Any, Any]:
    """Gradients of x, if it is wanted, else None, of a and of b, from that of the output, [R, out]; `adapters` are a and b."""
    import torch

    a, b = adapters
    if a is None:
        return frozen.input_gradient(grad) if wants_input else None, None, None
    rows = grad.view(len(a), -1, grad.shape[1])
    of_b, inner = torch.bmm(rows.mT, u), torch.bmm(rows, b).mul_(scale)
    of_a, down = torch.bmm(inner.mT, x.view(len(a), -1, x.shape[1])), None
    if wants_input:
        down = frozen.input_gradient(grad)
        down.view(len(a), -1, down.shape[1]).baddbmm_(inner, a)
    return down, of_a, of_b


def order_output(module: Any) -> None:
    """Have a frozen linear module compute with its weights as `ordered`; it is only forward that they are kept for twice."""
    own = Frozen(module.weight, module.bias, ordered(module.weight))
    if own.forward is not None:
        module.forward = lambda x: _classes()[2].apply(x, own)


def cross_entropies(logits: Any, places: Any, targets: Any) -> Any:
    """−log softmax of M predicted tokens: float32[M], in nats.

    Args:
        logits: [U, V]; their memory is used up, as a second array of that size would cost as much as the sums.
        places: int64[M], the row of `logits` that predicts a token; several tokens may be predicted by one.
        targets: int64[M], the tokens.
    """
    return _classes()[1].apply(logits, places, targets)


def _softmax(logits: Any) -> Any:
    """The softmax of rows [U, V] in their place; the logarithms of what they were divided by, float32[U]."""
    import torch

    if logits.device.type == "cpu":
        sums = torch.empty(len(logits))
        softmax(array(logits), array(sums))
        return sums
    largest = logits.amax(dim=-1).float()
    likeliest = torch.empty_like(largest)
    work = logits.new_empty((_ROWS, logits.shape[1]), dtype=torch.float32)
    for first in range(0, len(logits), _ROWS):
        part = logits[first : first + _ROWS]
        shares = work[: len(part)].copy_(part)
        torch.softmax(shares, dim=-1, out=shares)
        likeliest[first : first + _ROWS] = shares.amax(dim=-1)
        part.copy_(shares)
    return largest - likeliest.log()  # the likeliest token's share cannot underflow


def _scaled(shares: Any, weights: Any) -> Any:
    """Rows [U, V] times float32[U], in their place."""
    if shares.device.type != "cpu":
        return shares.mul_(weights[:, None].to(shares.dtype))
    scale_rows(array(shares), array(weights))
    return shares


@lru_cache(maxsize=1)
def _classes() -> tuple[Any, Any, Any]:
    """The classes of all three; made late, as torch is imported late."""
    import torch

    class AdaptedLinear(torch.autograd.Function):  # type: ignore[misc]
        @staticmethod
        def forward(ctx: Any, x: Any, weight: Any, bias: Any, a: Any, b: Any, scale: float) -> Any:
            rows = x.reshape(-1, x.shape[-1])
            y, u = project(rows, Frozen(weight, bias), a, b, scale)
            ctx.save_for_backward(rows, weight, u, a, b)
            ctx.shape, ctx.scale = x.shape, scale
            return y.view(*x.shape[:-1], -1)

        @staticmethod
        def backward(ctx: Any, grad: Any) -> tuple[Any, ...]:
            rows = grad.reshape(-1, grad.shape[-1])
            x, weight, u, a, b = ctx.saved_tensors
            down, of_a, of_b = project_backward(
                rows, x, Frozen(weight, None), u, (a, b), ctx.scale, ctx.needs_input_grad[0]
            )
            return None if down is None else down.view(ctx.shape), None, None, of_a, of_b, None

    class CrossEntropies(torch.autograd.Function):  # type: ignore[misc]
        @staticmethod
        def forward(ctx: Any, logits: Any, places: Any, targets: Any) -> Any:
            wanted = logits[places, targets].float()
            sums = _softmax(logits)[places]
            own = (wanted - sums).exp()
            ctx.save_for_backward(logits, places, targets, own)
            return sums - wanted

        @staticmethod
        def backward(ctx: Any, grad: Any) -> tuple[Any, ...]:
            shares, places, targets, own = ctx.saved_tensors
            weights = torch.zeros(len(shares), dtype=grad.dtype, device=grad.device).index_add_(0, places, grad)
            # in place, as the array is the largest of all; a second pass backward would be refused for it
            down = _scaled(shares, weights)
            # where a token is learnt its share less 1 is taken before it is rounded
            same = (places[:, None] == places) & (targets[:, None] == targets)
            down[places, targets] = (weights[places] * own - same.to(grad.dtype) @ grad).to(down.dtype)
            return down, None, None

    class FrozenLinear(torch.autograd.Function):  # type: ignore[misc]
        @staticmethod
        def forward(ctx: Any, x: Any, frozen: Frozen) -> Any:
            ctx.frozen, ctx.shape = frozen, x.shape
            return frozen.output(x.reshape(-1, x.shape[-1])).view(*x.shape[:-1], -1)

        @staticmethod
        def backward(ctx: Any, grad: Any) -> tuple[Any, ...]:
            return ctx.frozen.input_gradient(grad.reshape(-1, grad.shape[-1])).view(ctx.shape), None

    return AdaptedLinear, CrossEntropies, FrozenLinear
