"""Flips single bits of the files of finished folders, and counts those that are accepted with another content.

`python -m experiments.bench.flipped_bits FOLDER… --flips 83000`

A flip is found by `crowd-sim verify`, and refused, or passed over, by whatever reads the file. The folders are copied first.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from crowd_sim.commands.verify import SOURCES, digests_known, state_of
from crowd_sim.config.io import load_content
from crowd_sim.errors import InputError
from crowd_sim.files import read_config
from crowd_sim.integrity import MANIFEST
from crowd_sim.report.tables import read_summary, read_table
from crowd_sim.store.checkpoint import Checkpoints
from crowd_sim.store.run_log import read_status
from crowd_sim.sweeps.log import read_sweep_statuses
from crowd_sim.sweeps.parts import count_points

REFUSED = "refused"


def _statuses(folder: Path, _name: str) -> Any:
    return read_sweep_statuses(folder)


def _summary(folder: Path, name: str) -> Any:
    parts = json.loads((folder / name).read_bytes()).items()
    return read_summary(folder, next(key for key, value in parts if isinstance(value, dict)))


def _checkpoints(folder: Path, _name: str) -> Any:
    fingerprint = str(read_config(folder).get("fingerprint"))
    return {kept.content for kept in Checkpoints(folder, fingerprint).read()}


_READERS: dict[str, Callable[[Path, str], Any]] = {
    "config.yaml": lambda folder, name: (read_config(folder), load_content(folder / name)),
    "status.json": lambda folder, _: read_status(folder),
    "status-*.json": _statuses,
    "summary.json": _summary,
    "parts/*/*.parquet": lambda folder, _: count_points(folder),
    "*/*.parquet": lambda *_: None,
    "*.parquet": lambda folder, name: read_table(folder, name).to_csv(),
    "checkpoints/*.checkpoint": _checkpoints,
}
"""By the name of a file."""


def content(folder: Path, name: str) -> Any:
    """What the reader of a file takes it for; `REFUSED` where it takes nothing, None where nothing but people reads it."""
    reader = next((own for pattern, own in _READERS.items() if Path(name).match(pattern)), None)
    try:
        return None if reader is None else reader(folder, name)
    except (InputError, ValueError, StopIteration):
        return REFUSED


def flip(folder: Path, flips: int, seed: int, say: Callable[[str], object] = lambda _: None) -> Counter[str]:
    """Flip bits of a folder's files, one at a time, and put each back; how many were made, found and accepted.

    Args:
        folder: whose files are changed, and changed back.
        flips: how many; every file that is not empty gets as many as the others, about.
        seed: of the draw.
        say: told of each flip that was accepted with another content.
    """
    rng = np.random.default_rng(seed)
    names = [p.relative_to(folder).as_posix() for p in sorted(folder.rglob("*")) if p.is_file() and p.stat().st_size]
    found: Counter[str] = Counter()
    known, lists = digests_known(folder), {*SOURCES, MANIFEST}
    for name in names:
        path = folder / name
        whole, before = path.read_bytes(), content(folder, name)
        for place in rng.integers(len(whole) * 8, size=-(-flips // len(names))).tolist():
            damaged = bytearray(whole)
            damaged[place // 8] ^= 1 << place % 8
            path.write_bytes(damaged)
            now = content(folder, name)
            now_known = digests_known(folder) if name in lists else known
            states = {state_of(folder, other, now_known) for other in ({name, *now_known} if name in lists else {name})}
            path.with_suffix(".damaged").unlink(missing_ok=True)
            path.write_bytes(whole)
            found["flipped"] += 1
            found["found by verify"] += bool(states & {"damaged", "missing"})
            refused = now == REFUSED or (before is not None and _is_less(now, before))
            same = path.suffix in (".json", ".jsonl") and _parsed(bytes(damaged)) == _parsed(whole)
            if not (same or (states & {"damaged", "missing"} and (refused or before is None or now == before))):
                found["accepted"] += 1
                say(f"{folder.name}/{name}: bit {place}")
    return found


def _is_less(now: Any, before: Any) -> bool:
    """Whether a reader has passed over what it could not read."""
    return (isinstance(before, set) and now < before) or (isinstance(before, tuple) and now <= before)


def _parsed(content: bytes) -> Any:
    try:
        return (
            [json.loads(line) for line in content.split(b"\n") if line] if b"}\n{" in content else json.loads(content)
        )
    except ValueError:
        return content


def main() -> None:
    """Flip bits of copies of the folders named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--flips", type=int, default=1_000, help="of all folders together")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    total: Counter[str] = Counter({"accepted": 0})
    with tempfile.TemporaryDirectory() as temporary:
        for number, folder in enumerate(arguments.folders):
            copy = Path(temporary) / f"{number}" / folder.name
            shutil.copytree(folder, copy)
            share = -(-arguments.flips // len(arguments.folders))
            total += flip(copy, share, arguments.seed + number, print)
    print(", ".join(f"{total[key]:,} {key}" for key in ("flipped", "found by verify", "accepted")))


if __name__ == "__main__":
    main()
