"""A decoder layer of Llama's kind with its adapters as one differentiable step, its gradient written out.

Taken apart by autograd and by modules, a layer of a small model is hundreds of operations on small arrays, many of which cost
more to call than to compute. Here modules that read the same input are one product (q, k and v; gate and up), key and value
heads are not repeated for the query heads that share them, and what a gradient needs is kept once. Models of other kinds keep
their own layers, and so do passes that this one does not cover.

The layer: h = x + O(attention(R(Q n), R(K n), V n)), n = norm(x); y = h + D(silu(G m) ∘ U m), m = norm(h), with rotations R by
position (Su et al. 2021, arXiv 2104.09864), root mean square norms (Zhang and Sennrich 2019, arXiv 1910.07467) and gated units
(Shazeer 2020, arXiv 2002.05202).
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crowd_sim.models.fused_ops import Frozen, order_output, ordered, project, project_backward
from crowd_sim.models.row_kernels import (
    LANES,
    add_norm,
    array,
    attend,
    attend_backward,
    gated,
    gated_backward,
    norm,
    norm_backward,
    rotate,
    rotate_backward,
)

_LAYERS = {"LlamaDecoderLayer", "MistralDecoderLayer", "Qwen2DecoderLayer"}
"""Classes of `transformers` that compute just this."""

_FEW = 0.25
"""Share of a row's tokens that are seen by one, up to which attention computes what is seen alone: above it, products of all
with all are faster, although most of them are not wanted; but not where one token meets those before it. In packed rows of
short responses it is about a sixth."""


@dataclass(eq=False)
class Part:
    """Weights of adapters that lie side by side.

    Attributes:
        size: how many an adapter has.
        value: [K, size], those of the adapters in use in the model's type; None: there are none.
    """

    size: int = 0
    value: Any = None


def fuse(model: Any) -> list[FusedLayer]:
    """Let a model's layers be computed so, and return them; those of another kind stay as they are."""
    import torch

    if getattr(model.config, "hidden_act", None) not in ("silu", "swish"):
        return []
    layers = [
        module
        for module in model.modules()
        # weights that are quantised are whole numbers: only their modules know what they say
        if type(module).__name__ in _LAYERS and all(own.is_floating_point() for own in module.parameters())
    ]
    reaches = _Reaches()
    fused = [FusedLayer(layer, reaches) for layer in layers]
    for own, layer in zip(fused, layers, strict=True):
        layer.forward = _forward(own, layer.forward)
    output = model.get_output_embeddings()
    if type(output) is torch.nn.Linear:
        order_output(output)
    return fused


def _forward(fused: FusedLayer, plain: Callable[..., Any]) -> Callable[..., Any]:
    import torch

    def forward(hidden_states: Any, attention_mask: Any = None, **kwargs: Any) -> Any:
        weights = None if fused.part is None else fused.part.value
        # masks of other kinds belong to other kinds of attention
        if weights is None or attention_mask is None or not attention_mask.is_floating_point():
            return plain(hidden_states, attention_mask=attention_mask, **kwargs)
        cos, sin = kwargs["position_embeddings"]
        cache = kwargs.get("past_key_values")
        if torch.is_grad_enabled() and cache is None:
            return _layer_class().apply(fused, hidden_states, attention_mask, cos, sin, weights)
        return fused.forward(hidden_states, attention_mask, cos, sin, cache, weights)[0]

    return forward


@dataclass(frozen=True, eq=False)
class Reach:
    """Who sees whom, for `attend`: what the tokens see, one token's after another's, and where each one's begin."""

    starts: NDArray[np.int64]
    seen: NDArray[np.int64]


class _Reaches:
    """What masks say, the last one's remembered: all layers of a pass are given the same."""

    def __init__(self) -> None:
        self._mask: Callable[[], Any] = lambda: None
        self._n_rows = 0
        self._last: Reach | None = None

    def of(self, mask: Any, n_rows: int) -> Reach | None:
        """That of a mask [n_rows or 1, 1, T, S]; None where more than `_FEW` is seen, or some of it more or less."""
        if self._mask() is not mask or self._n_rows != n_rows:
            self._mask, self._n_rows, self._last = weakref.ref(mask), n_rows, _reach(mask, n_rows)
        return self._last


