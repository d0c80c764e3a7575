"""What is written is what peft and transformers read."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra llm")
pytest.importorskip("peft", reason="needs the extra llm")

from crowd_sim.errors import InputError
from crowd_sim.models.adapters import AdapterStack, LoraSpec, load_adapter, save_adapter, save_merged
from crowd_sim.models.language_model import load_base
from tests.learners.busy import busy_adapter
from tests.learners.tiny_llm import make_tiny_llm

ROOT = Path(__file__).parents[2]
IDS = [[1, 40, 41, 2, 50, 51], [1, 60, 2, 9, 8, 7]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_tiny_llm(tmp_path_factory.mktemp("tiny"))


def stack_of(folder, spec):
    base = load_base(str(folder), "cpu", "float32")
    return base, AdapterStack(base, spec)


def logits(model):
    import torch

    with torch.no_grad():
        return model(input_ids=torch.tensor(IDS)).logits.numpy()


def plain_with(folder, saved):
    import peft
    import transformers

    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype="float32").eval()
    return peft.PeftModel.from_pretrained(model, saved).eval()


@pytest.mark.parametrize("targets", [(), ("q_proj",), ("v_proj", "down_proj")])
def test_a_saved_adapter_is_the_same_in_peft(folder, tmp_path, targets):
    spec = LoraSpec(rank=3, alpha=5.0, target_modules=targets)
    base, stack = stack_of(folder, spec)
    adapter = busy_adapter(stack, 0)
    modules = {name.rpartition(".")[0].rpartition(".")[2] for name in adapter}
    assert modules == set(targets) or (not targets and len(modules) == 7)
    save_adapter(tmp_path, adapter, spec, str(folder))
    stack.put([adapter], trainable=False)
    np.testing.assert_allclose(logits(base.model), logits(plain_with(folder, tmp_path)), atol=2e-5)
    again = load_adapter(tmp_path)
    assert again.keys() == adapter.keys()
    assert all(again[name].tobytes() == adapter[name].tobytes() for name in adapter)
    stack.put([again], trainable=False)
    assert stack.get(0).keys() == adapter.keys()


def test_an_adapter_that_peft_has_written_is_read(folder, tmp_path):
    spec = LoraSpec(rank=2, alpha=4.0)
    base, stack = stack_of(folder, spec)
    save_adapter(tmp_path / "ours", busy_adapter(stack, 1), spec, str(folder))
    plain = plain_with(folder, tmp_path / "ours")
    plain.save_pretrained(tmp_path / "theirs")
    stack.put([load_adapter(tmp_path / "theirs")], trainable=False)
    np.testing.assert_allclose(logits(base.model), logits(plain), atol=2e-5)


def test_a_new_adapter_changes_nothing(folder):
    base, stack = stack_of(folder, LoraSpec(rank=4))
    before = logits(base.model)
    stack.put([stack.initial(3, 0)], trainable=False)
    assert np.array_equal(logits(base.model), before)
    assert not np.array_equal(*(next(iter(stack.initial(3, run).values())) for run in (0, 1)))


def test_the_merged_model_is_pefts(folder, tmp_path):
    import transformers

    spec = LoraSpec(rank=3, alpha=6.0, target_modules=("q_proj", "up_proj"))
    base = load_base(str(folder), "cpu", "float32")
    base.model.generation_config.eos_token_id = [0, 5]
    before = logits(base.model)
    adapter = busy_adapter(stack_of(folder, spec)[1], 2, 0.3)
    save_adapter(tmp_path / "adapter", adapter, spec, str(folder))
    save_merged(tmp_path / "merged", adapter, spec, base)
    merged = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "merged", dtype="float32").eval()
    expected = logits(plain_with(folder, tmp_path / "adapter").merge_and_unload())
    np.testing.assert_allclose(logits(merged), expected, atol=2e-5)
    assert np.abs(expected - before).max() > 0.01
    assert np.array_equal(logits(base.model), before)
    assert merged.generation_config.eos_token_id == [0, 5]


def test_an_unknown_target_module_is_refused(folder):
    with pytest.raises(
        InputError, match=r"task.target_modules = 'lm_head': must be among the model's: down_proj, gate"
    ):
        stack_of(folder, LoraSpec(target_modules=("q_proj", "lm_head")))


def test_a_model_without_linear_modules_is_refused(tmp_path, folder):
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    config = transformers.GPT2Config(vocab_size=300, n_embd=8, n_layer=1, n_head=2, n_positions=16)
    transformers.GPT2LMHeadModel(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(InputError, match="must have linear modules beside its output layer"):
        stack_of(tmp_path, LoraSpec())


def test_a_folder_without_an_adapter_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"must have an adapter_model.safetensors"):
        load_adapter(tmp_path)
    (tmp_path / "adapter_model.safetensors").write_bytes(b"\0" * 30)
    with pytest.raises(InputError, match=r"must have an adapter_model.safetensors"):
        load_adapter(tmp_path)


def save(folder):
    names = [f"model.layers.0.{m}" for m in ("q_proj", "k_proj", "v_proj", "o_proj", "up_proj")]
    adapter = {f"{n}.lora_{p}": np.ones((2, 2), np.float32) for n in names for p in "AB"}
    save_adapter(folder, adapter, LoraSpec(rank=2), "base")


def test_equal_adapters_are_equal_files_in_every_process(tmp_path):
    code = f"from pathlib import Path; from {__name__} import save; save(Path({str(tmp_path / 'there')!r}))"
    environment = os.environ | {"PYTHONHASHSEED": "1"}  # sets are in another order than here
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, cwd=ROOT, timeout=120)
    save(tmp_path / "here")
    names = sorted(path.name for path in (tmp_path / "here").iterdir())
    assert names == ["adapter_config.json", "adapter_model.safetensors"]
    for name in names:
        assert (tmp_path / "here" / name).read_bytes() == (tmp_path / "there" / name).read_bytes()
    targets = json.loads((tmp_path / "here" / "adapter_config.json").read_text())["target_modules"]
    assert targets == ["k_proj", "o_proj", "q_proj", "up_proj", "v_proj"]
