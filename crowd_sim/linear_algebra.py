"""Products and solutions whose bits depend on no BLAS: the same on every kind of processor and for any number of threads.

BLAS chooses its kernels, and with them the order of the sums, by the processor it finds. Here every sum has one order, and no
product is fused with it. The loops run along rows, where several numbers are worked on at once and no sum is reordered.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

_ROWS, _COLUMNS, _TERMS = 64, 256, 8  # of a block: what is read again and again stays in the cache
_MOST_SWEEPS = 60  # of Jacobi's rotations; ten suffice
_EPSILON = 2.0**-52
_MOST_STEPS, _NEARLY = 4, 1e-3  # to orthonormal rows, and how near they have to be before the last
_DEPENDENT = 1e-13  # what others leave of a column, relative
_Matrix = NDArray[np.float64]
_Range = tuple[int, int]


@numba.njit(cache=True)
def _add(
    out: _Matrix,
    sign: float,
    left: _Matrix,
    right: _Matrix,
    rows: _Range,
    columns: _Range,
    terms: _Range,
    upper: bool,
) -> None:
    """Add ``sign`` Σ_k left[k, i] right[k, j] to out[i, j], in the order of k.

    ``upper``: where j ≥ i; of fewer than eight entries of a row before that, too, something is left that means nothing.
    """
    height = _TERMS if upper else _ROWS
    for far in range(columns[1], columns[0], -_COLUMNS):
        for top in range(rows[0], min(rows[1], far) if upper else rows[1], height):
            bottom = min(top + height, rows[1])
            near = max(far - _COLUMNS, columns[0], top if upper else 0)
            k = terms[0]
            while k + _TERMS <= terms[1]:
                one, two, three, four = (
                    right[k, near:far],
                    right[k + 1, near:far],
                    right[k + 2, near:far],
                    right[k + 3, near:far],
                )
                five, six, seven, eight = (
                    right[k + 4, near:far],
                    right[k + 5, near:far],
                    right[k + 6, near:far],
                    right[k + 7, near:far],
                )
                for i in range(top, bottom):
                    a, b, c, d = sign * left[k, i], sign * left[k + 1, i], sign * left[k + 2, i], sign * left[k + 3, i]
                    e, f, g, h = (
                        sign * left[k + 4, i],
                        sign * left[k + 5, i],
                        sign * left[k + 6, i],
                        sign * left[k + 7, i],
                    )
                    row = out[i, near:far]
                    for j in range(len(row)):
                        half = (((row[j] + a * one[j]) + b * two[j]) + c * three[j]) + d * four[j]
                        row[j] = (((half + e * five[j]) + f * six[j]) + g * seven[j]) + h * eight[j]
                k += _TERMS
            while k < terms[1]:
                one = right[k, near:far]
                for i in range(top, bottom):
                    a = sign * left[k, i]
                    row = out[i, near:far]
                    for j in range(len(row)):
                        row[j] += a * one[j]
                k += 1


@numba.njit(cache=True)
def product(left: _Matrix, right: _Matrix) -> _Matrix:
    """``left`` [m, p] times ``right`` [p, n]: every entry is summed in the order of p."""
    m, p = left.shape
    n = right.shape[1]
    out = np.zeros((m, n))
    for first in range(0, p, _ROWS):
        _add(out, 1.0, left.T, right, (0, m), (0, n), (first, min(first + _ROWS, p)), False)
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
    for first in range(0, m, _ROWS):
        _add(out, 1.0, matrix, matrix, (0, n), (0, n), (first, min(first + _ROWS, m)), True)
    _mirror(out)
    return out


@numba.njit(cache=True)
def less_gram(matrix: _Matrix, rows: _Matrix) -> _Matrix:
    """A symmetric ``matrix`` [n, n] less ``rows``ᵀ ``rows`` of [k, n]."""
    k, n = rows.shape
    out = matrix.copy()
    for first in range(0, k, _ROWS):
        _add(out, -1.0, rows, rows, (0, n), (0, n), (first, min(first + _ROWS, k)), True)
    _mirror(out)
    return out


@numba.njit(cache=True)
def _mirror(upper: _Matrix) -> None:
    for i in range(len(upper)):
        for j in range(i):
            upper[i, j] = upper[j, i]


@numba.njit(cache=True)
def cholesky(matrix: _Matrix) -> tuple[_Matrix, bool]:
    """The upper R with Rᵀ R = ``matrix`` [n, n], positive definite; False where a pivot is not above 0."""
    n = len(matrix)
    upper = matrix.copy()
    for top in range(0, n, _ROWS):
        bottom = min(top + _ROWS, n)
        for first in range(top, bottom, _TERMS):
            last = min(first + _TERMS, bottom)
            for k in range(first, last):
                pivot = upper[k, k]
                if not pivot > 0.0:
                    return upper, False
                upper[k, k:] /= np.sqrt(pivot)
                _add(upper, -1.0, upper, upper, (k + 1, last), (k + 1, n), (k, k + 1), True)
            _add(upper, -1.0, upper, upper, (last, bottom), (last, n), (first, last), True)
        _add(upper, -1.0, upper, upper, (bottom, n), (bottom, n), (top, bottom), True)
    for k in range(n):
        upper[k, :k] = 0.0
    return upper, True


def forward(upper: _Matrix, right: _Matrix, widths: NDArray[np.int64] | None = None) -> _Matrix:
    """R⁻ᵀ times ``right`` [n, c], for `cholesky`'s R.

    Args:
        upper: R.
        right: not changed.
        widths: int64[n], ascending: from which column on row i, and all rows before it, have zeros alone.
    """
    out = right.copy()
    _forward(upper, out, np.full(len(out), out.shape[1]) if widths is None else widths)
    return out


@numba.njit(cache=True)
def _forward(upper: _Matrix, out: _Matrix, widths: NDArray[np.int64]) -> None:
    n = len(out)
    for top in range(0, n, _ROWS):
        bottom = min(top + _ROWS, n)
        for first in range(top, bottom, _TERMS):
            last = min(first + _TERMS, bottom)
            width = widths[last - 1]
            for k in range(first, last):
                out[k, :width] /= upper[k, k]
                _add(out, -1.0, upper, out, (k + 1, last), (0, width), (k, k + 1), False)
            _add(out, -1.0, upper, out, (last, bottom), (0, width), (first, last), False)
        _add(out, -1.0, upper, out, (bottom, n), (0, widths[bottom - 1]), (top, bottom), False)


@numba.njit(cache=True)
def back(upper: _Matrix, right: NDArray[np.float64]) -> NDArray[np.float64]:
    """R⁻¹ times ``right`` [n], for `cholesky`'s R."""
    x = right.copy()
    for k in range(len(right) - 1, -1, -1):
        total = x[k]
        row = upper[k]
        for j in range(k + 1, len(right)):
            total -= row[j] * x[j]
        x[k] = total / row[k]
    return x


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
    return back(upper, x)


