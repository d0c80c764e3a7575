"""A valuation that was stopped: its utilities stay in its folder until the values are there, and the same command goes on."""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crowd_sim.config import CheckpointConfig
from crowd_sim.errors import InputError
from crowd_sim.files import fingerprint_of
from crowd_sim.store.checkpoint import Checkpoints
from crowd_sim.store.checkpointer import Checkpointer
from crowd_sim.valuation import ShapleyResult
from crowd_sim.valuation.request import Chunk, Evaluate

UNFINISHED = "unfinished"
"""The folder, in that of the values, of what is kept."""

_OF_OTHERS = ("site-packages", "dist-packages")


def go_on(
    folder: Path,
    question: str,
    value: Callable[[Evaluate], list[ShapleyResult]],
    evaluate: Callable[[Iterable[Chunk]], Iterator[NDArray[np.float64]]],
) -> ShapleyResult:
    """What `value` makes of an evaluator that knows what an earlier call, of the same question, has evaluated.

    Utilities are kept every few seconds, and where the valuation ends without values, but for a refusal.

    Args:
        folder: for the values.
        question: a digest of all that the utilities depend on.
        value: values the game.
        evaluate: evaluates it.

    Raises:
        StorageError: the folder cannot be written.
    """
    place = Checkpoints(folder / UNFINISHED, question)
    earlier = place.last("values")
    saving = Checkpointer([earlier] if earlier else [], CheckpointConfig(), place.write, lambda *_, **__: None)
    log = saving.last_values()
    before = log.n_evaluated
    try:
        return log.result(value, evaluate, lambda: saving.after_evaluations(log))[0]
    except InputError:  # given again it would be refused again
        raise
    except BaseException:
        if log.n_evaluated > before:
            saving.stopped_valuing(log)
        raise


def remove(folder: Path) -> None:
    """The values are there: what was kept on the way is of no use."""
    place = folder / UNFINISHED / "checkpoints"
    with suppress(OSError):  # it was never there, or another command of the same question is writing
        for path in place.glob("values-*.checkpoint"):
            path.unlink(missing_ok=True)
        place.rmdir()
        place.parent.rmdir()


def digest_of_code(module: str) -> str | None:
    """Of the sources of a user's module and of all others that are nobody's package; ``None`` where it has no source.

    What the module imports may change without it.
    """
    if _source_of(module) is None:  # typed into a notebook, say
        return None
    sources = {name: path for name in list(sys.modules) if (path := _source_of(name)) is not None}
    return fingerprint_of({"modules": sorted(sources)}, [sources[name].read_bytes() for name in sorted(sources)])


def _source_of(module: str) -> Path | None:
    """The source of a module that is neither Python's, nor of an installed package, nor of this project."""
    name = getattr(sys.modules.get(module), "__file__", None)
    path = Path(name) if isinstance(name, str) and name.endswith(".py") else None
    if path is None or module.partition(".")[0] in ("crowd_sim", *sys.stdlib_module_names):
        return None
    if any(part in _OF_OTHERS for part in path.parts) or path.is_relative_to(sysconfig.get_paths()["stdlib"]):
        return None
    return path if path.is_file() else None
