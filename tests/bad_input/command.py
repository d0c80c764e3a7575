"""The command line in this process, and what a refusal must look like."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from crowd_sim.cli.app import main
from crowd_sim.integrity import sealed_yaml

CONFIGURATION = """\
seed: 0
runs: 2
crowd: {n_workers: 6}
tournament: {rounds: 3, n_groups: 2, score: dot}
valuation: {kernel_shap_budget: 0}
"""

SWEEP = CONFIGURATION + "sweep: {crowd: {n_workers: [4, 6]}, tournament: {score: [dot, l2]}}\n"

IN_PROCESS = ("--ray-address", "none")


def snapshot(folder: Path) -> dict[str, bytes | None]:
    """Everything below a folder: files with their content, folders and other things as None."""
    return {str(path): path.read_bytes() if path.is_file() else None for path in sorted(folder.rglob("*"))}


def reseal(path: Path, content: dict[str, Any]) -> None:
    """Write a folder's config.yaml with another content, as its own command would have."""
    told = {key: value for key, value in content.items() if key not in ("format", "digest")}
    path.write_text(sealed_yaml(yaml.safe_dump(told)))


def call(arguments: Sequence[str]) -> int:
    """Run `crowd-sim` with these arguments; its exit status."""
    with pytest.raises(SystemExit) as caught:
        main(list(arguments))
    return caught.value.code  # type: ignore[return-value]


def check_line(stderr: str, fragments: Sequence[str]) -> None:
    """One line, from us, that says all that is expected of it."""
    assert stderr.endswith("\n")
    assert len(stderr.splitlines()) == 1, stderr
    missing = [fragment for fragment in fragments if fragment not in stderr]
    assert not missing, f"{missing} not in: {stderr}"
