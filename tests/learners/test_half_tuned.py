"""Tuning that is stopped at any step goes on with the same bits, and repeats no more steps than it may."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra llm")
pytest.importorskip("peft", reason="needs the extra llm")

from crowd_sim.models.adapters import AdapterStack, LoraSpec
from crowd_sim.models.language_model import load_base
from crowd_sim.models.packing import Tokens
from crowd_sim.models.training import Key, PackedTuneJob, Training
from crowd_sim.models.tuning import tune
from crowd_sim.models.tuning_state import TuningFolder
from tests.learners.busy import busy_adapter
from tests.learners.stopping import Stopped, after_steps, stopping_at
from tests.learners.tiny_llm import make_tiny_llm

EVERY = 3


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    base = load_base(str(make_tiny_llm(tmp_path_factory.mktemp("model"))), "cpu", "float32")
    return base, AdapterStack(base, LoraSpec(rank=2, alpha=4.0))


def examples(seed: int) -> tuple[Tokens, ...]:
    draws = np.random.default_rng(seed)
    return tuple(
        Tokens((1, 40 + i % 2, 2), (*draws.integers(3, 200, 2 + i % 4).tolist(), 0), 3 + i % 4) for i in range(7)
    )


def drawn(adapter, order, number):
    """Outputs that depend on the adapter and the step; at the first two none is worth anything."""
    total = sum(float(np.abs(weights).sum()) for weights in adapter.values())
    outputs = [Tokens((1, 50, 2), (3 + int(total * 1e4) % 200, int(i) + 3, 0), 3) for i in order]
    return outputs, np.array([float(number > 1)] * len(outputs))


JOBS = {
    "sft": {},
    "sft of a budget": {"n_tokens": 91},
    "dpo": {"objective": "dpo", "rivals": examples(1)},
    "kto": {"objective": "kto", "gains": (1.0, 0.0) * 3 + (1.0,), "n_tokens": 80},
    "raft": {"objective": "raft", "draw": drawn, "n_tokens": 70},
}


def same(found, expected) -> bool:
    adapters = all(np.array_equal(found.adapter[name], expected.adapter[name]) for name in expected.adapter)
    return adapters and np.array_equal(found.losses, expected.losses) and found.n_tokens == expected.n_tokens


@pytest.mark.parametrize("name", JOBS)
def test_stopped_at_a_step_it_ends_with_the_same_bits(tiny, tmp_path, name):
    base, stack = tiny
    plain = PackedTuneJob(busy_adapter(stack, 0), examples(0), Key(5, 0, 1, 0), **JOBS[name])
    training = Training(epochs=3, batch_size=2, learning_rate=3e-3, schedule="cosine", warmup=0.2)
    (expected,) = tune(base, stack, [plain], training)
    n_steps = len(expected.losses)
    assert n_steps > 2 * EVERY
    for last in (1, 2 * EVERY - 1, 2 * EVERY, n_steps - 1):
        job = replace(plain, kept=TuningFolder(tmp_path / str(last), EVERY).file(1, "name"))
        with pytest.raises(Stopped), after_steps(stopping_at(last)):
            tune(base, stack, [job], training)
        assert len(list((tmp_path / str(last)).glob("*"))) == (last > EVERY)
        numbers = []
        with after_steps(numbers.append):
            (found,) = tune(base, stack, [job], training)
        assert same(found, expected)
        # a step after which the process ends is not kept, and done again
        assert n_steps <= last + len(numbers) <= n_steps + EVERY
        (again,) = tune(base, stack, [job], training)
        assert same(again, expected)


def test_of_several_those_that_were_done_are_not_done_again_and_damage_is_none(tiny, tmp_path):
    base, stack = tiny
    folder = TuningFolder(tmp_path, EVERY)
    jobs = [PackedTuneJob(busy_adapter(stack, k), examples(k), Key(5, 0, 2, k)) for k in range(3)]
    training = Training(epochs=1, batch_size=2, learning_rate=3e-3)
    expected = tune(base, stack, jobs, training)
    kept = [replace(job, kept=folder.file(2, str(k))) for k, job in enumerate(jobs)]
    with pytest.raises(Stopped), after_steps(stopping_at(4 + 4 + 1)):
        tune(base, stack, kept, training)
    numbers = []
    with after_steps(numbers.append):
        assert all(map(same, tune(base, stack, kept, training), expected))
    assert len(numbers) == 4
    path = tmp_path / "00000002-0"
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with after_steps(numbers.append):
        assert all(map(same, tune(base, stack, kept, training), expected))
    assert len(numbers) == 4 + 4
    # together, as on a GPU, each goes on where it was
    path.unlink()
    assert all(map(same, tune(replace(base, one_by_one=False), stack, kept, training)[1:], expected[1:]))


def test_candidates_of_rounds_before_the_last_are_forgotten(tiny, tmp_path):
    base, stack = tiny
    for number in (1, 2, 3):
        kept = TuningFolder(tmp_path, EVERY).file(number, "n")
        tune(base, stack, [PackedTuneJob(stack.initial(0, 0), examples(0)[:1], Key(5, 0, 2, 0), kept=kept)], Training())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["00000002-n", "00000003-n"]
