"""Quantised models, against a fake of modules whose weights only they can read; bitsandbytes itself needs a GPU."""

from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra llm")
pytest.importorskip("peft", reason="needs the extra llm")

import torch

from crowd_sim.errors import InputError
from crowd_sim.models import language_model
from crowd_sim.models.adapters import AdapterStack, LoraSpec
from crowd_sim.models.architecture_check import check_architecture
from crowd_sim.models.generation import GenerateJob, Sampling, generate
from crowd_sim.models.language_model import load_base
from crowd_sim.models.packing import Tokens
from crowd_sim.models.training import Key, PackedTuneJob, Training
from crowd_sim.models.tuning import tune
from crowd_sim.random import Purpose
from tests.learners.busy import busy_adapter
from tests.learners.tiny_llm import make_tiny_llm

STEP = 1 / 32


class Whole(torch.nn.Linear):
    """Its weights are whole numbers of steps."""

    def __init__(self, linear):
        super().__init__(linear.in_features, linear.out_features, bias=False)
        numbers = (linear.weight / STEP).round().clamp(-127, 127).to(torch.int8)
        self.weight = torch.nn.Parameter(numbers, requires_grad=False)

    def forward(self, x):
        return torch.nn.functional.linear(x, self.weight.float() * STEP)


def test_a_model_whose_weights_are_no_numbers_is_tuned_as_what_it_computes(tmp_path):
    folder = make_tiny_llm(tmp_path)
    found = []
    for opaque in (True, False):
        base = load_base(str(folder), "cpu", "float32")
        for name, module in list(base.model.named_modules()):
            if isinstance(module, torch.nn.Linear) and name != "lm_head":
                parent, _, leaf = name.rpartition(".")
                whole = Whole(module)
                if not opaque:
                    module.weight.data = whole.weight.float() * STEP
                    continue
                setattr(base.model.get_submodule(parent), leaf, whole)
        stack = AdapterStack(base, LoraSpec(rank=2, alpha=4.0))
        check_architecture(base, stack)
        examples = tuple(Tokens((1, 40 + i, 2), (50 + i, 60, 0), 3) for i in range(6))
        job = PackedTuneJob(busy_adapter(stack, 0), examples, Key(0, 0, 1, 0))
        (tuned,) = tune(base, stack, [job], Training(epochs=2, batch_size=3))
        drawn = GenerateJob(tuned.adapter, ((1, 40, 2),) * 3, Key(1, 0, 1, 0), Purpose.REPORT_OUTPUTS)
        found.append((tuned, generate(base, stack, [drawn], Sampling(6, 0))))
    (tuned, outputs), (expected, others) = found
    np.testing.assert_allclose(tuned.losses, expected.losses, rtol=0, atol=1e-5)
    assert outputs == others


@pytest.mark.parametrize("kind", ["nf4", "int8"])
def test_what_bitsandbytes_is_told_and_where_it_is_refused(monkeypatch, kind):
    transformers = SimpleNamespace(BitsAndBytesConfig=lambda **how: how)
    assert language_model._quantising(transformers, "none", torch.bfloat16, "cpu") == {}
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(
        InputError, match=rf"^task\.quantization = '{kind}': needs bitsandbytes, which is not installed"
    ):
        language_model._quantising(transformers, kind, torch.bfloat16, "cuda")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    with pytest.raises(InputError, match=rf"^task\.quantization = '{kind}': needs a GPU: task\.device=cuda$"):
        language_model._quantising(transformers, kind, torch.bfloat16, "cpu")
    told = language_model._quantising(transformers, kind, torch.bfloat16, "cuda")
    assert told["device_map"] == {"": 0}
    config = told["quantization_config"]
    assert config.get("load_in_8bit", False) == (kind == "int8")
    assert config.get("bnb_4bit_compute_dtype") == (torch.bfloat16 if kind == "nf4" else None)
