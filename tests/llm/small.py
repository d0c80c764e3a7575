"""A small LLM run: six workers, a model and a Φ of a few thousand weights."""

import json
from pathlib import Path
from typing import Any

from crowd_sim.config import RunConfig
from tests.learners.tiny_llm import TEMPLATE, make_tiny_llm, make_tiny_phi

WORDS = ("sun", "rain on tin", "a mild day", "no", "snow, again", "wind")


def make_parts(folder: Path) -> Path:
    """Model, Φ, feedback and target in a folder."""
    make_tiny_llm(folder / "model")
    make_tiny_phi(folder / "phi")
    lines = [
        {"worker": f"w{i}", "prompt": f"day {j}?", "response": f"{word} {j}"}
        for i, word in enumerate(WORDS)
        for j in range(1 + i % 3)
    ]
    (folder / "feedback.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "target.txt").write_text("sun and rain all day long\nsun\nmild wind\n")
    return folder


def content(folder: Path, **changes: dict[str, Any]) -> dict[str, Any]:
    """A configuration's content; `changes` by section."""
    base: dict[str, dict[str, Any]] = {
        "crowd": {
            "source": "feedback",
            "path": str(folder / "feedback.jsonl"),
            "target": str(folder / "target.txt"),
            "n_workers": len(WORDS),
        },
        "tournament": {"rounds": 2, "n_groups": 2, "mistake_probability": 0.0, "drop_used": True},
        "valuation": {"method": "none"},
        "task": {
            "kind": "imitate",
            "model": str(folder / "model"),
            "prompt_template": TEMPLATE,
            "rank": 2,
            "epochs": 1,
            "batch_size": 4,
            "learning_rate": 0.02,
            "max_tokens": 40,
            "device": "cpu",
            "phi": {"kind": "embedding", "model": str(folder / "phi")},
            "generation": {"selection_outputs": 4, "report_outputs": 3, "max_new_tokens": 5},
        },
    }
    for section, fields in changes.items():
        base[section] = {**base.get(section, {}), **fields}
    return base


def config(folder: Path, runs: int = 1, **changes: dict[str, Any]) -> RunConfig:
    return RunConfig.parse({"seed": 4, "runs": runs, **content(folder, **changes)})