def _reach(mask: Any, n_rows: int) -> Reach | None:
    import torch

    seen = mask == 0
    clear = bool((seen | (mask <= torch.finfo(mask.dtype).min)).all()) and bool(seen.any(dim=-1).all())
    if not clear or (mask.shape[2] > 1 and float(seen.float().mean()) > _FEW):
        return None
    every = seen.expand(n_rows, -1, -1, -1).reshape(-1, mask.shape[3]).numpy()
    return Reach(np.concatenate([[0], every.sum(axis=1).cumsum()]), np.nonzero(every)[1])


class _Group:
    """Linear modules that read the same input, as one product: their weights lie one behind the other.

    Attributes:
        modules: plain or adapted.
        weight: [out, in], of which the modules' own weights are parts.
        bias: [out] or None.
        frozen: both, as products want them.
        adapted: those that are, and which of the outputs are theirs.
    """

    def __init__(self, *modules: Any) -> None:
        import torch

        self.modules = modules
        frozen = [getattr(module, "frozen", module) for module in modules]
        ends = np.cumsum([0, *(own.out_features for own in frozen)]).tolist()
        outputs = [slice(*pair) for pair in itertools.pairwise(ends)]
        self.adapted = [
            (module, own) for module, own, plain in zip(modules, outputs, frozen, strict=True) if module is not plain
        ]
        self.weight, self.bias = frozen[0].weight, frozen[0].bias
        if len(frozen) > 1:
            self.weight = torch.cat([own.weight for own in frozen])
            self.bias = None if self.bias is None else torch.cat([own.bias for own in frozen])
            for own, part in zip(frozen, outputs, strict=True):  # so that nothing is held twice
                own.weight = torch.nn.Parameter(self.weight[part], requires_grad=False)
        self.frozen = Frozen(self.weight, self.bias, ordered(self.weight), ordered(self.weight.T))

    @property
    def weights(self) -> list[tuple[Any, str]]:
        """What is adapted, as it lies in the layer's part: every module's A, then every module's B."""
        return [(module, which) for which in "AB" for module, _ in self.adapted]

    def stacked(self, weights: Any) -> tuple[Any, Any]:
        """A [K, R, in] and B [K, out, R], R the ranks together; B is 0 where a module's output would meet another's A.

        Args:
            weights: [K, n], the layer's part.

        Returns:
            Both None where nothing is adapted.
        """
        if not self.adapted:
            return None, None
        a = weights[:, self._place("A")].unflatten(1, (-1, self.weight.shape[1]))
        if len(self.modules) == 1:
            return a, weights[:, self._place("B")].unflatten(1, (self.weight.shape[0], -1))
        b = weights.new_zeros((len(a), self.weight.shape[0], a.shape[1]))
        for module, block in self._blocks(b):
            block.copy_(weights[:, module.places["B"][1]].view(block.shape))
        return a, b

    def put_gradients(self, a: Any, b: Any, into: Any) -> None:
        """Those of `stacked` to their places in that of the part."""
        if not self.adapted:
            return
        into[:, self._place("A")].view(a.shape).copy_(a)
        if len(self.modules) == 1:
            into[:, self._place("B")].view(b.shape).copy_(b)
            return
        for module, block in self._blocks(b):
            into[:, module.places["B"][1]].view(block.shape).copy_(block)

    def _place(self, which: str) -> slice:
        first, last = (self.adapted[i][0].places[which][1] for i in (0, -1))
        return slice(first.start, last.stop)

    def _blocks(self, b: Any) -> Iterator[tuple[Any, Any]]:
        rank = b.shape[2] // len(self.adapted)
        for i, (module, outputs) in enumerate(self.adapted):
            yield module, b[:, outputs, i * rank : (i + 1) * rank]


