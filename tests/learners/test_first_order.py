"""First-order values against one plain computation after another."""

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra llm")
pytest.importorskip("peft", reason="needs the extra llm")

from crowd_sim.models.adapters import AdapterStack, LoraSpec
from crowd_sim.models.in_run_shapley import first_order
from crowd_sim.models.language_model import load_base
from crowd_sim.models.packing import Tokens
from crowd_sim.models.steps import batches
from crowd_sim.models.training import Key, PackedTuneJob, Training
from crowd_sim.models.tuning import tune
from tests.learners.busy import busy_adapter
from tests.learners.plain_peft import gradients, plain_loss, plain_model
from tests.learners.tiny_llm import make_tiny_llm

SPEC = LoraSpec(rank=2, alpha=4.0)
KEY = Key(3, 1, 0, 0)
PROMPTS = ((1, 40, 41, 2), (1, 50, 2))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    folder = make_tiny_llm(tmp_path_factory.mktemp("tiny"))
    base = load_base(str(folder), "cpu", "float32")
    return folder, base, AdapterStack(base, SPEC)


def texts(n: int, seed: int) -> list[Tokens]:
    draws = np.random.default_rng(seed)
    made = []
    for i in range(n):
        response = (*draws.integers(3, 200, draws.integers(1, 9)).tolist(), 0)
        made.append(Tokens(PROMPTS[i % 2], response, len(response)))
    return made


def test_values_are_those_of_plain_gradients(tiny, tmp_path):
    import torch

    folder, base, stack = tiny
    shared = texts(1, 9)[0]
    workers = [[*texts(3, 1), shared], [shared, *texts(1, 2)], texts(4, 3)]  # the same example of two workers is two
    validation = texts(5, 4)  # fewer than a step looks at: all of them in every step
    training = Training(epochs=2, batch_size=4, learning_rate=1e-2)
    start = busy_adapter(stack, 0)
    found = first_order(base, stack, start, workers, validation, KEY, training)
    after = stack.get(0)

    numbered = [(i, j) for i, own in enumerate(workers) for j in range(len(own))]
    # the order of the examples, from a job whose examples tell themselves apart
    marks = tuple(Tokens((1, e), (0,), 1) for e in range(len(numbered)))
    model = plain_model(folder, start, SPEC, tmp_path)
    weights = [w for w in model.parameters() if w.requires_grad]
    optimiser = torch.optim.AdamW(weights, lr=training.learning_rate, weight_decay=0.0)
    expected = np.zeros(len(workers))
    examples = [example for own in workers for example in own]

    def gradient(batch):
        optimiser.zero_grad()
        plain_loss(model, batch).backward()
        return gradients(model)

    for marked in batches(PackedTuneJob({}, marks, KEY), training):
        batch = [mark.prompt[1] for mark in marked]
        towards = gradient(validation)
        total = sum(examples[e].n_trained for e in batch)
        summed = {name: np.zeros_like(g) for name, g in towards.items()}
        for worker in range(len(workers)):
            own = [examples[e] for e in batch if numbered[e][0] == worker]
            if not own:
                continue
            share = sum(example.n_trained for example in own) / total
            mine = {name: share * g for name, g in gradient(own).items()}
            expected[worker] += training.learning_rate * sum((mine[name] * towards[name]).sum() for name in mine)
            summed = {name: summed[name] + mine[name] for name in mine}
        whole = gradient([examples[e] for e in batch])
        for name, g in whole.items():  # the workers' parts are the whole
            np.testing.assert_allclose(summed[name], g, atol=1e-5)
        torch.nn.utils.clip_grad_norm_(weights, training.max_grad_norm)
        optimiser.step()
    assert np.abs(expected).min() > 1e-4
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-6)

    (tuned,) = tune(base, stack, [PackedTuneJob(start, tuple(examples), KEY)], training)
    for name, own in tuned.adapter.items():
        np.testing.assert_allclose(after[name], own, atol=2e-3 * training.learning_rate + 1e-4)
        assert not np.array_equal(own, start[name])


def test_the_values_draw_validation_texts_by_their_key(tiny):
    _, base, stack = tiny
    workers, many, training = [texts(2, 1), texts(2, 2)], texts(40, 3), Training(epochs=1)
    start = busy_adapter(stack, 0)
    first, same, other = (
        first_order(base, stack, start, workers, many, key, training) for key in (KEY, KEY, Key(3, 2, 0, 0))
    )
    assert first.tobytes() == same.tobytes()
    assert first.tobytes() != other.tobytes()
