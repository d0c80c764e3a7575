"""`crowd-sim status`: how far a run, a sweep or a valuation is, in a few lines, once or until it is over."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.text import Text

from crowd_sim.characters import shell_word, visible
from crowd_sim.errors import InputError
from crowd_sim.files import read_config
from crowd_sim.integrity import DamagedError
from crowd_sim.paths import exists
from crowd_sim.store.run_log import Status, evaluations_kept, read_status, read_values_status
from crowd_sim.sweeps.lists import size_of
from crowd_sim.sweeps.log import SweepStatus, read_sweep_statuses
from crowd_sim.sweeps.parts import count_points

_SECONDS_BETWEEN_LOOKS = 1.0


def watch(folder: Path, console: Console) -> None:
    """Show `status_lines` until nobody is at work in the folder: in place on a terminal, elsewhere when they change.

    Raises:
        InputError: see `status_lines`.
    """
    lines = [visible(line) for line in status_lines(folder)]  # a folder that is refused is, before anything is drawn
    with Live(console=console, auto_refresh=False) if console.is_terminal else nullcontext() as live:
        said: list[str] = []
        while True:
            if live is not None:
                live.update(Text("\n".join(lines)), refresh=True)
            elif (new := [_AGO.sub("", line) for line in lines[:2]]) != said:
                said = new
                console.print("\n".join(lines), highlight=False, soft_wrap=True)
            if not is_at_work(folder):
                return
            time.sleep(_SECONDS_BETWEEN_LOOKS)
            lines = [visible(line) for line in status_lines(folder)]


_AGO = re.compile(r", [\d:, a-z]* ago$")


def is_at_work(folder: Path) -> bool:
    """Whether a command is at work in the folder of a run or a sweep."""
    if isinstance(values := read_values_status(folder), Status):
        return values.state == "running"
    if commands := read_sweep_statuses(folder):
        return any(command.state == "running" for command in commands)
    return exists(folder / "status.json") and read_status(folder).state == "running"


def status_lines(folder: Path) -> Iterator[str]:
    """What there is to say of a run, a sweep or a valuation, from its folder alone.

    Raises:
        InputError: none has ever been started there, or the folder cannot be read.
    """
    for name in ("config.yaml", "status.json"):
        try:
            (folder / name).open().close()
        except FileNotFoundError:
            pass
        except NotADirectoryError:
            raise InputError(
                "folder", str(folder), "must be the folder of a run, a sweep, a search or values"
            ) from None
        except OSError as error:
            raise InputError("folder", str(folder), f"must be a folder that you can read ({error.strerror})") from None
        except ValueError:  # a NUL
            raise InputError(
                "folder", str(folder), "must be the folder of a run, a sweep, a search or values"
            ) from None
    if (values := read_values_status(folder)) is not None:
        return _of_values(folder, values)
    content: Mapping[str, Any] = {}
    try:
        content = read_config(folder)
    except DamagedError:
        raise
    except InputError:  # nothing was ever started there, or a text run of an earlier version
        pass
    if "sweep" in content:
        return _of_sweep(folder, size_of(content["sweep"]))
    return _of_run(folder, is_search="search" in content)


def _of_run(folder: Path, *, is_search: bool) -> Iterator[str]:
    if exists(folder / "config.yaml") and not exists(folder / "status.json"):
        yield f"{folder}: begun, and nothing is known of it: the disk was full, or its process ended as it began"
        yield f"{_again(folder, is_search)} goes on"
        return
    status = read_status(folder)
    yield f"{folder}: {_STATES[status.state].format(pid=status.pid, host=status.host)}"
    yield ", ".join(filter(None, (how_far(status), status.note, _ago(status.updated))))
    if status.rounds_per_second:
        yield f"{status.rounds_per_second:,.3g} rounds/s, {status.workers_per_second:,.3g} workers/s"
    if status.resumed_from is not None:
        yield f"resumed from {_checkpoint(status.resumed_from, status.resumed_evaluations)}"
    if status.checkpoint is not None:
        yield f"last checkpoint: {_checkpoint(status.checkpoint, status.evaluations)}"
    if status.failures:
        yield "failed and replaced: " + _counts(status.failures)
    if status.error:
        yield status.error
    if status.state in ("dead", "interrupted", "failed"):
        yield f"{_again(folder, is_search)} goes on from {'there' if is_search else _start(status)}"


def _of_values(folder: Path, values: Status | dict[str, Any]) -> Iterator[str]:
    if not isinstance(values, Status):
        yield f"{folder}: finished"
        yield f"values of {values['workers']:,} workers: {values['evaluations']:,} evaluations by {values['method']}"
        return
    yield f"{folder}: {_STATES[values.state].format(pid=values.pid, host=values.host)}"
    yield ", ".join(filter(None, (how_far(values), values.note, _ago(values.updated))))
    if values.error:
        yield values.error
    if values.state != "running":
        kept = evaluations_kept(folder)
        yield f"the same command {f'goes on from {kept:,} evaluations' if kept else 'begins anew: nothing is kept yet'}"


def _again(folder: Path, is_search: bool) -> str:
    return "the same command" if is_search else f"`crowd-sim run --resume {shell_word(folder)}{_trust(folder)}`"


def how_far(status: Status) -> str:
    """The stage, and how much of it is done."""
    return f"{status.stage}: {status.done:,} of {status.total:,}" if status.total else status.stage


def _of_sweep(folder: Path, n_points: int) -> Iterator[str]:
    done, failed = count_points(folder)
    left = n_points - done - failed
    commands = read_sweep_statuses(folder)
    running = [command for command in commands if command.state == "running"]
    yield f"{folder}: {done:,} of {n_points:,} points done, {failed:,} failed, {left:,} left"
    for command in running or commands[-1:]:
        if command.shard != "1/1":
            yield f"shard {command.shard}:"
        yield from _of_command(command)
    if left and not running:
        yield "the same command goes on from there"


def _of_command(command: SweepStatus) -> Iterator[str]:
    yield f"{_STATES[command.state].format(pid=command.pid, host=command.host)}, {_ago(command.updated)}"
    if rate := command.points_per_second:
        remaining = command.left / rate
        end = f", about {timedelta(seconds=round(remaining))} left" if command.state == "running" else ""
        yield f"{rate:,.3g} points/s{end}"
    if command.losses:
        yield "batches lost and repeated: " + _counts(command.losses)
    if command.error:
        yield command.error


_STATES = {
    "running": "running, process {pid} on {host}",
    "finished": "finished",
    "interrupted": "interrupted",
    "failed": "failed",
    "dead": "dead: process {pid} on {host} ended without a word",
}


def _ago(then: float) -> str:
    return f"{timedelta(seconds=max(round(time.time() - then), 0))} ago"


def _start(status: Status) -> str:
    return "the start" if status.checkpoint is None else _checkpoint(status.checkpoint, status.evaluations)


def _trust(folder: Path) -> str:
    """What a command needs besides to go on with a folder that names code of its user."""
    from crowd_sim.config.code import names_code  # only here: it knows all strategies

    try:
        return " --trust" if names_code(read_config(folder)) else ""
    except InputError:
        return ""


def _checkpoint(kept: int | str, evaluations: int | None) -> str:
    where = f"stage {kept}" if isinstance(kept, str) else f"round {kept:,}"
    return f"{where} and {evaluations:,} evaluations" if evaluations else where


def _counts(failures: dict[str, int]) -> str:
    return ", ".join(f"{n} {kind}" for kind, n in sorted(failures.items()))