class FusedLayer:
    """The weights of a layer, and what is done with them.

    Shapes: N rows of T tokens; H is the width, D a head's; q query heads share kv pairs of keys and values.

    Attributes:
        modules: its linear modules.
        weights: of its adapters, in the order in which they lie in `part`: a module, and A or B.
        part: where they are; None until they have been given a place, or where nothing is adapted.
    """

    def __init__(self, layer: Any, reaches: _Reaches) -> None:
        self._reaches = reaches
        attention, mlp = layer.self_attn, layer.mlp
        self._groups = [
            _Group(attention.q_proj, attention.k_proj, attention.v_proj),
            _Group(attention.o_proj),
            _Group(mlp.gate_proj, mlp.up_proj),
            _Group(mlp.down_proj),
        ]
        self.modules = [module for group in self._groups for module in group.modules]
        self.weights = [own for group in self._groups for own in group.weights]
        self.part: Part | None = None
        self._stacked: tuple[Any, list[tuple[Any, Any]]] = (None, [])
        self._scale = next((module.scale for module, _ in self.weights), 1.0)
        norms = (layer.input_layernorm, layer.post_attention_layernorm)
        self._norms = [(array(norm.weight.float()), np.float32(norm.variance_epsilon)) for norm in norms]
        self._d, self._scaling, self._number = attention.head_dim, np.float32(attention.scaling), attention.layer_idx
        self._q, self._kv = (module.out_features // self._d for module in (attention.q_proj, attention.k_proj))

    def forward(
        self, x: Any, mask: Any, cos: Any, sin: Any, cache: Any, weights: Any
    ) -> tuple[Any, list[Any], Reach | None]:
        """The layer's output, [N, T, H], and what its gradient needs: arrays, and who sees whom if attention went by that.

        Args:
            x: [N, T, H], the rows of K candidates, equally many of each, candidate by candidate.
            mask: [N or 1, 1, T, S], added to the scores of S keys.
            cos: [N or 1, T, D], of the rotations.
            sin: likewise.
            cache: of keys and values before these, or None.
            weights: `part.value`.
        """
        import torch

        shape, (n_rows, n_tokens) = x.shape, x.shape[:2]
        stacks = self._stacks_of(weights)
        rotated, both = self._q + self._kv, self._q + 2 * self._kv
        x = x.reshape(-1, shape[-1])
        n, m = torch.empty_like(x), torch.empty_like(x)
        norm(array(x), *self._norms[0], array(n))
        y, u_qkv = self._project(0, n, stacks)
        heads = x.new_empty((n_rows, both, n_tokens, self._d))
        rotate(array(y.view(n_rows, n_tokens, both, self._d)), array(cos), array(sin), rotated, array(heads))
        q, k, v = heads.split([self._q, self._kv, self._kv], dim=1)
        if cache is not None:
            k, v = cache.update(k, v, self._number)
        reach = None if self._d % LANES else self._reaches.of(mask, n_rows)
        if reach is None:
            o, p = self._attend_all(q, k, v, mask)
        else:
            o, p = x.new_empty((len(x), self._q * self._d)), torch.empty((self._q, len(reach.seen)))
            attend(array(q), array(k), array(v), reach.starts, reach.seen, self._scaling, array(p), array(o))
        h, u_o = self._project(1, o, stacks)
        add_norm(array(h), array(x), *self._norms[1], array(m))
        y, u_gate = self._project(2, m, stacks)
        inner = y.new_empty((len(y), y.shape[1] // 2))
        gated(array(y), array(inner))
        added, u_down = self._project(3, inner, stacks)
        kept = [x, n, heads, p, o, h, m, y, inner, cos, sin, u_qkv, u_o, u_gate, u_down]
        return added.add_(h).view(shape), kept + [part for stack in stacks for part in stack], reach

    def _attend_all(self, q: Any, k: Any, v: Any, mask: Any) -> tuple[Any, Any]:
        """Attention in products of all queries with all keys, for tokens that see most others: its output and shares."""
        import torch

        n_rows, _, n_tokens, _ = q.shape
        q, k, v = (part.reshape(n_rows * self._kv, -1, self._d) for part in (q, k, v))
        scores = torch.bmm(q, k.mT).view(n_rows, self._q, n_tokens, -1)
        p = torch.add(mask, scores, alpha=float(self._scaling)).softmax(dim=-1)
        seen = torch.bmm(p.view(n_rows * self._kv, -1, p.shape[-1]), v)
        return seen.view(n_rows, self._q, n_tokens, self._d).transpose(1, 2).reshape(n_rows * n_tokens, -1), p

    def _attend_all_backward(self, grad: Any, heads: Any, p: Any) -> Any:
        import torch

        n_rows, _, n_tokens, _ = heads.shape
        parts = heads.split([self._q, self._kv, self._kv], dim=1)
        q, k, v = (part.reshape(n_rows * self._kv, -1, self._d) for part in parts)
        seen = grad.view(n_rows, n_tokens, self._q, self._d).transpose(1, 2).reshape(q.shape)
        scores = torch._softmax_backward_data(torch.bmm(seen, v.mT).view(p.shape), p, -1, p.dtype)
        scores = scores.mul_(float(self._scaling)).view(len(q), -1, p.shape[-1])
        p = p.view(scores.shape)
        of = torch.bmm(scores, k), torch.bmm(scores.mT, q), torch.bmm(p.mT, seen)
        return torch.cat([own.view(n_rows, -1, n_tokens, self._d) for own in of], dim=1)

    def backward(self, grad: Any, kept: Sequence[Any], reach: Reach | None, wants_input: bool) -> tuple[Any, Any]:
        """Gradients of the layer's input, where it is wanted, else None; and of `part.value`."""
        import torch

        x, n, heads, p, o, h, m, gates, inner, cos, sin, u_qkv, u_o, u_gate, u_down, *flat = kept
        stacks = list(zip(flat[::2], flat[1::2], strict=True))
        shape, (n_rows, n_tokens) = grad.shape, grad.shape[:2]
        rotated, both = self._q + self._kv, self._q + 2 * self._kv
        grad = grad.reshape(len(x), -1)
        assert self.part is not None  # noqa: S101 - it has gone forward
        found = grad.new_empty((len(next(a for a, _ in stacks if a is not None)), self.part.size))
        down = self._back(3, grad, inner, u_down, stacks, found)
        of_gates = torch.empty_like(gates)
        gated_backward(array(down), array(gates), array(of_gates))
        down = self._back(2, of_gates, m, u_gate, stacks, found)
        norm_backward(array(down), array(h), *self._norms[1], array(grad))
        grad = down
        down = self._back(1, grad, o, u_o, stacks, found)
        if reach is None:
            of_heads = self._attend_all_backward(down, heads, p)
        else:
            of_heads = torch.empty_like(heads)
            attend_backward(
                array(down), array(heads), reach.starts, reach.seen, self._scaling, array(p), array(of_heads)
            )
        y = x.new_empty((n_rows, n_tokens, both, self._d))
        rotate_backward(array(of_heads), array(cos), array(sin), rotated, array(y))
        down = self._back(0, y.view(len(x), -1), n, u_qkv, stacks, found, wants_input)
        if not wants_input:
            return None, found
        norm_backward(array(down), array(x), *self._norms[0], array(grad))
        return down.view(shape), found

    def _stacks_of(self, weights: Any) -> list[tuple[Any, Any]]:
        """Those of the groups; from one token to the next they stay what they are."""
        of, stacks = self._stacked
        if of is not weights:
            stacks = [group.stacked(weights) for group in self._groups]
            self._stacked = (
                (None, []) if weights.requires_grad else (weights, stacks)
            )  # nor does it hold a pass's graph
        return stacks

    def _project(self, i: int, x: Any, stacks: Sequence[tuple[Any, Any]]) -> tuple[Any, Any]:
        return project(x, self._groups[i].frozen, *stacks[i], self._scale)

    def _back(
        self, i: int, grad: Any, x: Any, u: Any, stacks: Sequence[Any], found: Any, wants_input: bool = True
    ) -> Any:
        group = self._groups[i]
        down, of_a, of_b = project_backward(grad, x, group.frozen, u, stacks[i], self._scale, wants_input)
        group.put_gradients(of_a, of_b, found)
        return down


@lru_cache(maxsize=1)
def _layer_class() -> Any:
    """The class of the differentiable step; made late, as torch is imported late."""
    import torch

    class Layer(torch.autograd.Function):  # type: ignore[misc]
        @staticmethod
        def forward(ctx: Any, fused: FusedLayer, x: Any, mask: Any, cos: Any, sin: Any, weights: Any) -> Any:
            out, kept, ctx.reach = fused.forward(x, mask, cos, sin, None, weights)
            ctx.fused = fused
            ctx.save_for_backward(*kept)
            return out

        @staticmethod
        def backward(ctx: Any, grad: Any) -> tuple[Any, ...]:
            down, own = ctx.fused.backward(grad.contiguous(), ctx.saved_tensors, ctx.reach, ctx.needs_input_grad[1])
            return None, down, None, None, None, own

    return Layer
