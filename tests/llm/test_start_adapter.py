"""Runs that start from an adapter: of an earlier run or of peft, of this model and shape, or refused."""

import json
import shutil

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra llm")
pytest.importorskip("peft", reason="needs the extra llm")

from crowd_sim.commands.run import run
from crowd_sim.errors import InputError
from crowd_sim.models.adapters import AdapterStack, LoraSpec, load_adapter, save_adapter
from crowd_sim.models.language_model import load_base
from crowd_sim.models.start_adapter import adapter_for
from tests.learners.busy import busy_adapter
from tests.learners.tiny_llm import make_tiny_llm
from tests.llm.small import config

SPEC = LoraSpec(rank=2, alpha=4.0)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    folder = make_tiny_llm(tmp_path_factory.mktemp("tiny") / "model")
    stack = AdapterStack(load_base(str(folder), "cpu", "float32"), SPEC)
    save_adapter(folder.parent / "adapter", busy_adapter(stack, 0), SPEC, str(folder))
    return folder, stack


def test_it_is_what_was_written_in_the_order_of_the_modules(tiny):
    folder, stack = tiny
    found = adapter_for(stack, str(folder), str(folder.parent / "adapter"))
    wanted = busy_adapter(stack, 0)
    assert list(found) == list(wanted)
    assert all(np.array_equal(found[name], wanted[name]) for name in wanted)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"r": 3}, r"must be of task\.rank, 2: it is of 3"),
        ({"lora_alpha": 8}, r"must be of task\.alpha, 4: it is of 8"),
        ({"base_model_name_or_path": "other/llama"}, r"must be of task\.model, .*: it was tuned on other/llama"),
        ({"peft_type": "IA3"}, "must be a LoRA adapter: adapter_config.json says peft_type IA3"),
        ({"use_dora": True}, "must be a plain LoRA adapter: adapter_config.json says use_dora True"),
        ({"rank_pattern": {"q_proj": 4}}, "must be a plain LoRA adapter: adapter_config.json has rank_pattern"),
        ({"base_model_name_or_path": "elsewhere/model"}, None),  # a folder that was moved
    ],
)
def test_another_kind_rank_or_model_is_refused(tiny, tmp_path, changes, says):
    folder, stack = tiny
    shutil.copytree(folder.parent / "adapter", tmp_path / "adapter")
    path = tmp_path / "adapter" / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    if says is None:
        adapter_for(stack, str(folder), str(path.parent))
        return
    with pytest.raises(InputError, match=rf"^task\.adapter = '.*': {says}"):
        adapter_for(stack, str(folder), str(path.parent))


def test_other_modules_shapes_and_weights_are_refused(tiny, tmp_path):
    folder, stack = tiny
    fewer = {name: own for name, own in busy_adapter(stack, 0).items() if "q_proj" not in name}
    wide = {
        name: np.concatenate([own, own], axis=1) if name.endswith("A") else own
        for name, own in stack.initial(0, 0).items()
    }
    bad = {name: own * np.nan for name, own in stack.initial(0, 0).items()}
    for number, (adapter, says) in enumerate(
        (
            (fewer, r"it lacks model\.layers\.0\.self_attn\.q_proj"),
            (fewer | busy_adapter(stack, 0) | {"lm_head.lora_A": np.zeros((2, 32), np.float32)}, "it adapts lm_head"),
            (wide, r"must fit task\.model: .* is of \(2, 64\), there of \(2, 32\)"),
            (bad, "must have finite weights"),
        )
    ):
        own = tmp_path / str(number)
        save_adapter(own, adapter, SPEC, str(folder))
        with pytest.raises(InputError, match=rf"^task\.adapter = .*{says}"):
            adapter_for(stack, str(folder), str(own))
    (own / "adapter_model.safetensors").write_bytes(b"no")
    with pytest.raises(InputError, match=r"^task\.adapter = .*must have an adapter_model\.safetensors"):
        adapter_for(stack, str(folder), str(own))
    with pytest.raises(InputError, match=r"^task\.adapter = 'nowhere': must be a folder with adapter_config\.json"):
        adapter_for(stack, str(folder), "nowhere")


def test_a_run_starts_from_another_runs_adapter_and_is_refused_when_that_has_changed(parts, tmp_path):
    first = run(config(parts, tournament={"rounds": 1}), tmp_path / "first")
    folder = tmp_path / "first" / "adapter" / "run-0"
    own = config(parts, task={"adapter": str(folder)}, tournament={"rounds": 1})
    second = run(own, tmp_path / "second")
    last = first.outcome.details.reports[-1]
    assert second.outcome.details.reports[0].loss == last.loss or np.isnan(last.loss)
    assert second.outcome.history.distances[0] != first.outcome.history.distances[0]
    assert config(parts, task={"gradient_checkpointing": True}).determinants() == config(parts).determinants()
    assert config(parts, task={"schedule": "linear"}).determinants() != config(parts).determinants()
    adapter = load_adapter(folder)
    shutil.copytree(folder, tmp_path / "moved")
    moved = config(parts, task={"adapter": str(tmp_path / "moved")}, tournament={"rounds": 1})
    run(moved, tmp_path / "third")
    save_adapter(
        tmp_path / "moved", {name: 2 * weights for name, weights in adapter.items()}, LoraSpec(2), str(parts / "model")
    )
    with pytest.raises(InputError, match=r"files of task\.model, task\.phi\.model or task\.adapter have changed"):
        run(moved, tmp_path / "third")
