"""The README and the pages of docs/: their Python runs, links lead somewhere, tables say where they come from."""

import importlib.util
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from crowd_sim.config.reference import reference
from experiments.results_index import anchor, results_page
from tests.bad_input.command import call

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SCRIPTS = [path for end in ("sh", "slurm", "yaml", "py") for path in sorted((ROOT / "experiments").rglob(f"*.{end}"))]


def without_code(text):
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", ["estimators", "values", "quickstart", "python", "strategies", "trackers"])
def test_every_block_of_python_runs(page, tmp_path, monkeypatch):
    text = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert blocks
    if "crowd_sim.search(" in "".join(blocks):
        pytest.importorskip("optuna")
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in blocks:
        if block.startswith("# ") and ".py" in block.splitlines()[0]:  # a file that the page has the reader write
            (tmp_path / block.splitlines()[0].removeprefix("# ")).write_text(block)
        exec(compile(block, f"{page}.md", "exec"), names)
    checked = {
        "estimators": lambda: names["result"].method == "surrogate" and names["banzhaf"].values.shape == (30,),
        "values": lambda: names["better"].n_evaluations >= names["first"].n_evaluations,
        "python": lambda: names["result"].method == "stratified",
    }
    assert checked.get(page, lambda: True)()


@pytest.mark.parametrize("page", ["quickstart", "data", "sweeps"])
def test_the_commands_of_a_page_do_as_they_are_written(page, tmp_path, monkeypatch):
    """Those that need no cluster; with the files that the page shows."""
    text = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    for name, content in re.findall(r"`([\w.]+)`:\n\n```\w+\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        Path(name).write_text(content)
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    lines = [line for block in blocks for line in block.splitlines() if "pip install" not in block]
    assert lines
    for line in lines:
        program, *arguments = shlex.split(line)
        assert program == "crowd-sim"
        assert call(arguments) == 0, line


SBATCH = """#!/usr/bin/env bash
# what Slurm does with `sbatch --wait --array=1-N SCRIPT ARGUMENTS`, one job after the other
set -euo pipefail
[ "$1" = --wait ]
last=${2#--array=1-}
shift 2
for i in $(seq "$last"); do SLURM_ARRAY_TASK_ID=$i SLURM_ARRAY_TASK_COUNT=$last bash "$@"; done
"""


def test_the_commands_of_the_page_for_slurm_lead_to_a_report(tmp_path, monkeypatch):
    text = (ROOT / "docs" / "slurm.md").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    Path("bin").mkdir()
    Path("bin/sbatch").write_text(SBATCH)
    Path("bin/sbatch").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{Path(sys.executable).parent}:{os.environ['PATH']}")
    (sweep,) = re.findall(r"^```yaml\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    Path("sweep.yaml").write_text(sweep)
    _, *blocks = re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    for block in blocks:
        subprocess.run(["bash", "-euo", "pipefail", "-c", block], check=True)
    assert Path("runs/first/report.html").exists()
    assert len(pd.read_parquet("runs/first/points.parquet")) == 4


def test_the_readme_is_short_and_begins_with_two_commands():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 150
    first, second = re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE)[:2]
    assert "crowd-sim run quickstart" in first
    assert second.rstrip().endswith("pytest")


def test_the_reference_is_that_of_the_models():
    assert reference() in (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")


def test_the_page_of_results_is_that_of_the_tables():
    assert (ROOT / "docs" / "results.md").read_text(encoding="utf-8") == results_page()


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?:)([^)\s]+)", without_code(page.read_text(encoding="utf-8"))):
        path, _, fragment = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), target
        if fragment:
            headings = re.findall(r"^#+ (.*)$", without_code(found.read_text(encoding="utf-8")), re.MULTILINE)
            assert fragment in map(anchor, headings), target


def test_commands_of_modules_are_of_modules_that_are_there():
    for page in PAGES + SCRIPTS:
        text = page.read_text(encoding="utf-8")
        for module in set(re.findall(r"python -m ((?:experiments|crowd_sim)[\w.]*\w)", text)):
            assert importlib.util.find_spec(module), (page.name, module)


def test_every_marked_table_says_what_prints_it():
    for page in PAGES:
        lines = page.read_text(encoding="utf-8").splitlines()
        for i, line in enumerate(lines):
            if re.match("<!-- (?!reference)[a-z-]+: begin -->", line):
                assert lines[i - 2].startswith("*Printed by* `"), (page.name, line)