@numba.njit(cache=True)
def inverse_of(upper: _Matrix) -> _Matrix:
    """(Rᵀ R)⁻¹ [n, n] for `cholesky`'s R, symmetric to the bit."""
    lower = lower_inverse(upper)
    n = len(lower)
    out = np.zeros((n, n))
    for first in range(0, n, _ROWS):  # a row has zeros beyond its diagonal
        last = min(first + _ROWS, n)
        _add(out, 1.0, lower, lower, (0, last), (0, last), (first, last), True)
    _mirror(out)
    return out


@numba.njit(cache=True)
def lower_inverse(upper: _Matrix) -> _Matrix:
    """R⁻ᵀ [n, n], lower triangular, for `cholesky`'s R."""
    lower = np.eye(len(upper))
    _forward(upper, lower, np.arange(1, len(upper) + 1))
    return lower


def orthonormal(columns: _Matrix) -> tuple[_Matrix, _Matrix] | None:
    """Q [p, m], a row each, and the upper R [p, p] with ``columns`` [m, p] = Qᵀ R; ``None`` where they depend on each other.

    Cholesky's QR until its rows are, shifted where it has to be (Fukaya, Kannan, Nakatsukasa, Yamamoto and Yanagisawa,
    "Shifted Cholesky QR for computing the QR factorization of ill-conditioned matrices", SIAM J. Sci. Comput. 42, 2020).
    """
    m, p = columns.shape
    lengths = np.sqrt((columns * columns).sum(axis=0))
    if not lengths.all():
        return None
    rows, triangle = np.ascontiguousarray((columns / lengths).T), np.diag(lengths)
    identity = np.eye(p)
    for step in range(_MOST_STEPS):
        inner = gram(np.ascontiguousarray(rows.T))
        upper, regular = cholesky(inner)
        if step == 0 and not regular:
            upper, regular = cholesky(inner + 11.0 * p * (m + p) * _EPSILON * identity)
        if not regular:
            return None
        rows, triangle = forward(upper, rows), _product_of_uppers(upper, triangle)
        if np.abs(inner - identity).max(initial=0.0) < _NEARLY:
            break
    return (rows, triangle) if (triangle.diagonal() > _DEPENDENT * lengths).all() else None


@numba.njit(cache=True)
def _product_of_uppers(left: _Matrix, right: _Matrix) -> _Matrix:
    n = len(left)
    out = np.zeros((n, n))
    for top in range(0, n, _ROWS):
        for first in range(top, n, _ROWS):
            last = min(first + _ROWS, n)
            _add(out, 1.0, left.T, right, (top, min(top + _ROWS, n)), (first, n), (first, last), False)
    return out


def pseudo_inverse(matrix: _Matrix) -> _Matrix:
    """The Moore–Penrose inverse [n, n] of a symmetric matrix; eigenvalues below n ε times the largest count as 0."""
    values, vectors = eigenvectors(matrix)
    size = np.abs(values)
    kept = size > len(matrix) * _EPSILON * size.max(initial=0.0)
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
