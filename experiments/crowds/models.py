"""What the experiments with a real model have in common: their options, and what stands below their tables."""

from __future__ import annotations

import argparse
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from shutil import which

import numpy as np
import pandas as pd
from scipy.stats import t as student


def options(doc: str | None, n_seeds: int = 3) -> argparse.ArgumentParser:
    """A parser of --out, --seeds, --data and --model."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(1, n_seeds + 1)))
    parser.add_argument(
        "--data", type=Path, help="as crowd.path of goemotions; absent: the environment's CROWD_SIM_DATA"
    )
    parser.add_argument("--model", default="smollm2-135m")
    return parser


def interval(values: pd.Series, digits: int = 1) -> str:
    """Mean and 95 % interval, with so many digits after the point."""
    n = len(values)
    if n < 2:
        return f"{values.mean():.{digits}f}".replace("-", "−")
    half = student.ppf(0.975, n - 1) * values.std(ddof=1) / np.sqrt(n)
    shown = [f"{value:.{digits}f}" for value in (values.mean(), values.mean() - half, values.mean() + half)]
    return f"{shown[0]} [{shown[1]}, {shown[2]}]".replace("-", "−")


def provenance() -> str:
    """Commit, date and machine."""
    git, command = which("git"), ("rev-parse", "--short", "HEAD")
    told = git and subprocess.run([git, *command], capture_output=True, text=True, check=False)  # noqa: S603 - our own command
    commit = (told and told.stdout.strip()) or "unknown"
    return f"commit {commit}, {datetime.now(UTC):%Y-%m-%d}, {platform.machine()}, Python {platform.python_version()}"
