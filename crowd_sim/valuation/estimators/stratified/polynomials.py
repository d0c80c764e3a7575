"""Closed-form contrasts of polynomials of a coalition's mean: control variates whose Shapley values are exact.

Let e_i be the players' vectors less their mean, u_S the mean of e over a coalition S. The contrast of a function g of
u_S at size k is E[g | i ∈ S] − E[g | i ∉ S] over uniform S of size k, which is (E[g | i ∈ S] − E g) / (1 − k/n).
Given i ∈ S the other k − 1 members are a uniform subset of N∖{i}, so with their sum U

    E[(e_i + U)^p] = Σ_r C(p, r) e_i^(p−r) E[U^r],

and E[U^r] is a sum over set partitions of r places of a falling-factorial probability f_b = (k−1)_b / (n−1)_b, that b
given others are in S, times an augmented symmetric function of the others' vectors, written in power sums (for one
dimension: Tukey, "Some sampling simplified", JASA 45 (1950); here with contractions for vectors too). Every
expectation is linear in (1, f_1 … f_4) / k^p, so a whole range of sizes costs what one size costs.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

N_L2 = 8
"""L, Q, L², LQ, Q², L³, L²Q, L⁴, with L = a·u for a fixed a and Q = |u|²: the products of the two of degree ≤ 4 in u."""

N_L1 = 4
"""Functions of one coordinate of u: its powers 1 to 4."""


@numba.njit(cache=True)
def _size_sums(n: int, low: int, high: int) -> NDArray[np.float64]:
    """[p, b] = Σ over the sizes k of f_b / (k^p (1 − k/n)), with f_0 = 1."""
    sums = np.zeros((5, 5))
    for k in range(low, high + 1):
        f = 1.0
        for b in range(5):
            if b > 0:
                f *= max(k - b, 0) / max(n - b, 1)
            for p in range(1, 5):
                sums[p, b] += f / (1.0 - k / n) / float(k) ** p  # of whole numbers
    return sums


@numba.njit(cache=True)
def _powers(x: float, sums: NDArray[np.float64], a2: float, a3: float) -> tuple[float, float, float, float]:
    """E[(x + U)^p], p = 1 … 4, for a player at x, but for what all players share.

    All players' x sum to 0, their squares to a2, their cubes to a3. The power sums of the others are −x, a2 − x², …; put
    into the symmetric functions and collected by powers of x, whose last one, without x, is the same for everyone.
    """
    f, g, h = sums[2], sums[3], sums[4]
    square = x * x
    return (
        (sums[1, 0] - sums[1, 1]) * x,
        (f[0] - 3.0 * f[1] + 2.0 * f[2]) * square,
        x * ((g[0] - 7.0 * g[1] + 12.0 * g[2] - 6.0 * g[3]) * square + 3.0 * (g[1] - 2.0 * g[2] + g[3]) * a2),
        (h[0] - 15.0 * h[1] + 50.0 * h[2] - 60.0 * h[3] + 24.0 * h[4]) * (square * square)
        + (h[1] - 4.0 * h[2] + 5.0 * h[3] - 2.0 * h[4]) * (6.0 * a2 * square + 4.0 * a3 * x),
    )


@numba.njit(cache=True)
def _centre(values: NDArray[np.float64]) -> None:
    """Less the mean over the players, which is E g: plain sums, from the first player to the last."""
    n, columns = values.shape
    mean = np.zeros(columns)
    for i in range(n):
        for c in range(columns):
            mean[c] += values[i, c]
    mean /= n
    for i in range(n):
        for c in range(columns):
            values[i, c] -= mean[c]


@numba.njit(cache=True)
def contrasts_l1(centred: NDArray[np.float64], low: int, high: int) -> NDArray[np.float64]:
    """float64[n, 4 d]: contrasts of the powers 1 to 4 of every coordinate of u, summed over the sizes; O(n d)."""
    n, d = centred.shape
    sums = _size_sums(n, low, high)
    out = np.empty((n, d * N_L1))
    a2, a3 = np.zeros(d), np.zeros(d)
    for i in range(n):
        for j in range(d):
            x = centred[i, j]
            a2[j] += x * x
            a3[j] += x * x * x
    for i in range(n):
        for j in range(d):
            c = N_L1 * j
            out[i, c], out[i, c + 1], out[i, c + 2], out[i, c + 3] = _powers(centred[i, j], sums, a2[j], a3[j])
    _centre(out)
    return out


@numba.njit(cache=True)
def moments_l2(
    centred: NDArray[np.float64], direction: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What `contrasts_l2` needs of the crowd, for any sizes; O(n d²), in plain loops.

    Returns:
        players: float64[n, 6], with l = a·e for the direction a, q = |e|² and sums over all players j:
            l_i, q_i, e_i·Σ l e, e_i·Σ q e, e_i·Σ l² e, e_i·(Σ e eᵀ) e_i.
        totals: Σ l², Σ l³, Σ l⁴, Σ q, Σ q², Σ l q, |Σ l e|², trace (Σ e eᵀ)², Σ l² q.
    """
    n, d = centred.shape
    players = np.zeros((n, 6))
    totals = np.zeros(9)
    first, second, third = np.zeros(d), np.zeros(d), np.zeros(d)  # Σ l e, Σ q e, Σ l² e
    spread = np.zeros((d, d))
    for i in range(n):
        l = q = 0.0  # noqa: E741
        for j in range(d):
            l += centred[i, j] * direction[j]  # noqa: E741
            q += centred[i, j] * centred[i, j]
        players[i, 0], players[i, 1] = l, q
        for j in range(d):
            x = centred[i, j]
            first[j] += l * x
            second[j] += q * x
            third[j] += l * l * x
            for h in range(d):
                spread[j, h] += x * centred[i, h]
        totals[0] += l * l
        totals[1] += l * l * l
        totals[2] += (l * l) * (l * l)
        totals[3] += q
        totals[4] += q * q
        totals[5] += l * q
        totals[8] += l * l * q
    for j in range(d):
        totals[6] += first[j] * first[j]
        for h in range(d):
            totals[7] += spread[j, h] * spread[j, h]
    image = np.empty(d)
    for i in range(n):
        image[:] = 0.0
        for j in range(d):
            x = centred[i, j]
            for h in range(d):
                image[h] += x * spread[j, h]
        for j in range(d):
            x = centred[i, j]
            players[i, 2] += x * first[j]
            players[i, 3] += x * second[j]
            players[i, 4] += x * third[j]
            players[i, 5] += x * image[j]
    return players, totals


