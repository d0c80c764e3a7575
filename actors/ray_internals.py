"""What is used of Ray that Ray does not promise to keep: names that begin with an underscore, here and nowhere else.

Looked at with every new version of Ray. It imports nothing of this project, as it is also run as a script: see `greet`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from ray._private import ray_constants
from ray._private import utils as ray_utils


@contextmanager
def sigterm_left_alone() -> Iterator[None]:
    """Ray, as it starts, takes SIGTERM for itself in two ways, and `ray.init` has no argument against either.

    `ray_constants.RAY_DISABLE_FAILURE_SIGNAL_HANDLER` is read from the environment when Ray is imported, which is too late to
    set it there: without it a handler prints a stack and aborts. `ray_utils.set_sigterm_handler` makes the driver exit at
    once. With either, a command that is told to stop would leave its folder without a last checkpoint. A version of Ray
    that lacks one of them is taken not to do that.
    """
    with ExitStack() as stack:
        stack.enter_context(_replaced(ray_constants, "RAY_DISABLE_FAILURE_SIGNAL_HANDLER", True))
        stack.enter_context(_replaced(ray_utils, "set_sigterm_handler", lambda _: None))
        yield


@contextmanager
def on_loopback() -> Iterator[None]:
    """A local Ray that starts meanwhile listens on the loopback interface alone, as it does by itself on macOS and Windows.

    `ray.init` has no argument for it: it takes 127.0.0.1 for a slip, and puts the machine's own address in its place.
    """
    with _replaced(ray_constants, "ENABLE_RAY_CLUSTER", False):
        yield


def options_of_a_private_ray(folder: str | None) -> dict[str, Any]:
    """Arguments of `ray.init` with which a local Ray has its files in a folder."""
    return {"_temp_dir": folder}


def greet(address: str) -> None:
    """Ask whoever listens at `address` whether it is a Ray head that takes this process's token.

    `ray.init` would try for minutes, and end the process where it cannot read a token. `GcsClient` is the client that it
    makes first; `canonicalize_bootstrap_address` makes of ``auto`` and host names what that client takes, and
    `maybe_enable_token_auth_if_token_available` finds the token as `ray.init` would.

    Raises:
        Exception: of many kinds, as Ray has them; it may also never answer.
    """
    from ray._private import services
    from ray._private.authentication.authentication_token_setup import maybe_enable_token_auth_if_token_available
    from ray._raylet import GcsClient  # type: ignore[attr-defined] # its stub leaves it out

    if address == "auto":  # as Ray itself: the mode must be set for every other address
        maybe_enable_token_auth_if_token_available(warn_if_disabled=False)
    GcsClient(address=services.canonicalize_bootstrap_address(address))


@contextmanager
def _replaced(module: Any, name: str, instead: Any) -> Iterator[None]:
    if not hasattr(module, name):
        yield
        return
    own = getattr(module, name)
    setattr(module, name, instead)
    try:
        yield
    finally:
        setattr(module, name, own)


if __name__ == "__main__":
    try:
        greet(sys.argv[1])
    except Exception as error:  # whatever it is, it is the answer
        sys.exit(f"{type(error).__name__}: {error}")
