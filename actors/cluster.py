"""Ray, started or joined, and left again."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil
from typing import Any

import ray
from ray._private import ray_constants
from ray._private import utils as ray_utils

from crowd_sim.actors.placement import Need, check_capacity
from crowd_sim.errors import ClusterError

_PROBE_SECONDS = 10.0

_GREETING_SECONDS = 20.0
"""For a process that imports Ray and asks the head who it is."""

_ADMISSION = "set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN_PATH to a file with the cluster's token"

_GREETING = """
import sys
from ray._private import services
from ray._private.authentication.authentication_token_setup import maybe_enable_token_auth_if_token_available
from ray._raylet import GcsClient

if sys.argv[1] == "auto":  # as Ray itself: the mode must be set for every other address
    maybe_enable_token_auth_if_token_available(warn_if_disabled=False)
try:
    GcsClient(address=services.canonicalize_bootstrap_address(sys.argv[1]))
except Exception as error:
    sys.exit(f"{type(error).__name__}: {error}")
"""


@contextmanager
def connected(address: str | None, need: Need) -> Iterator[None]:
    """Join the cluster at `address`, or start a local Ray that can hold `need` where there is none to join.

    Ctrl-C and SIGTERM wait until Ray has started, or stopped: half-way it would leave processes behind, or crash. What
    SIGTERM does is left as it was.

    Args:
        address: ``auto``, ``host:port`` or, but for streams, ``ray://host:port``; None means the cluster this process was
            submitted to (environment ``RAY_ADDRESS``), or else a local Ray of this process alone.
        need: checked against the cluster before anything starts.

    Raises:
        ClusterError: no cluster answers there, it takes another token, or it is too small.
    """
    # without this Ray warns, at every start, of a default that does not touch us
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    address = address or os.environ.get("RAY_ADDRESS")
    if address:
        _probe(address, need)
    try:
        with _signals_held():
            _init(address, need)
        check_capacity(need)
        yield
    finally:
        with _signals_held():
            ray.shutdown()


def _init(address: str | None, need: Need) -> None:
    options: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    try:
        if address:
            ray.init(address=address, **options)
        else:
            cpus = max(os.cpu_count() or 1, ceil(need.cpus))
            ray.init(address="local", num_cpus=cpus, include_dashboard=False, **options)
    except (ConnectionError, ValueError, TimeoutError) as error:
        # Ray Client does not say that a token was not taken
        token = f" (where the cluster wants a token, {_ADMISSION})" if str(address).startswith("ray://") else ""
        raise ClusterError(f"no Ray cluster at {address}: {str(error).splitlines()[0]}{token}") from None


@contextmanager
def _signals_held() -> Iterator[None]:
    """SIGINT and SIGTERM become a KeyboardInterrupt, but not before the end."""
    if threading.current_thread() is not threading.main_thread():  # where no signal comes
        yield
        return
    noted: list[int] = []
    before = {number: signal.signal(number, lambda n, _: noted.append(n)) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with (
            _left_alone(ray_constants, "RAY_DISABLE_FAILURE_SIGNAL_HANDLER", True),
            _left_alone(ray_utils, "set_sigterm_handler", lambda _: None),
        ):
            yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if noted:
            raise KeyboardInterrupt


@contextmanager
def _left_alone(module: Any, name: str, instead: Any) -> Iterator[None]:
    """One of the two ways in which Ray takes SIGTERM for itself as it starts: to exit at once, and to abort."""
    if not hasattr(module, name):  # neither is public: another version of Ray may have other ways
        yield
        return
    own = getattr(module, name)
    setattr(module, name, instead)
    try:
        yield
    finally:
        setattr(module, name, own)


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
        done = subprocess.run(  # noqa: S603 - our own command
            [sys.executable, "-c", _GREETING, address],
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
