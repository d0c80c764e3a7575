import numpy as np
import pytest

from crowd_sim.random import Purpose, generator, uniforms

SEEDS = np.array([0, 5, 2**63 - 1], dtype=np.uint64)
RUNS = np.array([3, 4, 2**40], dtype=np.uint64)


@pytest.mark.parametrize("chunk", [0, 2])
@pytest.mark.parametrize("n", [1, 3, 4, 5, 11, 17])
def test_uniforms_are_the_doubles_of_numpys_philox(n, chunk):
    ours = uniforms(SEEDS, RUNS, 9, Purpose.GROUPING, n, chunk)
    for b in range(3):
        stream = generator(int(SEEDS[b]), int(RUNS[b]), Purpose.GROUPING, 9, chunk)
        assert ours[b].tolist() == stream.random(n).tolist()


def test_every_part_of_the_key_matters():
    def draw(seed=1, run=1, round_index=1, purpose=Purpose.GROUPING, chunk=1):
        keys = np.array([seed], dtype=np.uint64), np.array([run], dtype=np.uint64)
        return tuple(uniforms(*keys, round_index, purpose, 4, chunk)[0])

    changed = [draw(seed=2), draw(run=2), draw(round_index=2), draw(purpose=Purpose.MISTAKE), draw(chunk=2)]
    assert len({draw(), *changed}) == 6


def test_a_run_draws_the_same_in_any_batch():
    whole = uniforms(SEEDS, RUNS, 2, Purpose.GROUPING, 8)
    alone = [uniforms(SEEDS[b : b + 1], RUNS[b : b + 1], 2, Purpose.GROUPING, 8)[0] for b in range(3)]
    assert whole.tobytes() == np.stack(alone).tobytes()


def test_purposes_never_share_a_number():
    assert len({int(purpose) for purpose in Purpose.__members__.values()}) == len(Purpose.__members__)
