"""Products and solutions whose bits depend on no BLAS: the same on every kind of processor and for any number of threads.

BLAS chooses its kernels, and with them the order of the sums, by the processor it finds. Here every sum has one order, and no
product is fused with it. The loops run along rows, where several numbers are worked on at once and no sum is reordered.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

from crowd_sim.tile import COLUMNS, ROWS, add_tile

# terms, rows and columns of a block: what is read again and again stays in the cache
_DEPTH, _HEIGHT, _WIDTH = 128, 256, 256
_BLOCK, _PART, _STEP = 128, 32, 8  # rows that are solved for
_ZEROS = 64  # rows between which the part of zeros is looked up
_MOST_SWEEPS = 60  # of Jacobi's rotations; ten suffice
_EPSILON = 2.0**-52
_MOST_STEPS, _NEARLY = 4, 1e-3  # to orthonormal rows, and how near they have to be before the last
_DEPENDENT = 1e-13  # what others leave of a column, relative
_Matrix = NDArray[np.float64]
_Row = NDArray[np.float64]
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

    ``upper``: where j ≥ i; of a few entries of a row before that, too, something is left that means nothing.
    """
    most = min(_DEPTH, terms[1] - terms[0])
    if most <= 0:
        return
    factors, strip = np.empty(_HEIGHT * most), np.empty(COLUMNS * most)
    for top in range(rows[0], rows[1], _HEIGHT):
        bottom = min(top + _HEIGHT, rows[1])
        for begin in range(max(columns[0], top) if upper else columns[0], columns[1], _WIDTH):
            end = min(begin + _WIDTH, columns[1])
            last = min(bottom, end) if upper else bottom
            for low in range(terms[0], terms[1], _DEPTH):
                high = min(low + _DEPTH, terms[1])
                _pack_rows(factors, sign, left, (low, high), (top, last))
                for near in range(begin, end, COLUMNS):
                    far = min(near + COLUMNS, end)
                    _pack_columns(strip, right, (low, high), (near, far))
                    _add_strip(out, factors, strip, (top, min(last, far) if upper else last), (near, far), high - low)


@numba.njit(cache=True)
def _add_strip(out: _Matrix, factors: _Row, strip: _Row, rows: _Range, columns: _Range, terms: int) -> None:
    """Add to ``rows`` of at most sixteen ``columns`` what the packed ``factors`` and ``strip`` make of them."""
    edge = np.empty(ROWS * COLUMNS)
    for first in range(rows[0], rows[1], ROWS):
        last, packed = min(first + ROWS, rows[1]), (first - rows[0]) * terms
        if last - first == ROWS and columns[1] - columns[0] == COLUMNS:
            add_tile(out, first * out.shape[1] + columns[0], out.shape[1], factors, packed, strip, terms)
            continue
        for i in range(first, last):
            for j in range(columns[0], columns[1]):
                edge[(i - first) * COLUMNS + j - columns[0]] = out[i, j]
        add_tile(edge, 0, COLUMNS, factors, packed, strip, terms)
        for i in range(first, last):
            for j in range(columns[0], columns[1]):
                out[i, j] = edge[(i - first) * COLUMNS + j - columns[0]]


@numba.njit(cache=True)
def _pack_rows(factors: _Row, sign: float, left: _Matrix, terms: _Range, rows: _Range) -> None:
    """Set ``factors`` to ``sign`` times what tiles take of ``left``: four rows after the other, the last filled up with 0."""
    place = 0
    for first in range(rows[0], rows[1], ROWS):
        last = min(first + ROWS, rows[1])
        for k in range(terms[0], terms[1]):
            if last - first == ROWS:
                for i in range(ROWS):
                    factors[place + i] = sign * left[k, first + i]
                place += ROWS
                continue
            for i in range(first, last):
                factors[place + i - first] = sign * left[k, i]
            for i in range(last, first + ROWS):
                factors[place + i - first] = 0.0
            place += ROWS


