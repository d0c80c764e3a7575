"""Crowds who label, prefer and answer, and runs of them, for the tests of `classify`, `prefer` and `verify`."""

import json

import numpy as np
from rich.console import Console

from crowd_sim.cli.run import run as run_command
from crowd_sim.config import RunConfig
from crowd_sim.crowd.texts import Example
from crowd_sim.models.lora import shared_learner
from crowd_sim.tasks.adapters.settings import learner_spec
from tests.bad_input.command import IN_PROCESS
from tests.learners.tiny_llm import TEMPLATE

WEATHER = ("rain", "hail", "snow", "sun", "heat", "glow")


def labels(n=36):
    return [
        {"worker": f"w{i % 6}", "text": f"{WEATHER[i % 6]} {i}", "label": "wet" if i % 6 < 3 else "dry"}
        for i in range(n)
    ]


def pairs(n=36):
    return [
        {"worker": f"w{i % 6}", "prompt": f"day {i}?", "chosen": f"sun {i}", "rejected": f"rain {i}"} for i in range(n)
    ]


def answers(n=36):
    return [{"worker": f"w{i % 6}", "prompt": f"day {i}?", "answer": WEATHER[i % 6][:1]} for i in range(n)]


ROWS = {"classify": labels, "prefer": pairs, "verify": answers}


FULL = {
    "crowd": {"bad": {"behaviour": "flip", "share": 0.2}},
    "tournament": {"reward": "marginal", "exploit_every": 2, "weight_power": 30, "search": "greedy_soup"},
    "task": {
        "tokens_per_round": 70,
        "question": "{text}: {labels}?",
        "baselines": ["expert", "single"],
        "expert_epochs": 2,
    },
}
"""Of `classify`, with an expert."""


def expert(n=6):
    return [
        {"worker": "t", "text": f"{WEATHER[i % 6]} and {i}", "label": "wet" if i % 6 < 3 else "dry"} for i in range(n)
    ]


PEERS = {"screens": {"action": "exclude", "use": ["peers"]}}


def configuration(parts, tmp_path, kind, rows=None, target=None, trusted=None, screens=None, **changes):
    path = tmp_path / f"{kind}.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows or ROWS[kind]()))
    crowd = {"source": "records", "path": str(path), "n_workers": 6, "held_out": 0.2}
    if target is not None:
        (tmp_path / "trusted.jsonl").write_text("".join(json.dumps(row) + "\n" for row in target))
        crowd |= {"held_out": 0.0, "target": str(tmp_path / "trusted.jsonl")}
    given = {}
    if trusted is not None:
        given["expert"] = str(tmp_path / "expert.jsonl")
        (tmp_path / "expert.jsonl").write_text("".join(json.dumps(row) + "\n" for row in trusted))
    task = given | {
        "kind": kind,
        "model": str(parts / "model"),
        "prompt_template": TEMPLATE,
        "rank": 2,
        "epochs": 1,
        "max_tokens": 90,
    }
    task |= {"batch_size": 4, "learning_rate": 0.02, "device": "cpu"} | {
        "prefer": {"objective": "dpo"},
        "verify": OWN,
    }.get(kind, {})
    return RunConfig.parse(
        {
            "seed": 4,
            "crowd": crowd | changes.get("crowd", {}),
            "tournament": {"rounds": 2, "n_groups": 2, "mistake_probability": 0.0, "incumbent": False}
            | changes.get("tournament", {}),
            "valuation": changes.get("valuation", {"method": "none"}),
            "actors": changes.get("actors", {}),
            "task": task | changes.get("task", {}),
        }
        | ({} if screens is None else {"screens": screens})
    )


OWN = {
    "objective": "rloo",
    "verifier": {"kind": "regex", "pattern": "[{answer}a-p]", "n_outputs": 3},
    "generation": {"max_new_tokens": 4, "temperature": 1.0},
    "baselines": ["single"],
}


def run(setup, out):
    return run_command(setup, "small", out, IN_PROCESS[1], Console(quiet=True))


def by_peft(finished):
    """What the adapter that the folder holds says of the report, loaded as anybody would: the run's numbers."""
    import peft
    import torch
    import transformers

    folder, setup, details = finished.folder, finished.outcome.config, finished.outcome.details
    base = transformers.AutoModelForCausalLM.from_pretrained(setup.task.model, dtype="float32")
    model = peft.PeftModel.from_pretrained(base, folder / "adapter" / "run-0").eval()
    told, kept = (json.loads((folder / "summary.json").read_text())[name] for name in ("learner", "files"))
    assert told["dtype"] == "float32"
    assert "adapter/run-0/adapter_model.safetensors" in kept
    card = (folder / "adapter" / "run-0" / "README.md").read_text(encoding="utf-8")
    assert f"Task `{setup.task.kind}`, objective `{setup.task.objective}`" in card
    if setup.task.merged_model:
        merged = transformers.AutoModelForCausalLM.from_pretrained(folder / "merged" / "run-0", dtype="float32").eval()
        with torch.no_grad():
            found = [one(input_ids=torch.tensor([[1, 40, 41, 2]])).logits.numpy() for one in (merged, model)]
        np.testing.assert_allclose(*found, atol=1e-4)
    tokens = shared_learner(learner_spec(setup)).tokens

    def likelihood(item, choice):
        own = tokens(Example(item.prompt, choice, item.before))[0]
        with torch.no_grad():
            found = model(input_ids=torch.tensor([[*own.prompt, *own.response]])).logits[0].double().log_softmax(-1)
        return sum(found[len(own.prompt) - 1 + i, token].item() for i, token in enumerate(own.response))

    for i, item in list(enumerate(details.crowd.report))[:3]:
        if setup.task.kind == "verify":
            prompt = torch.tensor([list(tokens(Example(item.prompt, "x"))[0].prompt)])
            drawn = model.generate(input_ids=prompt, do_sample=False, max_new_tokens=4)[0, prompt.shape[1] :]
            decode = shared_learner(learner_spec(setup)).base.tokenizer.decode
            assert decode(drawn, skip_special_tokens=True) == details.texts[0]["after"][i]
            continue
        found = np.array([likelihood(item, choice) for choice in item.choices])
        if setup.task.kind == "prefer":
            with model.disable_adapter():
                found -= [likelihood(item, choice) for choice in item.choices]
            found *= setup.task.beta
        found = found if len(found) > 1 else np.append(found, 0.0)
        expected = np.exp(found) / np.exp(found).sum()
        np.testing.assert_allclose(details.probabilities[0, -1, i], expected, atol=1e-4)


def alternating(n=36, worker=lambda i: f"w{i // 2 % 6}"):
    return [{"worker": worker(i), "text": f"text {i}", "label": "xy"[i % 2]} for i in range(n)]
