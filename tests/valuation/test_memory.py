import numpy as np
import pytest

from crowd_sim.valuation.utility_table import Memory, packed, packed_bytes, unpacked


@pytest.mark.parametrize("n", [1, 7, 8, 9, 64, 75])
def test_packing_and_back(n):
    rows = np.random.default_rng(n).random((20, n)) < 0.5
    assert packed(rows).shape == (20, packed_bytes(n))
    assert unpacked(packed(rows), n).tolist() == rows.tolist()


@pytest.mark.parametrize("n", [3, 17, 200])
def test_numbers_are_places_in_the_order_of_first_asking(n):
    rng = np.random.default_rng(n)
    memory, seen = Memory(n), {}
    for size in (0, 1, 50, 3_000, 7, 5_000):
        rows = rng.random((size, n)) < rng.random()
        expected = [seen.setdefault(row.tobytes(), len(seen)) for row in rows]
        assert memory.numbers(packed(rows)).tolist() == expected
        assert len(memory) == len(seen)
    everything = np.arange(len(memory))
    assert [row.tobytes() for row in memory.masks(everything)] == list(seen)
    assert memory.numbers(memory.rows(everything)).tolist() == everything.tolist()


def test_utilities_are_nan_until_known():
    memory = Memory(10, n_games=2)
    numbers = memory.numbers(packed(np.eye(10, dtype=bool)))
    assert np.isnan(memory.utilities(0, numbers)).all()
    memory.put(numbers[:4], np.arange(8.0).reshape(2, 4))
    memory.put_game(1, numbers[4:], np.arange(6.0))
    memory.numbers(packed(np.random.default_rng(0).random((500, 10)) < 0.5))  # grows
    assert memory.utilities(0, numbers[:4]).tolist() == [0, 1, 2, 3]
    assert memory.utilities(1, numbers).tolist() == [4, 5, 6, 7, 0, 1, 2, 3, 4, 5]
    assert np.isnan(memory.utilities(0, numbers[4:])).all()
