"""`crowd-sim watch`: the report of a folder, also while a command is at work in it, served to this machine's browsers."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from crowd_sim.characters import visible
from crowd_sim.cli.status import is_at_work, status_lines
from crowd_sim.errors import InputError
from crowd_sim.paths import exists
from crowd_sim.report.live import live_page, version_of
from crowd_sim.store.run_log import read_values_status

HOST = "127.0.0.1"
_SECONDS_BETWEEN_LOOKS = 2.0

_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}
"""The page may be seen in its own tab alone: not in a frame, nor by a script of another site."""

Served = tuple[str, bytes]
"""Kind and content."""


def watch(folder: Path, port: int, say: Callable[[str], object]) -> None:
    """Serve the folder's report on the loopback interface until Ctrl-C.

    Raises:
        InputError: nothing was started in the folder, it is one of values, or the port cannot be had.
    """
    list(status_lines(folder))
    if read_values_status(folder) is not None:
        allowed = "must be the folder of a run, a sweep or a search: values have no report (`crowd-sim status --watch`)"
        raise InputError("folder", str(folder), allowed)
    with server_of(folder, port) as server:
        say(f"{folder} is shown at http://{HOST}:{server.server_port}/ (Ctrl-C ends this, and nothing else)")
        server.serve_forever(poll_interval=0.2)


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing is said of a browser that goes away in the middle of an answer."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


def server_of(folder: Path, port: int) -> ThreadingHTTPServer:
    """A server of the folder's page and status, and of nothing else: no path that is asked for is looked up.

    Raises:
        InputError: the port cannot be had.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(*self._found())

        def do_HEAD(self) -> None:
            self._answer(*self._found(), with_content=False)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
            """Says nothing: every look of a page would be a line."""

        def _found(self) -> tuple[int, Served]:
            own = self.connection.getsockname()[1]
            # a page of another site whose name leads here asks with that name
            if self.headers.get("Host") not in {f"{name}:{own}" for name in (HOST, "localhost")}:
                return 403, _plain("only for this machine's browsers")
            answer = _ANSWERS.get(self.path.partition("?")[0])
            if answer is None:
                return 404, _plain("only / and /status are here")
            try:
                return 200, answer(folder)
            except (InputError, OSError) as error:  # removed, or damaged, meanwhile
                return 503, _plain(visible(str(error)))

        def _answer(self, code: int, served: Served, with_content: bool = True) -> None:
            kind, content = served
            self.send_response(code)
            for name, value in {**_HEADERS, "Content-Type": kind, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            if with_content:
                self.wfile.write(content)

    try:
        return _Server((HOST, port), Handler)
    except OSError as error:
        allowed = f"must be a port that is free ({error.strerror}); 0 takes any"
        raise InputError("--port", port, allowed) from None


def _page(folder: Path) -> Served:
    path = folder / "report.html"
    if exists(path) and not is_at_work(folder):
        return _HTML, path.read_bytes()
    return _HTML, live_page(folder, _said(folder), _version(folder), _SECONDS_BETWEEN_LOOKS).encode()


def _status(folder: Path) -> Served:
    return "application/json", json.dumps({"said": _said(folder), "version": _version(folder)}).encode()


def _version(folder: Path) -> str:
    return f"{version_of(folder)} {'at work' if is_at_work(folder) else 'over'}"


def _said(folder: Path) -> list[str]:
    return [visible(line) for line in status_lines(folder)]


def _plain(line: str) -> Served:
    return "text/plain; charset=utf-8", f"{line}\n".encode()


_HTML = "text/html; charset=utf-8"
_ANSWERS: dict[str, Callable[[Path], Served]] = {"/": _page, "/status": _status}