@numba.njit(cache=True)
def _pack_columns(strip: _Row, right: _Matrix, terms: _Range, columns: _Range) -> None:
    """Set ``strip`` to what tiles take of ``right``, at most sixteen columns, filled up with 0."""
    width = columns[1] - columns[0]
    place = 0
    for k in range(terms[0], terms[1]):
        for j in range(width):
            strip[place + j] = right[k, columns[0] + j]
        for j in range(width, COLUMNS):
            strip[place + j] = 0.0
        place += COLUMNS


@numba.njit(cache=True)
def _divide(row: _Row, number: float) -> None:
    for j in range(len(row)):
        row[j] /= number


@numba.njit(cache=True)
def _subtract(row: _Row, factor: float, other: _Row) -> None:
    for j in range(len(other)):
        row[j] -= factor * other[j]


@numba.njit(cache=True)
def product(left: _Matrix, right: _Matrix) -> _Matrix:
    """``left`` [m, p] times ``right`` [p, n]: every entry is summed in the order of p."""
    m, p = left.shape
    n = right.shape[1]
    out = np.zeros((m, n))
    _add(out, 1.0, left.T, right, (0, m), (0, n), (0, p), False)
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
def symmetric_times(upper: _Matrix, vector: NDArray[np.float64]) -> NDArray[np.float64]:
    """A symmetric matrix [m, m], given by its ``upper`` triangle, times ``vector`` [m]."""
    m = len(upper)
    out, parts = np.zeros(m), np.empty(8)
    for i in range(m):
        parts[:] = 0.0
        row, factor = upper[i, i + 1 :], vector[i]
        more, after = vector[i + 1 :], out[i + 1 :]
        whole = len(row) - len(row) % 8
        for j in range(0, whole, 8):
            for k in range(8):
                parts[k] += row[j + k] * more[j + k]
                after[j + k] += row[j + k] * factor
        total = upper[i, i] * factor
        for j in range(whole, len(row)):
            total += row[j] * more[j]
            after[j] += row[j] * factor
        for k in range(8):
            total += parts[k]
        out[i] += total
    return out


@numba.njit(cache=True)
def gram(matrix: _Matrix) -> _Matrix:
    """``matrix``ᵀ ``matrix`` [n, n] of [m, n], summed in the order of the rows."""
    m, n = matrix.shape
    out = np.zeros((n, n))
    _add(out, 1.0, matrix, matrix, (0, n), (0, n), (0, m), True)
    mirror(out)
    return out


@numba.njit(cache=True)
def add_upper(out: _Matrix, left: _Matrix, right: _Matrix) -> None:
    """Add ``left``ᵀ ``right`` of [k, n] each, which is symmetric, to the upper triangle of ``out`` [n, n]."""
    _add(out, 1.0, left, right, (0, len(out)), (0, len(out)), (0, len(left)), True)


@numba.njit(cache=True)
def subtract_upper(out: _Matrix, left: _Matrix, right: _Matrix) -> None:
    """Subtract ``left``ᵀ ``right`` of [k, n] each, which is symmetric, from the upper triangle of ``out`` [n, n]."""
    _add(out, -1.0, left, right, (0, len(out)), (0, len(out)), (0, len(left)), True)


@numba.njit(cache=True)
def less_gram(matrix: _Matrix, rows: _Matrix) -> _Matrix:
    """A symmetric ``matrix`` [n, n] less ``rows``ᵀ ``rows`` of [k, n]."""
    k, n = rows.shape
    out = matrix.copy()
    _add(out, -1.0, rows, rows, (0, n), (0, n), (0, k), True)
    mirror(out)
    return out


@numba.njit(cache=True)
def mirror(upper: _Matrix) -> None:
    """Set what is below the diagonal of ``upper`` [n, n] to what is above."""
    n = len(upper)
    for top in range(0, n, _PART):
        for first in range(0, top + 1, _PART):
            for i in range(top, min(top + _PART, n)):
                for j in range(first, min(first + _PART, i)):
                    upper[i, j] = upper[j, i]


