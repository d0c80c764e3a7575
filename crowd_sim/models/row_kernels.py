"""Steps of a layer that are no products, compiled for a CPU: a row is read once, computed in float32, and written once.

Taken apart into operations on whole arrays they cost more than half of the products' time. Arrays are float32, or what numpy
has no type for, by its bits: bfloat16 as uint16, float16 as int16 (`array`). Sums are folded in a fixed order and nothing is
reordered or fused, so that each processor finds the same bits. Rows are independent of one another.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic as _intrinsic

intrinsic: Any = _intrinsic
"""Its own types are those of the functions before they are compiled."""

_INT, _FLOAT, _HALF = ir.IntType(32), ir.FloatType(), ir.HalfType()
_ONE = np.float32(1)


def array(tensor: Any) -> Any:
    """A tensor of a CPU as these functions take it: the same memory, without autograd."""
    import torch

    bits = {torch.bfloat16: torch.uint16, torch.float16: torch.int16}.get(tensor.dtype)
    own = tensor.detach()
    return (own if bits is None else own.view(bits)).numpy()


@intrinsic
def _wide(_: Any, stored: Any) -> Any:
    """What is stored as float32."""

    def convert(__: Any, builder: Any, ___: Any, values: Any) -> Any:
        (value,) = values
        if stored == types.uint16:
            return builder.bitcast(builder.shl(builder.zext(value, _INT), _INT(16)), _FLOAT)
        return builder.fpext(builder.bitcast(value, _HALF), _FLOAT) if stored == types.int16 else value

    return types.float32(stored), convert


@intrinsic
def _narrow(_: Any, stored: Any, __: Any) -> Any:
    """A number in float32 as it is stored where the first is: rounded to the nearest, to even where two are."""

    def convert(___: Any, builder: Any, ____: Any, values: Any) -> Any:
        value = values[1]
        if stored == types.int16:
            return builder.bitcast(builder.fptrunc(value, _HALF), ir.IntType(16))
        if stored != types.uint16:
            return value
        bits = builder.bitcast(value, _INT)
        even = builder.and_(builder.lshr(bits, _INT(16)), _INT(1))
        rounded = builder.lshr(builder.add(builder.add(bits, _INT(0x7FFF)), even), _INT(16))
        none = builder.fcmp_unordered("uno", value, value)  # of a NaN the carry could make a number
        return builder.trunc(builder.select(none, _INT(0x7FC0), rounded), ir.IntType(16))

    return stored(stored, types.float32), convert


@intrinsic
def _power_of_two(_: Any, __: Any) -> Any:
    """2ⁿ of a whole number n in float32, −126 to 127."""

    def convert(___: Any, builder: Any, ____: Any, values: Any) -> Any:
        n = builder.fptosi(values[0], _INT)
        return builder.bitcast(builder.shl(builder.add(n, _INT(127)), _INT(23)), _FLOAT)

    return types.float32(types.float32), convert


LANES = 16
"""Numbers that are multiplied and added side by side."""

_VECTOR = ir.VectorType(_FLOAT, LANES)


def _row(context: Any, builder: Any, kind: Any, value: Any, i: Any) -> tuple[Any, Any]:
    """Where the vectors of the i-th row of float32[n, d] are, and how many, d being a multiple of `LANES`."""
    made = context.make_array(kind)(context, builder, value)
    width = cgutils.unpack_tuple(builder, made.shape)[1]
    first = builder.gep(made.data, [builder.mul(i, width)])
    return builder.bitcast(first, _VECTOR.as_pointer()), builder.udiv(width, width.type(LANES))


def _loaded(builder: Any, vectors: Any, i: Any) -> Any:
    return builder.load(builder.gep(vectors, [i]), align=4)


@intrinsic
def _dot(_: Any, a: Any, i: Any, b: Any, j: Any) -> Any:  # noqa: ARG001 - numba goes by the arguments' names
    """Σ a[i] b[j] of rows of float32[n, d], d a multiple of `LANES`: the sums of all lanes, then of their halves."""

    def compute(context: Any, builder: Any, __: Any, values: Any) -> Any:
        first, n = _row(context, builder, a, values[0], values[1])
        second, _ = _row(context, builder, b, values[2], values[3])
        total = cgutils.alloca_once(builder, _VECTOR)
        builder.store(ir.Constant(_VECTOR, [0.0] * LANES), total)
        with cgutils.for_range(builder, n) as loop:
            more = builder.fmul(_loaded(builder, first, loop.index), _loaded(builder, second, loop.index))
            builder.store(builder.fadd(builder.load(total), more), total)
        own, lanes = builder.load(total), LANES
        while lanes > 1:
            lanes //= 2
            low, high = (ir.Constant(ir.VectorType(_INT, lanes), list(range(at, at + lanes))) for at in (0, lanes))
            own = builder.fadd(builder.shuffle_vector(own, own, low), builder.shuffle_vector(own, own, high))
        return builder.extract_element(own, _INT(0))

    return types.float32(a, types.intp, b, types.intp), compute


@intrinsic
def _add(_: Any, to: Any, i: Any, scale: Any, a: Any, j: Any) -> Any:  # noqa: ARG001 - see above
    """Add a[j] times `scale` to to[i], rows of float32[n, d], d a multiple of `LANES`."""

    def compute(context: Any, builder: Any, __: Any, values: Any) -> Any:
        sums, n = _row(context, builder, to, values[0], values[1])
        more, _ = _row(context, builder, a, values[3], values[4])
        scales = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), values[2], _INT(0))
        scales = builder.shuffle_vector(scales, scales, ir.Constant(ir.VectorType(_INT, LANES), [0] * LANES))
        with cgutils.for_range(builder, n) as loop:
            own = builder.fmul(scales, _loaded(builder, more, loop.index))
            place = builder.gep(sums, [loop.index])
            builder.store(builder.fadd(builder.load(place, align=4), own), place, align=4)
        return context.get_dummy_value()

    return types.void(to, types.intp, types.float32, a, types.intp), compute


_LOG2E, _LN2, _LN2_REST = np.float32(1.44269504), np.float32(0.693359375), np.float32(-2.12194440e-4)
_LOWEST, _HIGHEST, _HALVES = np.float32(-87), np.float32(88), np.float32(0.5)
_P0, _P1, _P2 = np.float32(1.9875691500e-4), np.float32(1.3981999507e-3), np.float32(8.3334519073e-3)
_P3, _P4, _P5 = np.float32(4.1665795894e-2), np.float32(1.6666665459e-1), np.float32(5.0000001201e-1)


@numba.njit(error_model="numpy")
def _exp(x: Any) -> Any:
    """Of float32, to 1e-7 of it, from e^−87 to e^88 (Moshier's Cephes); unlike the C library's of many numbers at once."""
    x = _LOWEST if x < _LOWEST else x  # so put that NaN stays what it is
    x = _HIGHEST if x > _HIGHEST else x
    n = np.floor(x * _LOG2E + _HALVES)
    r = x - n * _LN2 - n * _LN2_REST
    p = ((((_P0 * r + _P1) * r + _P2) * r + _P3) * r + _P4) * r + _P5
    return (p * r * r + r + _ONE) * _power_of_two(n)


@numba.njit(error_model="numpy")
def _sum(values: Any) -> Any:
    """Of float32[n], which it uses up: halves are added until one is left."""
    n = values.shape[0]
    while n > 1:
        half = n // 2
        for j in range(half):
            values[j] += values[n - half + j]
        n -= half
    return values[0]


@numba.njit(error_model="numpy")
def _inverse(x: Any, epsilon: Any, squares: Any) -> Any:
    """1 over the root mean square of a row, √(mean x² + ε); `squares` is room for as many."""
    for j in range(x.shape[0]):
        value = _wide(x[j])
        squares[j] = value * value
    return _ONE / np.sqrt(_sum(squares) / np.float32(x.shape[0]) + epsilon)


@numba.njit(cache=True, error_model="numpy")
def norm(x: Any, weight: Any, epsilon: Any, out: Any) -> None:
    """The rows of x [R, H] by their root mean squares, times the weights, float32[H], to `out`."""
    squares = np.empty(x.shape[1], np.float32)
    for i in range(x.shape[0]):
        row, to = x[i], out[i]
        inverse = _inverse(row, epsilon, squares)
        for j in range(x.shape[1]):
            to[j] = _narrow(to[j], _wide(row[j]) * inverse * weight[j])


@numba.njit(cache=True, error_model="numpy")
def add_norm(x: Any, beside: Any, weight: Any, epsilon: Any, out: Any) -> None:
    """Add `beside` to x, [R, H] both; the sum's `norm` to `out`."""
    squares = np.empty(x.shape[1], np.float32)
    for i in range(x.shape[0]):
        row, more, to = x[i], beside[i], out[i]
        for j in range(x.shape[1]):
            row[j] = _narrow(row[j], _wide(row[j]) + _wide(more[j]))
        inverse = _inverse(row, epsilon, squares)
        for j in range(x.shape[1]):
            to[j] = _narrow(to[j], _wide(row[j]) * inverse * weight[j])


@numba.njit(cache=True, error_model="numpy")
def norm_backward(grad: Any, x: Any, weight: Any, epsilon: Any, beside: Any) -> None:
    """To `grad`, that of `norm`'s output, that of its input x and `beside`, that of the path around it; all [R, H]."""
    width = x.shape[1]
    squares, scaled, units = np.empty(width, np.float32), np.empty(width, np.float32), np.empty(width, np.float32)
    for i in range(x.shape[0]):
        row, own, more = x[i], grad[i], beside[i]
        inverse = _inverse(row, epsilon, squares)
        for j in range(width):
            units[j] = _wide(row[j]) * inverse
            scaled[j] = _wide(own[j]) * weight[j]
            squares[j] = units[j] * scaled[j]
        along = _sum(squares) / np.float32(width)
        for j in range(width):
            own[j] = _narrow(own[j], (scaled[j] - units[j] * along) * inverse + _wide(more[j]))


@numba.njit(cache=True, error_model="numpy")
def gated(both: Any, out: Any) -> None:
    """silu(G) ∘ U of `both` [R, 2 I], the row of a G before that of its U, to `out` [R, I]."""
    width = out.shape[1]
    for i in range(out.shape[0]):
        gates, ups, to = both[i, :width], both[i, width:], out[i]
        for j in range(width):
            gate = _wide(gates[j])
            to[j] = _narrow(to[j], gate / (_ONE + _exp(-gate)) * _wide(ups[j]))


@numba.njit(cache=True, error_model="numpy")
def gated_backward(grad: Any, both: Any, out: Any) -> None:
    """The gradient of `both` to `out`, by that of `gated`'s output."""
    width = grad.shape[1]
    for i in range(grad.shape[0]):
        gates, ups, to_gates, to_ups, own = both[i, :width], both[i, width:], out[i, :width], out[i, width:], grad[i]
        for j in range(width):
            gate, down = _wide(gates[j]), _wide(own[j])
            share = _ONE / (_ONE + _exp(-gate))
            to_ups[j] = _narrow(to_ups[j], down * gate * share)
            slope = share * (_ONE + gate * (_ONE - share))
            to_gates[j] = _narrow(to_gates[j], down * _wide(ups[j]) * slope)


@numba.njit(cache=True, error_model="numpy")
def rotate(y: Any, cos: Any, sin: Any, n_rotated: int, out: Any) -> None:
    """Heads of tokens y [N, T, n, D] to `out` [N, n, T, D], the first of them rotated by position (arXiv 2104.09864).

    Args:
        y: see above.
        cos: [N or 1, T, D].
        sin: likewise.
        n_rotated: heads that are.
        out: see above.
    """
    half = y.shape[3] // 2
    for n in range(y.shape[0]):
        own = n if cos.shape[0] > 1 else 0
        for t in range(y.shape[1]):
            c, s = cos[own, t], sin[own, t]
            for h in range(y.shape[2]):
                row, to = y[n, t, h], out[n, h, t]
                if h >= n_rotated:
                    for j in range(2 * half):
                        to[j] = row[j]
                    continue
                for j in range(half):
                    first, second = _wide(row[j]), _wide(row[half + j])
                    to[j] = _narrow(to[j], first * _wide(c[j]) - second * _wide(s[j]))
                    to[half + j] = _narrow(to[j], second * _wide(c[half + j]) + first * _wide(s[half + j]))


@numba.njit(cache=True, error_model="numpy")
def rotate_backward(grad: Any, cos: Any, sin: Any, n_rotated: int, out: Any) -> None:
    """The gradient of `rotate`'s y to `out` [N, T, n, D], by that of its heads, [N, n, T, D]."""
    half = grad.shape[3] // 2
    for n in range(grad.shape[0]):
        own = n if cos.shape[0] > 1 else 0
        for t in range(grad.shape[2]):
            c, s = cos[own, t], sin[own, t]
            for h in range(grad.shape[1]):
                row, to = grad[n, h, t], out[n, t, h]
                if h >= n_rotated:
                    for j in range(2 * half):
                        to[j] = row[j]
                    continue
                for j in range(half):
                    first, second = _wide(row[j]), _wide(row[half + j])
                    to[j] = _narrow(to[j], first * _wide(c[j]) + second * _wide(s[half + j]))
                    to[half + j] = _narrow(to[j], second * _wide(c[half + j]) - first * _wide(s[j]))


@numba.njit(error_model="numpy")
def _widened(rows: Any, out: Any) -> None:
    for i in range(rows.shape[0]):
        row, to = rows[i], out[i]
        for j in range(rows.shape[1]):
            to[j] = _wide(row[j])


@numba.njit(cache=True, error_model="numpy")
def attend(queries: Any, keys: Any, values: Any, starts: Any, seen: Any, scale: Any, p: Any, out: Any) -> None:
    """Attention of tokens, each with what it sees alone.

    Args:
        queries: [N, q, T, D], D a multiple of `LANES`.
        keys: [N, kv, S, D]; q / kv queries share one.
        values: [N, kv, S, D].
        starts: int64[N T + 1], where the keys that a token sees begin in `seen`, and at last their number n.
        seen: int64[n], their places in the token's own row.
        scale: of the scores.
        p: float32[q, n], to which the shares of what is seen go.
        out: [N T, q D], to which the mean values seen go.
    """
    n_tokens, d = queries.shape[2:]
    n_kv, n_keys = keys.shape[1:3]
    shared = queries.shape[1] // n_kv
    k, v = np.empty((n_keys, d), np.float32), np.empty((n_keys, d), np.float32)
    q, mean, work = np.empty((1, d), np.float32), np.empty((1, d), np.float32), np.empty(n_keys, np.float32)
    for n in range(queries.shape[0]):
        for g in range(n_kv):
            _widened(keys[n, g], k)
            _widened(values[n, g], v)
            for h in range(g * shared, (g + 1) * shared):
                for t in range(n_tokens):
                    first, last = starts[n * n_tokens + t], starts[n * n_tokens + t + 1]
                    shares = p[h, first:last]
                    _widened(queries[n, h, t : t + 1], q)
                    highest = np.float32(-np.inf)
                    for i in range(last - first):
                        score = _dot(q, 0, k, seen[first + i]) * scale
                        shares[i] = score
                        highest = score if score > highest else highest
                    for i in range(last - first):
                        shares[i] = work[i] = _exp(shares[i] - highest)
                    whole = _ONE / _sum(work[: last - first])
                    mean[0, :] = 0
                    for i in range(last - first):
                        shares[i] *= whole
                        _add(mean, 0, shares[i], v, seen[first + i])
                    to = out[n * n_tokens + t, h * d : (h + 1) * d]
                    for j in range(d):
                        to[j] = _narrow(to[j], mean[0, j])


@numba.njit(cache=True, error_model="numpy")
def attend_backward(grad: Any, heads: Any, starts: Any, seen: Any, scale: Any, p: Any, out: Any) -> None:
    """The gradient of `attend`'s queries, keys and values to `out`, by that of its output, [N T, q D].

    Args:
        grad: see above.
        heads: [N, q + 2 kv, T, D], the queries, the keys and the values.
        starts: as `attend` had it.
        seen: likewise.
        scale: likewise.
        p: as `attend` left it.
        out: as `heads`.
    """
    n_heads, n_tokens, d = heads.shape[1:]
    n_queries = p.shape[0]
    n_kv = (n_heads - n_queries) // 2
    shared = n_queries // n_kv
    k, v = np.empty((n_tokens, d), np.float32), np.empty((n_tokens, d), np.float32)
    of_k, of_v = np.empty((n_tokens, d), np.float32), np.empty((n_tokens, d), np.float32)
    q, of_q, down = np.empty((1, d), np.float32), np.empty((1, d), np.float32), np.empty((1, d), np.float32)
    slopes, work = np.empty(n_tokens, np.float32), np.empty(n_tokens, np.float32)
    for n in range(heads.shape[0]):
        for g in range(n_kv):
            _widened(heads[n, n_queries + g], k)
            _widened(heads[n, n_queries + n_kv + g], v)
            of_k[:] = 0
            of_v[:] = 0
            for h in range(g * shared, (g + 1) * shared):
                for t in range(n_tokens):
                    place = n * n_tokens + t
                    first, last = starts[place], starts[place + 1]
                    shares = p[h, first:last]
                    _widened(heads[n, h, t : t + 1], q)
                    _widened(grad[place : place + 1, h * d : (h + 1) * d], down)
                    for i in range(last - first):
                        key = seen[first + i]
                        slopes[i] = _dot(down, 0, v, key)
                        work[i] = slopes[i] * shares[i]
                        _add(of_v, key, shares[i], down, 0)
                    mean = _sum(work[: last - first])
                    of_q[0, :] = 0
                    for i in range(last - first):
                        key = seen[first + i]
                        slope = shares[i] * (slopes[i] - mean) * scale
                        _add(of_q, 0, slope, k, key)
                        _add(of_k, key, slope, q, 0)
                    to = out[n, h, t]
                    for j in range(d):
                        to[j] = _narrow(to[j], of_q[0, j])
            for t in range(n_tokens):
                to_k, to_v = out[n, n_queries + g, t], out[n, n_queries + n_kv + g, t]
                for j in range(d):
                    to_k[j] = _narrow(to_k[j], of_k[t, j])
                    to_v[j] = _narrow(to_v[j], of_v[t, j])


@numba.njit(cache=True, error_model="numpy")
def softmax(x: Any, sums: Any) -> None:
    """The softmax of the rows of x [R, V] in their place; the logarithm of what it was divided by to `sums`, float32[R]."""
    shares, work = np.empty(x.shape[1], np.float32), np.empty(x.shape[1], np.float32)
    for i in range(x.shape[0]):
        row = x[i]
        n = row.shape[0]
        for j in range(n):
            shares[j] = work[j] = _wide(row[j])
        while n > 1:
            half = n // 2
            for j in range(half):
                other = work[n - half + j]
                work[j] = other if other > work[j] else work[j]
            n -= half
        highest = work[0]
        for j in range(row.shape[0]):
            shares[j] = work[j] = _exp(shares[j] - highest)
        whole = _sum(work)
        for j in range(row.shape[0]):
            row[j] = _narrow(row[j], shares[j] / whole)
        sums[i] = highest + np.log(whole)


@numba.njit(cache=True, error_model="numpy")
def scale_rows(x: Any, factors: Any) -> None:
    """The rows of x [R, V] times `factors`, float32[R], in their place."""
    for i in range(x.shape[0]):
        row, factor = x[i], factors[i]
        for j in range(x.shape[1]):
            row[j] = _narrow(row[j], _wide(row[j]) * factor)
