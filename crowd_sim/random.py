"""Keyed random streams: every draw is a function of (seed, run, round, purpose, chunk, position).

The generator is Philox4x64-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", SC 2011),
addressed by counter. `uniforms` fills whole batches of runs at once; `generator` opens the same stream as a
`numpy.random.Generator`, so the two agree bit for bit (a test holds this) and no draw depends on how work is scheduled.
"""

from __future__ import annotations

from enum import IntEnum

import numba
import numpy as np
from numpy.typing import NDArray

_MULTIPLIER_0 = np.uint64(0xD2E7470EE14C6C93)
_MULTIPLIER_1 = np.uint64(0xCA5A826395121157)
_WEYL_0 = np.uint64(0x9E3779B97F4A7C15)
_WEYL_1 = np.uint64(0xBB67AE8584CAA73B)
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_MANTISSA_SHIFT = np.uint64(11)


class Purpose(IntEnum):
    """What a stream is for. The numbers are part of every result: never reuse or renumber one."""

    CROWD = 1
    PEOPLE = 2
    TARGET = 3
    INITIAL_MODEL = 4
    GROUPING = 5
    EXPLORE = 6
    MISTAKE = 7
    KERNEL_SHAP = 8
    PERMUTATION = 9
    STRATIFIED = 10
    SURROGATE = 11
    BEHAVIOUR = 12
    PAIRED_REGRESSION = 13
    CHAINS = 14
    DISTILL = 20
    ADAPTER = 21
    EXAMPLES = 22
    SELECTION_OUTPUTS = 23
    REPORT_OUTPUTS = 24
    COALITION_OUTPUTS = 25
    VALIDATION = 26
    TRAINING_OUTPUTS = 27
    ITEMS = 28
    BAD = 30
    BAD_SAMPLE = 31
    JITTER = 32
    AUDIT = 40
    EFFORT = 60
    SEARCH = 70


@numba.njit(inline="always")
def _multiply(a: np.uint64, b: np.uint64) -> tuple[np.uint64, np.uint64]:
    """High and low 64 bits of the 128-bit product."""
    a_low, a_high = a & _LOW, a >> _HALF
    b_low, b_high = b & _LOW, b >> _HALF
    low = a_low * b_low
    middle_1 = a_high * b_low + (low >> _HALF)
    middle_2 = a_low * b_high + (middle_1 & _LOW)
    return a_high * b_high + (middle_1 >> _HALF) + (middle_2 >> _HALF), a * b


@numba.njit(cache=True)
def philox(
    key_0: np.uint64, key_1: np.uint64, c0: np.uint64, c1: np.uint64, c2: np.uint64, c3: np.uint64
) -> tuple[np.uint64, np.uint64, np.uint64, np.uint64]:
    """One block of Philox4x64-10: 4 × 64 random bits for a 128-bit key and a 256-bit counter (numba-compiled)."""
    for _ in range(10):
        high_0, low_0 = _multiply(_MULTIPLIER_0, c0)
        high_1, low_1 = _multiply(_MULTIPLIER_1, c2)
        c0, c1, c2, c3 = high_1 ^ c1 ^ key_0, low_1, high_0 ^ c3 ^ key_1, low_0
        key_0 += _WEYL_0
        key_1 += _WEYL_1
    return c0, c1, c2, c3


@numba.njit(cache=True)
def _fill(
    seeds: NDArray[np.uint64],
    runs: NDArray[np.uint64],
    round_index: np.uint64,
    purpose: np.uint64,
    chunks: NDArray[np.uint64],
    out: NDArray[np.float64],
) -> None:
    """A stream a row."""
    n = out.shape[1]
    for i in range(out.shape[0]):
        for block in range((n + 3) // 4):
            # numpy counts up before it draws, so its first block has number 1
            words = philox(seeds[i], runs[i], np.uint64(block + 1), round_index, purpose, chunks[i])
            for j in range(min(4, n - 4 * block)):
                out[i, 4 * block + j] = np.float64(words[j] >> _MANTISSA_SHIFT) * 2.0**-53


def uniforms(
    seeds: NDArray[np.uint64], runs: NDArray[np.uint64], round_index: int, purpose: Purpose, n: int, chunk: int = 0
) -> NDArray[np.float64]:
    """`n` numbers in [0, 1) for every run of a batch: float64[B, n], the top 53 bits of each 64-bit word.

    `seeds` and `runs`: uint64[B].
    """
    chunks, out = np.full(len(seeds), chunk, dtype=np.uint64), np.empty((len(seeds), n))
    _fill(seeds, runs, np.uint64(round_index), np.uint64(purpose), chunks, out)
    return out


def uniforms_of_chunks(
    seed: int, run: int, round_index: int, purpose: Purpose, chunks: NDArray[np.int64], n: int
) -> NDArray[np.float64]:
    """`n` numbers in [0, 1) of each of a run's streams (chunk by chunk, int64[m]): float64[m, n]."""
    seeds, runs = (np.full(len(chunks), key, dtype=np.uint64) for key in (seed, run))
    out = np.empty((len(chunks), n))
    _fill(seeds, runs, np.uint64(round_index), np.uint64(purpose), chunks.astype(np.uint64), out)
    return out


def generator(seed: int, run: int, purpose: Purpose, round_index: int = 0, chunk: int = 0) -> np.random.Generator:
    """The stream (seed, run, round, purpose, chunk) as a numpy generator, for draws that need its distributions."""
    key = np.array([seed, run], dtype=np.uint64)
    counter = np.array([0, round_index, purpose, chunk], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=counter))
