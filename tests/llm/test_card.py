"""The card and what else says how an adapter is loaded and prompted."""

import json
import re
import shutil
from dataclasses import replace

import pytest
import yaml
from rich.console import Console

from crowd_sim.cli.run import run as run_command
from crowd_sim.store.run_folder import write_run
from crowd_sim.tasks.adapters.card import model_card
from tests.bad_input.command import IN_PROCESS
from tests.llm.small import config

TEMPLATE = "<q>say ```{prompt}```\n<a>\n"


@pytest.fixture(scope="module")
def finished(parts, tmp_path_factory):
    root = tmp_path_factory.mktemp("card")
    model = root / "my: model #1"
    shutil.copytree(parts / "model", model)
    setup = config(
        parts,
        tournament={"rounds": 1},
        task={"model": str(model), "prompt_template": TEMPLATE, "max_tokens": 60},
    )
    return run_command(setup, "card", root / "run", IN_PROCESS[1], Console(quiet=True))


def of(finished, **fields):
    """The outcome as if the section `task` had said something else."""
    setup = finished.outcome.config
    return replace(finished.outcome, config=setup.model_copy(update={"task": setup.task.model_copy(update=fields)}))


def front_of(card: str):
    return yaml.safe_load(card.split("---\n")[1])


def test_the_front_matter_is_yaml_whatever_the_models_folder_is_called(finished):
    card = (finished.folder / "adapter" / "run-0" / "README.md").read_text(encoding="utf-8")
    assert front_of(card) == {
        "base_model": finished.outcome.config.task.model,
        "library_name": "peft",
        "tags": ["lora", "crowd-sim"],
    }


@pytest.mark.parametrize("template", [TEMPLATE, "{prompt}:", "`{prompt}` "])
def test_the_prompt_template_can_be_copied(finished, template):
    card = model_card(of(finished, prompt_template=template), 0, "0" * 64, [])
    ((said, _, block),) = re.findall(r"^The prompt template (.*):\n\n(````*)text\n(.*?)\n\2$", card, re.M | re.S)
    assert block + "\n" * ("ends in a line break" in said) == template


def test_without_a_template_it_is_the_base_models(finished):
    assert "with the chat template of the base model." in model_card(
        of(finished, prompt_template=None), 0, "0" * 64, []
    )


def test_card_and_adapter_name_the_packaged_model_by_its_id_on_the_hub(finished, tmp_path):
    write_run(tmp_path, of(finished, model="smollm2-135m"), "0" * 64)
    own = tmp_path / "adapter" / "run-0"
    named = json.loads((own / "adapter_config.json").read_text())["base_model_name_or_path"]
    assert named == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert front_of((own / "README.md").read_text(encoding="utf-8"))["base_model"] == named


def test_merging_needs_neither_the_trainers_device_nor_phi(finished, tmp_path, capfd):
    import torch

    outcome = of(finished, merged_model=True, device="cuda", phi=config_phi("/no/such/folder"))
    info = replace(outcome.details.info, dtype="bfloat16")
    write_run(tmp_path, replace(outcome, details=replace(outcome.details, info=info)), "0" * 64)
    from safetensors.torch import load_file

    merged = load_file(tmp_path / "merged" / "run-0" / "model.safetensors")
    assert {weights.dtype for weights in merged.values()} == {torch.bfloat16}
    assert capfd.readouterr() == ("", "")


def config_phi(model: str):
    from crowd_sim.config.task import PhiConfig

    return PhiConfig(kind="embedding", model=model)
