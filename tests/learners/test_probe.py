"""Architectures that cannot be tuned in packed rows are refused when a learner is made."""

from types import SimpleNamespace

import pytest

pytest.importorskip("torch", reason="needs the extra llm")
pytest.importorskip("transformers", reason="needs the extra llm")
pytest.importorskip("peft", reason="needs the extra llm")

import torch
import transformers

from crowd_sim.errors import InputError
from crowd_sim.models.adapters import AdapterStack, LoraSpec
from crowd_sim.models.architecture_check import check_architecture, window
from crowd_sim.models.language_model import load_base
from crowd_sim.models.lora import LoraLearner
from crowd_sim.tasks.adapters.settings import learner_spec
from tests.learners.tiny_llm import make_tiny_llm, make_tiny_phi
from tests.llm.small import config


def made(folder, kind: str, dtype: str = "float32", max_tokens: int = 40, **settings: object) -> LoraLearner:
    make_tiny_llm(folder / "model", kind, **settings)
    make_tiny_phi(folder / "phi")
    return LoraLearner(learner_spec(config(folder, task={"dtype": dtype, "max_tokens": max_tokens})))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("kind", ["llama", "qwen2", "mistral"])
def test_what_can_be_tuned_passes(tmp_path, kind, dtype):
    made(tmp_path, kind, dtype)


@pytest.mark.parametrize(
    ("kind", "settings", "reason"),
    [
        ("bloom", {}, "ValueError: too many values to unpack"),
        ("mamba", {"state_size": 4, "time_step_rank": 2}, ": "),
        ("mpt", {"d_model": 32, "max_seq_len": 128}, "the loss of two examples in one row is"),
    ],
)
def test_what_cannot_is_refused_in_one_line(tmp_path, kind, settings, reason):
    with pytest.raises(InputError) as refused:
        made(tmp_path, kind, **settings)
    assert (refused.value.field, refused.value.value) == ("task.model", str(tmp_path / "model"))
    says = "must be an architecture that can be tuned in packed rows and generate from a shared cache: "
    assert refused.value.allowed.startswith(says)
    assert reason in refused.value.allowed.removeprefix(says)
    assert "\n" not in str(refused.value)


def test_memory_that_runs_out_is_no_matter_of_architecture(tmp_path, monkeypatch):
    base = load_base(str(make_tiny_llm(tmp_path)), "cpu", "float32")
    stack = AdapterStack(base, LoraSpec(rank=2))

    def full(*arguments: object, **options: object) -> None:
        raise MemoryError

    monkeypatch.setattr(base.model, "forward", full)
    with pytest.raises(MemoryError):
        check_architecture(base, stack)


def test_it_leaves_no_trace(tmp_path):
    base = load_base(str(make_tiny_llm(tmp_path)), "cpu", "float32")
    stack = AdapterStack(base, LoraSpec(rank=2))

    def answer() -> bytes:
        with torch.no_grad():
            return base.model(input_ids=torch.tensor([[1, 40, 41, 2]])).logits.numpy().tobytes()

    before, state = answer(), torch.get_rng_state()
    check_architecture(base, stack)
    assert answer() == before
    assert torch.equal(torch.get_rng_state(), state)
    assert all(weights.grad is None for weights in base.model.parameters())


def test_examples_longer_than_a_sliding_window_are_refused(tmp_path):
    made(tmp_path, "mistral", max_tokens=16, sliding_window=16)
    with pytest.raises(InputError) as refused:
        made(tmp_path, "mistral", max_tokens=17, sliding_window=16)
    assert str(refused.value) == "task.max_tokens = 17: must be at most the window of the model's sliding attention, 16"


@pytest.mark.parametrize(
    ("name", "settings", "expected"),
    [
        ("Llama", {}, None),
        ("Mistral", {"sliding_window": None}, None),
        ("Mistral", {"sliding_window": 8}, 8),
        ("Qwen2", {"sliding_window": 8}, None),
        ("Qwen2", {"sliding_window": 8, "use_sliding_window": True, "max_window_layers": 1}, 8),
        ("Qwen2", {"sliding_window": 8, "use_sliding_window": True, "max_window_layers": 99}, None),
        ("Gemma2", {"sliding_window": 8}, 8),
        ("Gemma3", {"text_config": {"sliding_window": 8}}, 8),
        ("Llama4Text", {"attention_chunk_size": 8}, 8),
    ],
)
def test_a_window_is_that_of_layers_that_slide(name, settings, expected):
    model = SimpleNamespace(config=getattr(transformers, f"{name}Config")(**settings))
    assert window(SimpleNamespace(model=model)) == expected


def test_attention_that_is_local_by_the_place_in_a_row_is_refused(tmp_path):
    base = load_base(str(make_tiny_llm(tmp_path)), "cpu", "float32")
    base.model.config.attention_layers = ["global", "local"]  # as GPT-Neo's
    with pytest.raises(InputError, match="its local attention counts places in the row"):
        check_architecture(base, AdapterStack(base, LoraSpec(rank=2)))
