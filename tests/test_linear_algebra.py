import numpy as np
import pytest

from crowd_sim.linear_algebra import (
    add_upper,
    back,
    cholesky,
    forward,
    gram,
    inverse_of,
    less_gram,
    lower_inverse,
    orthonormal,
    product,
    pseudo_inverse,
    solved,
    times,
    transposed_times,
)


@pytest.mark.parametrize(("m", "n"), [(3, 1), (9, 7), (300, 130), (40, 64), (141, 65)])
def test_they_are_numpy_s(m, n):
    rng = np.random.default_rng(n)
    x, vector = rng.normal(size=(max(m, n + 2), n)), rng.normal(size=n)
    normal = gram(x)
    np.testing.assert_allclose(normal, x.T @ x, atol=1e-10)
    upper, definite = cholesky(normal)
    assert definite
    np.testing.assert_allclose(upper.T @ upper, normal, atol=1e-10)
    np.testing.assert_allclose(np.tril(upper, -1), 0.0)
    np.testing.assert_allclose(normal @ solved(upper, vector), vector, atol=1e-6)
    inverse = inverse_of(upper)
    np.testing.assert_allclose(inverse, np.linalg.inv(normal), rtol=1e-6, atol=1e-9)
    assert np.array_equal(inverse, inverse.T)
    np.testing.assert_allclose(less_gram(normal, x[: n // 2]), normal - x[: n // 2].T @ x[: n // 2], atol=1e-10)
    own = np.eye(n)[:, ::3]
    found = forward(upper, own, np.searchsorted(np.arange(0, n, 3), np.arange(n), side="right"))
    assert np.array_equal(found, forward(upper, own))
    np.testing.assert_allclose(upper.T @ found, own, atol=1e-9)
    np.testing.assert_allclose(upper @ back(upper, vector), vector, atol=1e-9)
    np.testing.assert_allclose(product(x, normal), x @ normal, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(times(x, vector), x @ vector, atol=1e-10)
    np.testing.assert_allclose(transposed_times(x, x[:, 0]), x.T @ x[:, 0], atol=1e-10)


@pytest.mark.parametrize(("m", "p", "n"), [(1, 1, 1), (5, 3, 17), (70, 300, 290), (4, 16, 16)])
def test_sums_keep_their_order(m, p, n):
    rng = np.random.default_rng(n)
    left, right = rng.normal(size=(m, p)), rng.normal(size=(p, n))
    total = np.zeros((m, n))
    for k in range(p):
        total += left[:, k, None] * right[k]
    assert np.array_equal(product(left, right), total)
    assert np.array_equal(product(np.asfortranarray(left), right), total)
    square = np.triu(gram(right))
    total = square.copy()
    for k in range(p):
        total += right[k, :, None] * right[k]
    add_upper(square, right, right)
    assert np.array_equal(np.triu(square), np.triu(total))


def test_what_is_not_definite_says_so():
    assert not cholesky(np.array([[1.0, 2.0], [2.0, 1.0]]))[1]
    assert not cholesky(np.array([[np.nan]]))[1]


@pytest.mark.parametrize("n", [1, 5, 40])
def test_the_pseudo_inverse_leaves_out_what_is_no_more_than_rounding(n):
    rng = np.random.default_rng(n)
    x = rng.normal(size=(max(n // 2, 1), n))
    np.testing.assert_allclose(pseudo_inverse(gram(x)), np.linalg.pinv(x.T @ x, hermitian=True), atol=1e-9)
    assert not pseudo_inverse(np.zeros((n, n))).any()


def test_the_inverse_of_a_factor():
    x = np.random.default_rng(0).normal(size=(30, 13))
    upper, _ = cholesky(gram(x))
    np.testing.assert_allclose(lower_inverse(upper) @ upper.T, np.eye(13), atol=1e-12)


@pytest.mark.parametrize("nearly", [0.0, 1e-4, 1e-9])
def test_columns_that_nearly_depend_on_each_other_become_orthonormal(nearly):
    x = np.random.default_rng(1).normal(size=(200, 70))
    x[:, 3] = x[:, 5] + nearly * x[:, 3]
    found = orthonormal(x)
    if nearly == 0.0:
        assert found is None
        return
    rows, upper = found
    np.testing.assert_allclose(rows @ rows.T, np.eye(70), atol=1e-14)
    np.testing.assert_allclose(rows.T @ upper, x, atol=1e-13)


def test_no_columns_are_orthonormal():
    rows, upper = orthonormal(np.empty((4, 0)))
    assert (rows.shape, upper.shape) == ((0, 4), (0, 0))
