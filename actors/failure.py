"""One way to wait for actors, and one failure policy.

Actors here are stateless between calls (what they hold is in their constructor's arguments), so Ray may restart a dead one and
repeat its calls. An error in the code itself is never repeated: it comes back at once.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import ray
from ray.exceptions import RayTaskError

from crowd_sim.errors import ClusterError, InputError

RESTARTS = 3
"""Deaths that a single actor, and repeats that a single call, may take before the run gives up."""

PATIENCE = 600.0
"""Seconds without any answer after which the cluster counts as gone."""

_POLL = 5.0


def survivable() -> dict[str, Any]:
    """Actor options of the policy."""
    return {"max_restarts": RESTARTS, "max_task_retries": RESTARTS}


def fetch(refs: Sequence[Any], what: str) -> list[Any]:
    """The results of calls, in their order, however they arrive.

    Raises:
        InputError: if that is what a call raised.
        RayTaskError: an error in the code that ran, with its traceback.
        ClusterError: nothing arrived for `PATIENCE` seconds.
    """
    waiting = list(refs)
    last_arrival = time.monotonic()
    while waiting:
        ready, waiting = ray.wait(waiting, num_returns=len(waiting), timeout=_POLL)
        if ready:
            last_arrival = time.monotonic()
        elif time.monotonic() - last_arrival > PATIENCE:
            raise ClusterError(f"no answer from {what} for {PATIENCE:.0f} s: is the cluster still there?")
    try:
        return ray.get(list(refs), timeout=PATIENCE)
    except RayTaskError as error:
        if isinstance(error.cause, InputError):
            raise error.cause from None
        raise
