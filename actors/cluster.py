"""Ray, started or joined, and left again."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil
from typing import Any

import ray

from actors.resources import Need, check_capacity
from crowd_sim.errors import ClusterError

_PROBE_SECONDS = 10.0


@contextmanager
def connected(address: str | None, need: Need) -> Iterator[None]:
    """Join the cluster at `address`, or start a local Ray that can hold `need` where there is none to join.

    Args:
        address: ``auto``, ``host:port`` or ``ray://host:port``; None means the cluster this process was submitted to
            (environment ``RAY_ADDRESS``), or else a local Ray of this process alone.
        need: checked against the cluster before anything starts.

    Raises:
        ClusterError: no cluster answers there, or it is too small.
    """
    # without this Ray warns, at every start, of a default that does not touch us
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    address = address or os.environ.get("RAY_ADDRESS")
    if address:
        _probe(address)
    options: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    try:
        if address:
            ray.init(address=address, **options)
        else:
            cpus = max(os.cpu_count() or 1, ceil(need.cpus))
            ray.init(address="local", num_cpus=cpus, include_dashboard=False, **options)
    except (ConnectionError, ValueError, TimeoutError) as error:
        raise ClusterError(f"no Ray cluster at {address}: {str(error).splitlines()[0]}") from None
    try:
        check_capacity(need)
        yield
    finally:
        ray.shutdown()


def _probe(address: str) -> None:
    """Fail at once where nothing listens; Ray itself would try for minutes."""
    host, separator, port = address.removeprefix("ray://").rpartition(":")
    if not separator:
        if address != "auto":
            raise ClusterError(f"no Ray cluster at {address}: an address is auto, host:port or ray://host:port")
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_PROBE_SECONDS).close()
    except (OSError, ValueError, OverflowError) as error:
        raise ClusterError(f"no Ray cluster at {address}: {error}") from None
