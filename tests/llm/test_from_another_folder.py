"""An LLM run whose texts and models are named by relative paths goes on from another folder."""

import shutil
from pathlib import Path

import pandas as pd
import yaml

from crowd_sim import engine
from tests.bad_input.command import IN_PROCESS, call
from tests.llm.small import content

FILES = ("config.yaml", "summary.json", "adapter/run-0/README.md", "adapter/run-0/adapter_config.json")


def test_a_run_of_feedback_goes_on_from_another_folder(parts, tmp_path, monkeypatch):
    a, b = tmp_path / "a", tmp_path / "b"
    shutil.copytree(parts, a)
    b.mkdir()
    monkeypatch.chdir(a)
    relative = {"seed": 4, **content(Path())}
    assert relative["crowd"]["path"] == "feedback.jsonl"
    Path("run.yaml").write_text(yaml.safe_dump(relative))
    assert call(["run", "run.yaml", "--out", "runs/out", *IN_PROCESS]) == 0
    before = {name: Path("runs/out", name).read_bytes() for name in FILES}
    monkeypatch.chdir(b)
    folder = Path("..", "a", "runs", "out")
    (folder / "summary.json").unlink()
    shutil.rmtree(folder / "adapter")
    monkeypatch.setattr(engine, "play", None)  # no round is played again
    assert call(["run", "--resume", str(folder), *IN_PROCESS]) == 0
    assert {name: (folder / name).read_bytes() for name in FILES} == before
    assert len(pd.read_parquet(folder / "rounds.parquet"))
    recorded = yaml.safe_load(before["config.yaml"])
    assert (recorded["crowd"]["target"], recorded["task"]["model"]) == ("target.txt", "model")
    assert {"python", "numpy", "ray", "torch", "transformers", "peft"} <= recorded["versions"].keys()
    assert (recorded["task"]["phi"]["model"], recorded["working_folder"]) == ("phi", "../..")