@numba.njit(cache=True)
def _fourth(f: NDArray[np.float64], g: float, image: float, cubic: float, s2: float, s4: float, trace: float) -> float:
    """E|e_i + U|⁴ for any inner product.

    Args:
        f: size sums of the fourth power.
        g: |e_i|².
        image: e_i·(Σ e eᵀ) e_i, over all players as the next ones.
        cubic: e_i·Σ |e|² e.
        s2: Σ |e|².
        s4: Σ |e|⁴.
        trace: trace (Σ e eᵀ)².
    """
    b2, b4 = s2 - g, s4 - g * g  # now without i, whose vector is minus the sum of the others'
    trace = trace - 2.0 * image + g * g
    image -= g * g
    cubic -= g * g
    pair_31 = -cubic - b4
    pair_22 = b2 * b2 - b4 + 2.0 * (trace - b4)
    triple = 2.0 * (b2 * g - b2 * b2 + 2.0 * cubic + 2.0 * b4) + 4.0 * (image - trace + 2.0 * cubic + 2.0 * b4)
    all_four = g * g - 2.0 * b2 * g - 4.0 * image + b2 * b2 + 2.0 * trace - 8.0 * cubic - 6.0 * b4
    fourth = f[1] * b4 + f[2] * (4.0 * pair_31 + pair_22) + f[3] * triple + f[4] * all_four
    second = f[1] * b2 + f[2] * (g - b2)
    along = f[1] * image + f[2] * (g * g - image)  # E (e_i·U)²
    third = (  # E e_i·U |U|²
        f[1] * cubic
        + f[2] * (-g * b2 - cubic - 2.0 * (image + cubic))
        + f[3] * (-g * g + g * b2 + 2.0 * image + 2.0 * cubic)
    )
    return f[0] * g * g - 4.0 * f[1] * g * g + 4.0 * along + 2.0 * g * second + 4.0 * third + fourth


@numba.njit(cache=True)
def contrasts_l2(players: NDArray[np.float64], totals: NDArray[np.float64], low: int, high: int) -> NDArray[np.float64]:
    """float64[n, 8]: contrasts of L, Q, L², LQ, Q², L³, L²Q, L⁴, summed over the sizes; O(n)."""
    n = len(players)
    sums = _size_sums(n, low, high)
    out = np.empty((n, N_L2))
    l2, l3, l4, s2, s4, lq, first, trace, llq = totals
    for i in range(n):
        l, q, le, qe, lle, image = players[i]  # noqa: E741
        out[i, 0], out[i, 2], out[i, 5], out[i, 7] = _powers(l, sums, l2, l3)
        f = sums[2]
        out[i, 1] = f[0] * q - 2.0 * f[1] * q + f[1] * (s2 - q) + f[2] * (2.0 * q - s2)
        f = sums[3]
        x, y = le - l * q, lq - l * q  # e_i·Σ l e and Σ l q, over the others
        second = f[1] * (s2 - q) + f[2] * (2.0 * q - s2)  # E|U|²
        mixed = f[1] * x + f[2] * (l * q - x)  # E (a·U)(e_i·U)
        third = f[1] * y + f[2] * (-l * (s2 - q) - 3.0 * y - 2.0 * x) + f[3] * (l * (s2 - 2.0 * q) + 2.0 * x + 2.0 * y)
        out[i, 3] = f[0] * l * q - 3.0 * f[1] * l * q + l * second + 2.0 * mixed + third
        f = sums[4]
        out[i, 4] = _fourth(f, q, image, qe, s2, s4, trace)
        # L²Q by polarisation: |u|⁴ in the inner product I + a aᵀ, whose |e|² is q + l², is Q² + 2 L²Q + L⁴
        wide = _fourth(
            f,
            q + l * l,
            image + 2.0 * l * le + l * l * l2,
            qe + lle + l * (lq + l3),
            s2 + l2,
            s4 + 2.0 * llq + l4,
            trace + 2.0 * first + l2 * l2,
        )
        out[i, 6] = 0.5 * (wide - out[i, 4] - out[i, 7])
    _centre(out)
    return out