@numba.njit(cache=True)
def cholesky(matrix: _Matrix) -> tuple[_Matrix, bool]:
    """The upper R with Rᵀ R = ``matrix`` [n, n], positive definite; False where a pivot is not above 0."""
    upper = np.empty(matrix.shape)
    upper[:] = matrix
    return upper, factorise(upper)


@numba.njit(cache=True)
def factorise(upper: _Matrix) -> bool:
    """`cholesky`, in the place of a matrix of which the upper triangle alone is read."""
    n = len(upper)
    for top in range(0, n, _BLOCK):
        bottom = min(top + _BLOCK, n)
        _add(upper, -1.0, upper, upper, (top, bottom), (top, n), (0, top), True)
        for middle in range(top, bottom, _PART):
            end = min(middle + _PART, bottom)
            _add(upper, -1.0, upper, upper, (middle, end), (middle, n), (top, middle), True)
            for first in range(middle, end, _STEP):
                last = min(first + _STEP, end)
                _add(upper, -1.0, upper, upper, (first, last), (first, n), (middle, first), True)
                for k in range(first, last):
                    pivot = upper[k, k]
                    if not pivot > 0.0:
                        return False
                    _divide(upper[k, k:], np.sqrt(pivot))
                    for i in range(k + 1, last):
                        _subtract(upper[i, i:], upper[k, i], upper[k, i:])
    for k in range(n):
        upper[k, :k] = 0.0
    return True


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
    for top in range(0, n, _BLOCK):
        bottom = min(top + _BLOCK, n)
        for first in range(0, top, _ZEROS):
            last = first + _ZEROS
            _add(out, -1.0, upper, out, (top, bottom), (0, widths[last - 1]), (first, last), False)
        for middle in range(top, bottom, _PART):
            end = min(middle + _PART, bottom)
            _add(out, -1.0, upper, out, (middle, end), (0, widths[max(middle - 1, 0)]), (top, middle), False)
            for first in range(middle, end, _STEP):
                last = min(first + _STEP, end)
                _add(out, -1.0, upper, out, (first, last), (0, widths[max(first - 1, 0)]), (middle, first), False)
                for k in range(first, last):
                    of_row = out[k, : widths[k]]
                    _divide(of_row, upper[k, k])
                    for i in range(k + 1, last):
                        _subtract(out[i], upper[k, i], of_row)


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
    out = np.empty(upper.shape)
    gram_of_lower(lower_inverse(upper), out)
    mirror(out)
    return out


@numba.njit(cache=True)
def lower_inverse(upper: _Matrix) -> _Matrix:
    """R⁻ᵀ [n, n], lower triangular, for `cholesky`'s R."""
    lower = np.empty(upper.shape)
    invert(upper, lower)
    return lower


@numba.njit(cache=True)
def invert(upper: _Matrix, lower: _Matrix) -> None:
    """Set ``lower`` to `lower_inverse`."""
    lower[:] = 0.0
    for i in range(len(lower)):
        lower[i, i] = 1.0
    _forward(upper, lower, np.arange(1, len(upper) + 1))


@numba.njit(cache=True)
def gram_of_lower(lower: _Matrix, out: _Matrix) -> None:
    """Set the upper triangle of ``out`` [n, n] to that of ``lower``ᵀ ``lower``, of [n, n] with zeros above the diagonal."""
    n = len(lower)
    out[:] = 0.0
    for first in range(0, n, _ZEROS):
        last = min(first + _ZEROS, n)
        _add(out, 1.0, lower, lower, (0, last), (0, last), (first, last), True)


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
    for top in range(0, n, _BLOCK):
        for first in range(top, n, _BLOCK):
            last = min(first + _BLOCK, n)
            _add(out, 1.0, left.T, right, (top, min(top + _BLOCK, n)), (first, n), (first, last), False)
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
