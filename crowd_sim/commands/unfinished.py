"""A valuation that was stopped: its utilities stay in its folder until the values are there, and the same command goes on."""

from __future__ import annotations

import os
import socket
import sys
import sysconfig
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crowd_sim.config import CheckpointConfig
from crowd_sim.errors import InputError, StorageError
from crowd_sim.files import fingerprint_of, make_folder, write_sealed
from crowd_sim.store.checkpoint import Checkpoints
from crowd_sim.store.checkpointer import Checkpointer
from crowd_sim.store.lock import RUN, ending, lock
from crowd_sim.store.run_log import STATUS, UNFINISHED, Status
from crowd_sim.valuation import ShapleyResult
from crowd_sim.valuation.request import Chunk, Evaluate

_SECONDS_BETWEEN_WRITES = 1.0
_OF_OTHERS = ("site-packages", "dist-packages")


def go_on(
    folder: Path,
    question: str,
    budget: int,
    value: Callable[[Evaluate], list[ShapleyResult]],
    evaluate: Callable[[Iterable[Chunk]], Iterator[NDArray[np.float64]]],
    check: Callable[[], object],
    finish: Callable[[ShapleyResult], object],
) -> ShapleyResult:
    """What `value` makes of an evaluator that knows what an earlier call, of the same question, has evaluated.

    Utilities are kept every few seconds, and where the valuation ends without values, but for a refusal. Nobody else is at work
    in the folder from the first evaluation until the values are written.

    Args:
        folder: for the values.
        question: a digest of all that the utilities depend on.
        budget: evaluations at most, for the status.
        value: values the game.
        evaluate: evaluates it.
        check: called once nobody else is at work there, before anything is evaluated: raises where the values are there.
        finish: writes the values.

    Raises:
        InputError: another process is at work in the folder, or was there first.
        StorageError: the folder cannot be written any more.
    """
    place = Checkpoints(folder / UNFINISHED, question)
    earlier = place.last("values")
    saving = Checkpointer([earlier] if earlier else [], CheckpointConfig(), place.write, lambda *_, **__: None)
    log = saving.last_values()
    before = log.n_evaluated
    with at_work(folder, budget, check) as told:

        def begun(chunks: Iterable[Chunk]) -> Iterator[NDArray[np.float64]]:
            told(log.n_evaluated)
            yield from evaluate(chunks)

        def after() -> None:
            saving.after_evaluations(log)
            told(log.n_evaluated)

        try:
            result = log.result(value, begun, after)[0]
            finish(result)
        except InputError:  # given again it would be refused again
            raise
        except BaseException:
            if log.n_evaluated > before:
                saving.stopped_valuing(log)
            raise
    return result


@contextmanager
def at_work(folder: Path, budget: int, check: Callable[[], object] = lambda: None) -> Iterator[Callable[[int], None]]:
    """What to tell how many evaluations are done, for `crowd-sim status`; how it ends is told, too.

    The folder is made, locked and checked when it is told for the first time: a valuation that is refused leaves none.

    Raises:
        InputError: another process is at work in the folder, or it cannot be made.
        StorageError: it cannot be written any more.
    """
    place, now = folder / UNFINISHED, time.time()
    status = Status("running", "evaluations", 0, budget, now, now, os.getpid(), socket.gethostname())
    written = 0.0
    with ExitStack() as held:

        def write() -> None:
            nonlocal written
            status.updated, written = time.time(), time.monotonic()
            write_sealed(place / STATUS, asdict(status))

        def told(done: int) -> None:
            status.done, status.total = (
                done,
                max(done, budget),
            )  # exact values ask for all coalitions, whatever the budget
            if not written:
                make_folder(folder)
                try:
                    make_folder(place)
                    held.enter_context(lock(place / RUN))
                except InputError as error:  # it is the folder above that was given
                    raise InputError(error.field, str(folder), error.allowed) from None
                check()
            if not written or time.monotonic() - written >= _SECONDS_BETWEEN_WRITES:
                write()

        try:
            yield told
        except BaseException as error:
            status.state, status.error = ending(error)
            if written:
                _end(folder, write, refused=isinstance(error, InputError))
            raise


def _end(folder: Path, write: Callable[[], None], *, refused: bool) -> None:
    place = folder / UNFINISHED
    if not refused or (place / "checkpoints").is_dir():
        with suppress(StorageError):  # why it stopped is what counts, and may be just that
            write()
        return
    _remove_notes(place)
    with suppress(OSError):  # not empty
        folder.rmdir()


def remove(folder: Path) -> None:
    """The values are there: what was kept on the way is of no use."""
    place = folder / UNFINISHED
    with suppress(OSError):  # it was never there
        for path in place.glob("checkpoints/values-*.checkpoint"):
            path.unlink(missing_ok=True)
        (place / "checkpoints").rmdir()
    _remove_notes(place)


def _remove_notes(place: Path) -> None:
    with suppress(OSError):
        for name in (STATUS, RUN):
            (place / name).unlink(missing_ok=True)
        place.rmdir()


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
