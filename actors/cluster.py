"""Ray, started or joined, and left again."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from math import ceil
from pathlib import Path
from typing import Any

import ray

from crowd_sim.actors import ray_internals
from crowd_sim.actors.placement import Need, check_capacity
from crowd_sim.errors import ClusterError

_PROBE_SECONDS = 10.0
_WITHOUT = "; --ray-address none does without one"

_LAST_PRINTS = 0.5
"""Seconds until what code has just printed has come over, as Ray itself waits at the end of a process."""

_GREETING_SECONDS = 60.0
"""For a process that imports Ray and asks the head who it is."""

_ADMISSION = "set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN_PATH to a file with the cluster's token"


@contextmanager
def connected(address: str | None, need: Need) -> Iterator[None]:
    """Use this process's Ray session, join the cluster at `address`, or start a local Ray that can hold `need`.

    A session that was there before is left as it was. Ctrl-C and SIGTERM wait until Ray has started, or stopped: half-way it
    would leave processes behind, or crash. What SIGTERM does is left as it was.

    Args:
        address: ``auto``, ``host:port`` or, but for streams, ``ray://host:port``; None means the cluster this process was
            submitted to (environment ``RAY_ADDRESS``), or else a local Ray of this process alone. Where there is a session,
            None and ``auto`` mean that, and any other address must be its own.
        need: checked against the cluster before anything starts.

    Raises:
        ClusterError: no cluster answers there, it takes another token, it is not the session's, or it is too small.
    """
    if ray.is_initialized():
        _check_session(address, need)
        check_capacity(need)
        yield
        return
    # without this Ray warns, at every start, of a default that does not touch us
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_COLOR_PREFIX", "0")  # of what actors print: it may go to a file
    address = address or os.environ.get("RAY_ADDRESS")
    if address:
        _probe(address, need)
    with ExitStack() as stack:
        temporary = None if address else stack.enter_context(private_folder())
        try:
            with _signals_held():
                _init(address, need, temporary)
            check_capacity(need)
            yield
        finally:
            with _signals_held():
                time.sleep(_LAST_PRINTS)
                ray.shutdown()


_SOCKET = "/session_2026-01-01_00-00-00_000000_0000000/sockets/plasma_store"
_LONGEST_SOCKET = 107
"""Bytes of the path of a Unix socket."""


@contextmanager
def private_folder() -> Iterator[str]:
    """A folder for the files of a local Ray that nobody else may look into, removed at the end.

    Raises:
        ClusterError: the place of temporary files cannot be used for it.
    """
    place = os.environ.get("RAY_TMPDIR") or tempfile.gettempdir()
    what = "RAY_TMPDIR" if os.environ.get("RAY_TMPDIR") else "the folder of temporary files"
    most = _LONGEST_SOCKET - len(_SOCKET) - len("/cs-12345678/r")
    if len(os.fsencode(place)) > most:
        shown = place if len(place) <= 60 else f"{place[:59]}…"
        raise ClusterError(
            f"no local Ray could be started: {what}, {shown!r}, must have at most {most} bytes, for sockets{_WITHOUT}"
        )
    try:
        folder = tempfile.mkdtemp(prefix="cs-", dir=place)  # 0700
    except OSError as error:
        raise ClusterError(f"no local Ray could be started: {what}, {place!r}: {error.strerror}{_WITHOUT}") from None
    try:
        inner = Path(folder, "r")  # Ray opens its own folder to everyone
        inner.mkdir()
        yield str(inner)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _check_session(address: str | None, need: Need) -> None:
    """Refuse a session that cannot do what is needed, or that is of another cluster than the one that is asked for."""
    is_client = ray.util.client.ray.is_connected()
    if is_client and need.streams:
        raise ClusterError(
            "no sweep in this process's Ray session: Ray Client knows no streams; end it by ray.shutdown()"
        )
    own = "ray://" if is_client else ray.get_runtime_context().gcs_address
    if address in (None, "auto", own) or (is_client and str(address).startswith(own)):
        return
    _probe(str(address), need)  # what is wrong with the address itself is said first
    raise ClusterError(
        f"this process has a Ray session at {own}, not at {address}: leave out the address, or end the session"
    )


def _init(address: str | None, need: Need, temporary: str | None = None) -> None:
    # what a user's code prints is shown, as it is without Ray
    options: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": True}
    try:
        if address:
            ray.init(address=address, **options)
        else:
            cpus = max(os.cpu_count() or 1, ceil(need.cpus))
            private = ray_internals.options_of_a_private_ray(temporary)
            with ray_internals.on_loopback():
                ray.init(address="local", num_cpus=cpus, include_dashboard=False, **private, **options)
            keep_token_private()
    except Exception as error:  # of a node that starts too slowly Ray raises no class of its own
        # Ray Client does not say that a token was not taken
        token = f" (where the cluster wants a token, {_ADMISSION})" if str(address).startswith("ray://") else ""
        where = f"no Ray cluster at {address}" if address else "no local Ray could be started"
        way = "" if address else _WITHOUT
        raise ClusterError(f"{where}: {f'{error}'.partition(chr(10))[0] or type(error).__name__}{token}{way}") from None


def keep_token_private(home: Path | None = None) -> None:
    """Ray leaves the token by which others may run code on the cluster readable to all; nobody else needs it."""
    token = (home or Path.home()) / ".ray" / "auth_token"
    with suppress(OSError):  # not there, or another user's
        token.chmod(0o600)


@contextmanager
def _signals_held() -> Iterator[None]:
    """SIGINT and SIGTERM become a KeyboardInterrupt, but not before the end."""
    if threading.current_thread() is not threading.main_thread():  # where no signal comes
        yield
        return
    noted: list[int] = []
    before = {number: signal.signal(number, lambda n, _: noted.append(n)) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with ray_internals.sigterm_left_alone():
            yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if noted:
            raise KeyboardInterrupt


def _probe(address: str, need: Need) -> None:
    """Fail soon where no Ray answers; Ray itself would try for minutes, or for ever."""
    is_client = address.startswith("ray://")
    if is_client and need.streams:
        raise ClusterError(
            f"no sweep over {address}: Ray Client knows no streams; give host:port of the cluster's head, or submit the "
            "command with `ray job submit`"
        )
    host, separator, port = address.removeprefix("ray://").rpartition(":")
    if separator:
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=_PROBE_SECONDS).close()
        except (OSError, ValueError, OverflowError) as error:
            raise ClusterError(f"no Ray cluster at {address}: {error}") from None
    elif address != "auto":
        forms = "auto or host:port" if need.streams else "auto, host:port or ray://host:port"
        raise ClusterError(f"no Ray cluster at {address}: an address is {forms}")
    if not is_client:
        _greet(address)


def _greet(address: str) -> None:
    # in a process of its own: Ray's client cannot be told to give up, and ends a process whose token it cannot read
    try:
        done = subprocess.run(  # noqa: S603 - our own command; -P: the folder one works in may have modules of any name
            [sys.executable, "-P", ray_internals.__file__, address],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            timeout=_GREETING_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        what = f"what listens there has not answered as Ray within {_GREETING_SECONDS:g} s"
        raise ClusterError(f"no Ray cluster at {address}: {what}") from None
    if done.returncode == 0:
        return
    if "AuthenticationError" in done.stderr or "AUTH_TOKEN" in done.stderr:
        raise ClusterError(
            f"the Ray cluster at {address} does not take this process's token, or it has none: {_ADMISSION}"
        )
    said = done.stderr.strip().splitlines()
    raise ClusterError(f"no Ray cluster at {address}: {said[-1] if said else f'exit status {done.returncode}'}")
