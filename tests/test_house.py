"""The house: what starts without what, and documents that say what the code says. `lint-imports` holds the dependencies."""

import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from crowd_sim.config import RunConfig
from crowd_sim.config.reference import reference
from crowd_sim.files import write_table
from crowd_sim.registry import NAMES

ROOT = Path(__file__).parents[1]


def test_the_domain_runs_without_ray_or_torch():
    modules = sorted(
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in (ROOT / "crowd_sim").rglob("*.py")
        if path.relative_to(ROOT).parts[1] not in ("actors", "cli")
    )
    code = "import sys; sys.modules['ray'] = sys.modules['torch'] = None\n" + "\n".join(
        f"import {name.removesuffix('.__init__')}" for name in modules
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_an_actor_that_hosts_a_shard_does_not_wait_for_the_configuration_to_be_imported():
    """It would start in twice the time."""
    imports = "import sys, crowd_sim.actors.crowd, crowd_sim.actors.trainer"
    code = f"{imports}; print([name for name in sys.argv[1:] if name in sys.modules])"
    heavy = ["crowd_sim.config", "pydantic", "pandas", "pyarrow"]
    done = subprocess.run(
        [sys.executable, "-c", code, *heavy], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.stdout.strip() == "[]", done.stderr


def test_the_reference_names_every_field_and_every_strategy():
    text = reference()
    for name in leaves(RunConfig().model_dump()):
        assert f"| `{name}" in text  # an optional group stands there by its fields
    for kind, names in NAMES.items():
        row = next(line for line in text.splitlines() if re.match(rf"\| `[a-z]+\.{kind}`", line))
        for name in names:
            assert f"`{name}`" in row


def leaves(content: dict, prefix: str = "") -> list[str]:
    return [
        name
        for key, value in content.items()
        for name in (leaves(value, f"{prefix}{key}.") if isinstance(value, dict) else [f"{prefix}{key}"])
    ]


def test_what_ray_does_not_promise_to_keep_is_used_in_one_module():
    private = re.compile(r"\b(from|import) ray(\.\w+)*\._|\bray(\.\w+)*\._\w|\b(from|import) ray\.autoscaler")
    allowed = {
        "actors/ray_internals.py",
        "tests/test_deploy.py",
    }  # the latter: Ray's launcher has no public check of a file
    found = {
        str(path.relative_to(ROOT))
        for folder in ("actors", "crowd_sim", "experiments", "tests")
        for path in (ROOT / folder).rglob("*.py")
        if private.search(path.read_text(encoding="utf-8"))
    }
    assert found - {"crowd_sim/actors/ray_internals.py"} == allowed


@pytest.mark.parametrize("path", sorted((ROOT / "experiments" / "configs").glob("*.yaml")), ids=lambda p: p.name)
def test_every_configuration_in_the_house_is_valid(path):
    from crowd_sim.config.io import load_content
    from crowd_sim.sweeps.plan import Sweep

    content = load_content(path)
    if "sweep" in content:
        assert Sweep.parse(content).points
    else:
        RunConfig.parse(content)


def test_arrow_is_given_no_python_file():
    """A thread of Arrow's that lets go of a Python file while the interpreter ends aborts the process, now and then."""
    reader = re.compile(r"\b(ParquetFile|read_schema|read_csv|open_stream|open_file)\(\s*(?!arrow_file\()(\w[^,)]*)")
    own = {'self.folder / "failures.parquet"', "source"}  # a path, and a file that Arrow opened
    found = [
        f"{path.relative_to(ROOT)}: {what}({given})"
        for path in sorted((ROOT / "crowd_sim").rglob("*.py"))
        for what, given in reader.findall(path.read_text(encoding="utf-8"))
        if given not in own
    ]
    assert found == []


def test_tables_are_read_by_the_thread_that_asks(tmp_path):
    write_table(tmp_path / "a.parquet", pd.DataFrame({"a": range(100)}))
    code = f"""
import os, pathlib, pyarrow.parquet
from crowd_sim.files import arrow_table
before = len(os.listdir("/proc/self/task"))
table = arrow_table(pathlib.Path({str(tmp_path / "a.parquet")!r}).read_bytes())
print(len(table), len(os.listdir("/proc/self/task")) - before)
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["100", "0"]


def test_no_table_is_read_by_many_threads():
    threaded = re.compile(
        r"\b(pd|pandas)\.read_parquet\(|\bread_table\([^)]*page_checksum|pq\.read_table\(|iter_batches\("
    )
    found = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path in sorted((ROOT / "crowd_sim").rglob("*.py"))
        for line in path.read_text(encoding="utf-8").splitlines()
        if threaded.search(line) and "use_threads=False" not in line and not line.strip().startswith(("`", "#"))
    ]
    assert found == []
