"""Products and solutions whose bits depend on no BLAS: the same on every kind of processor and for any number of threads.

BLAS chooses its kernels, and with them the order of the sums, by the processor it finds. Here every sum has one order, and no
product is fused with it. The loops run along rows, where several numbers are worked on at once and no sum is reordered.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

_BLOCK = 64
_NARROW = 128  # of fewer columns eight rows at a time stay in the cache
_MOST_SWEEPS = 60  # of Jacobi's rotations; ten suffice
_Matrix = NDArray[np.float64]


@numba.njit(cache=True)
def product(left: _Matrix, right: _Matrix) -> _Matrix:
    """``left`` [m, p] times ``right`` [p, n]: every entry is summed in the order of p."""
    m, p = left.shape
    n = right.shape[1]
    out = np.zeros((m, n))
    for start in range(0, p, _BLOCK):  # a block of ``right`` stays in the cache for all rows
        stop = min(start + _BLOCK, p)
        for i in range(m):
            row = out[i]
            k = start
            while k + 3 < stop:
                a, b, c, d = left[i, k], left[i, k + 1], left[i, k + 2], left[i, k + 3]
                one, two, three, four = right[k], right[k + 1], right[k + 2], right[k + 3]
                for j in range(n):
                    row[j] = (((row[j] + a * one[j]) + b * two[j]) + c * three[j]) + d * four[j]
                k += 4
            while k < stop:
                a = left[i, k]
                one = right[k]
                for j in range(n):
                    row[j] += a * one[j]
                k += 1
    return out


@numba.njit(cache=True)
def times(matrix: _Matrix, vector: NDArray[np.float64]) -> NDArray[np.float64]:
    """``matrix`` [m, n] times ``vector`` [n]; eight partial sums a row."""
    m, n = matrix.shape
    out = np.empty(m)
    parts = np.empty(8)
    for i in range(m):
        parts[:] = 0.0
        row = matrix[i]
        whole = n - n % 8
        for j in range(0, whole, 8):
            for k in range(8):
                parts[k] += row[j + k] * vector[j + k]
        total = 0.0
        for j in range(whole, n):
            total += row[j] * vector[j]
        for k in range(8):
            total += parts[k]
        out[i] = total
    return out


@numba.njit(cache=True)
def transposed_times(matrix: _Matrix, vector: NDArray[np.float64]) -> NDArray[np.float64]:
    """``matrix``ᵀ [n, m] times ``vector`` [m], summed in the order of the rows."""
    out = np.zeros(matrix.shape[1])
    for i in range(matrix.shape[0]):
        factor = vector[i]
        row = matrix[i]
        for j in range(len(out)):
            out[j] += factor * row[j]
    return out


@numba.njit(cache=True)
def gram(matrix: _Matrix) -> _Matrix:
    """``matrix``ᵀ ``matrix`` [n, n] of [m, n], summed in the order of the rows."""
    m, n = matrix.shape
    out = np.zeros((n, n))
    for top in range(0, n, _BLOCK):
        bottom = min(top + _BLOCK, n)
        r = 0
        while n <= _NARROW and r + 7 < m:
            one, two, three, four = matrix[r], matrix[r + 1], matrix[r + 2], matrix[r + 3]
            five, six, seven, eight = matrix[r + 4], matrix[r + 5], matrix[r + 6], matrix[r + 7]
            for i in range(top, bottom):
                a, b, c, d = one[i], two[i], three[i], four[i]
                e, f, g, h = five[i], six[i], seven[i], eight[i]
                row = out[i]
                for j in range(i, n):
                    half = (((row[j] + a * one[j]) + b * two[j]) + c * three[j]) + d * four[j]
                    row[j] = (((half + e * five[j]) + f * six[j]) + g * seven[j]) + h * eight[j]
            r += 8
        while r + 3 < m:
            one, two, three, four = matrix[r], matrix[r + 1], matrix[r + 2], matrix[r + 3]
            for i in range(top, bottom):
                a, b, c, d = one[i], two[i], three[i], four[i]
                row = out[i]
                for j in range(i, n):
                    row[j] = (((row[j] + a * one[j]) + b * two[j]) + c * three[j]) + d * four[j]
            r += 4
        while r < m:
            one = matrix[r]
            for i in range(top, bottom):
                a = one[i]
                row = out[i]
                for j in range(i, n):
                    row[j] += a * one[j]
            r += 1
    for i in range(n):
        for j in range(i):
            out[i, j] = out[j, i]
    return out


@numba.njit(cache=True)
def cholesky(matrix: _Matrix) -> tuple[_Matrix, bool]:
    """The upper R with Rᵀ R = ``matrix`` [n, n], positive definite; False where a pivot is not above 0."""
    n = len(matrix)
    upper = matrix.copy()
    for k in range(n):
        for j in range(k):
            upper[k, j] = 0.0
    for top in range(0, n, _BLOCK):
        bottom = min(top + _BLOCK, n)
        for k in range(top, bottom):  # the block's rows
            pivot = upper[k, k]
            if not pivot > 0.0:
                return upper, False
            root = np.sqrt(pivot)
            row = upper[k]
            for j in range(k, n):
                row[j] /= root
            for i in range(k + 1, bottom):
                factor = row[i]
                other = upper[i]
                for j in range(i, n):
                    other[j] -= factor * row[j]
        _eliminate(upper, top, bottom)
    return upper, True


@numba.njit(cache=True)
def _eliminate(upper: _Matrix, top: int, bottom: int) -> None:
    """Take the finished rows from ``top`` to ``bottom`` out of all rows behind them."""
    n = len(upper)
    for i in range(bottom, n):
        other = upper[i]
        k = top
        while k + 3 < bottom:
            one, two, three, four = upper[k], upper[k + 1], upper[k + 2], upper[k + 3]
            a, b, c, d = one[i], two[i], three[i], four[i]
            for j in range(i, n):
                other[j] = (((other[j] - a * one[j]) - b * two[j]) - c * three[j]) - d * four[j]
            k += 4
        while k < bottom:
            one = upper[k]
            a = one[i]
            for j in range(i, n):
                other[j] -= a * one[j]
            k += 1


@numba.njit(cache=True)
def solved(upper: _Matrix, right: NDArray[np.float64]) -> NDArray[np.float64]:
    """X [n] with Rᵀ R x = ``right`` [n], for `cholesky`'s R."""
    n = len(right)
    x = right.copy()
    for k in range(n):
        x[k] /= upper[k, k]
        factor = x[k]
        row = upper[k]
        for j in range(k + 1, n):
            x[j] -= factor * row[j]
    for k in range(n - 1, -1, -1):
        total = x[k]
        row = upper[k]
        for j in range(k + 1, n):
            total -= row[j] * x[j]
        x[k] = total / row[k]
    return x


