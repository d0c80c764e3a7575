"""What the README prints in Python runs as it is printed, one block after the other."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_guide_to_estimators_runs(tmp_path, monkeypatch):
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs/estimators.md").read_text(), re.DOTALL | re.MULTILINE)
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in blocks:
        exec(compile(block, "estimators.md", "exec"), names)
    assert names["result"].method == "paired_regression"
    assert names["banzhaf"].values.shape == (30,)


def test_every_block_of_python_runs(tmp_path, monkeypatch):
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.DOTALL | re.MULTILINE)
    assert len(blocks) >= 2
    monkeypatch.chdir(tmp_path)
    (tmp_path / "experiments").symlink_to(ROOT / "experiments")
    names = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)
    assert names["result"].method == "stratified"
    assert names["better"].n_evaluations >= names["first"].n_evaluations
