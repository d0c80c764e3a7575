"""`python -m tests.golden.runs KIND FOLDER`: the runs of a kind, by the command line; their digests in FOLDER/digests.json.

One process for all of them, as most of a small run's time is the imports and what numba compiles. Of the project nothing but
the command line is imported, so that these runs outlive whatever happens behind it.
"""

import io
import json
import os
import sys
import tempfile
import traceback
from collections.abc import Mapping
from contextlib import redirect_stderr
from pathlib import Path
from subprocess import DEVNULL, PIPE, run
from typing import Any

import yaml

from tests.golden.configurations import MODELS, SWEEPS, VECTORS, Content, write_people, write_texts
from tests.golden.hashing import Digests, digests
from tests.golden.pinned import check, environment

KINDS: dict[str, dict[str, Content]] = {"vectors": VECTORS | SWEEPS, "models": MODELS}


def made(kind: str) -> dict[str, Digests]:
    """The digests of every configuration of a kind, by name; a run that failed has its error for a digest."""
    command = [sys.executable, "-m", "tests.golden.runs", kind]
    with tempfile.TemporaryDirectory() as folder:
        done = run(
            [*command, folder],
            cwd=Path(__file__).parents[2],
            env=environment(),
            stdout=DEVNULL,
            stderr=PIPE,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr}")
        return json.loads((Path(folder) / "digests.json").read_text(encoding="utf-8"))


def _make(kind: str) -> dict[str, Digests]:
    write_people(Path("parts"))
    if kind == "models":
        write_texts(Path("parts"))
    return {name: _made(name, content) for name, content in KINDS[kind].items()}


def _made(name: str, content: Mapping[str, Any]) -> Digests:
    path, folder = Path(f"{name}.yaml"), Path(name)
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    # a run that fails fails its own test, not the others'
    error = _call(["sweep" if "sweep" in content else "run", str(path), "--ray-address", "none", "--out", name])
    return {"command": {"error": error}} if error else digests(folder)


def _draw_nothing() -> None:
    """Most of such a run's time goes into figures, which are no results."""
    from matplotlib.figure import Figure

    def saved(_: Figure, target: Any, **__: Any) -> None:
        target.write(b"") if hasattr(target, "write") else Path(target).write_bytes(b"")

    Figure.savefig = saved  # type: ignore[method-assign]


def _call(arguments: list[str]) -> str | None:
    from crowd_sim.cli.app import main

    try:
        with redirect_stderr(io.StringIO()) as said:
            main(arguments)
    except SystemExit as stop:
        return f"exit status {stop.code}: {said.getvalue().strip()}" if stop.code else None
    except Exception:
        return traceback.format_exc()
    return None


if __name__ == "__main__":
    os.chdir(sys.argv[2])  # the configurations' paths are relative
    _draw_nothing()
    _content = _make(sys.argv[1])
    check()  # now that all libraries are loaded
    Path("digests.json").write_text(json.dumps(_content), encoding="utf-8")