@numba.njit(cache=True)
def inverse_of(upper: _Matrix) -> _Matrix:
    """(Rᵀ R)⁻¹ [n, n] for `cholesky`'s R, symmetric to the bit."""
    return gram(lower_inverse(upper))


@numba.njit(cache=True)
def lower_inverse(upper: _Matrix) -> _Matrix:
    """R⁻ᵀ [n, n], lower triangular, for `cholesky`'s R."""
    n = len(upper)
    lower = np.zeros((n, n))
    for i in range(n):  # each row is made of those before it
        row = lower[i]
        k = 0
        while k + 3 < i:
            one, two, three, four = lower[k], lower[k + 1], lower[k + 2], lower[k + 3]
            a, b, c, d = upper[k, i], upper[k + 1, i], upper[k + 2, i], upper[k + 3, i]
            for j in range(k + 4):  # beyond their diagonals there are zeros
                row[j] = (((row[j] - a * one[j]) - b * two[j]) - c * three[j]) - d * four[j]
            k += 4
        while k < i:
            one, a = lower[k], upper[k, i]
            for j in range(k + 1):
                row[j] -= a * one[j]
            k += 1
        pivot = upper[i, i]
        row[i] = 1.0
        for j in range(i + 1):
            row[j] /= pivot
    return lower


def pseudo_inverse(matrix: _Matrix) -> _Matrix:
    """The Moore–Penrose inverse [n, n] of a symmetric matrix; eigenvalues below n ε times the largest count as 0."""
    values, vectors = eigenvectors(matrix)
    size = np.abs(values)
    kept = size > len(matrix) * np.finfo(np.float64).eps * size.max(initial=0.0)
    scaled = vectors[:, kept]
    return product(np.ascontiguousarray(scaled / values[kept]), np.ascontiguousarray(scaled.T))


@numba.njit(cache=True)
def eigenvectors(matrix: _Matrix) -> tuple[NDArray[np.float64], _Matrix]:
    """Eigenvalues [n], in no order, and eigenvectors [n, n], a column each, of a symmetric matrix (Jacobi, by rows)."""
    n = len(matrix)
    rest, turned = matrix.copy(), np.eye(n)  # the rows of ``turned`` become the eigenvectors
    for _ in range(_MOST_SWEEPS):
        off = diagonal = 0.0
        for i in range(n):
            diagonal += rest[i, i] * rest[i, i]
            for j in range(i):
                off += rest[i, j] * rest[i, j]
        if off <= 1e-32 * diagonal:
            break
        for p in range(n - 1):
            for q in range(p + 1, n):
                if rest[p, q] == 0.0:
                    continue
                tilt = (rest[q, q] - rest[p, p]) / (2.0 * rest[p, q])
                t = (1.0 if tilt >= 0.0 else -1.0) / (abs(tilt) + np.sqrt(1.0 + tilt * tilt))
                cosine = 1.0 / np.sqrt(1.0 + t * t)
                sine = t * cosine
                _turn(rest[p], rest[q], cosine, sine)
                for i in range(n):
                    a, b = rest[i, p], rest[i, q]
                    rest[i, p], rest[i, q] = cosine * a - sine * b, sine * a + cosine * b
                _turn(turned[p], turned[q], cosine, sine)
    return np.diag(rest).copy(), np.ascontiguousarray(turned.T)


@numba.njit(cache=True)
def _turn(one: NDArray[np.float64], two: NDArray[np.float64], cosine: float, sine: float) -> None:
    for i in range(len(one)):
        a, b = one[i], two[i]
        one[i], two[i] = cosine * a - sine * b, sine * a + cosine * b
