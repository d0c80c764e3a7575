"""`crowd-sim watch`: what it serves, to whom, and what it refuses."""

import http.client
import json
import shutil
import socket
import struct
import threading
from contextlib import contextmanager

import pytest
import yaml

from crowd_sim.cli import watch
from crowd_sim.cli.watch import server_of
from crowd_sim.commands.run import run
from crowd_sim.commands.sweep import sweep
from crowd_sim.config import RunConfig
from crowd_sim.sweeps.plan import Sweep
from tests.bad_input.command import CONFIGURATION, SWEEP, call, check_line


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A finished run, a finished sweep, and both as they were on the way."""
    root = tmp_path_factory.mktemp("watched")
    often = {"actors": {"checkpoints": {"rounds": 1}}}
    run(RunConfig.model_validate(yaml.safe_load(CONFIGURATION) | often), root / "run")
    sweep(Sweep.parse(yaml.safe_load(SWEEP)), root / "sweep", "sweep")
    for name, made in (("run", ("*.parquet", "summary.json")), ("sweep", ("*.parquet", "summary.json"))):
        shutil.copytree(root / name, root / f"half-{name}")
        for path in [path for pattern in (*made, "report.html") for path in (root / f"half-{name}").glob(pattern)]:
            path.unlink()
    return root


@contextmanager
def served(folder):
    with server_of(folder, 0) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()

        def ask(path, method="GET", **headers):
            connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=60)
            connection.request(method, path, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode(), answer.headers

        yield server.server_port, ask
        server.shutdown()


def test_a_folder_is_served_as_far_as_it_is(folders):
    for name, says in (
        ("run", (folders / "run" / "report.html").read_text()),
        ("half-run", "A run after round 3"),
        ("half-sweep", "A sweep, 4 points so far"),
    ):
        with served(folders / name) as (_, ask):
            code, page, headers = ask("/")
            assert (code, says in page) == (200, True)
            assert ("data-version" in page) == name.startswith("half")
            assert headers["Content-Security-Policy"] == "frame-ancestors 'none'"
            told = json.loads(ask("/status")[1])
            assert told["said"][0].startswith(str(folders / name))
            assert told["version"].endswith(" over")


def test_nothing_else_is_served_and_to_nobody_else(folders):
    with served(folders / "run") as (port, ask):
        for path in (
            "/config.yaml",
            "/../config.yaml",
            "/%2e%2e/config.yaml",
            "//etc/passwd",
            "/report.html/../config.yaml",
        ):
            assert ask(path)[0] == 404
        for host in ("evil.example", f"evil.example:{port}", f"127.0.0.1:{port + 1}", ""):
            assert ask("/", Host=host)[0] == 403
        assert ask("/", Host=f"localhost:{port}")[0] == 200
        assert ask("/", "HEAD")[:2] == (200, "")
        assert ask("/", "POST")[0] == 501
        with socket.create_connection(("127.0.0.1", port), timeout=5) as odd:  # what no library sends
            odd.sendall(f"GET http://[ HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
            assert b" 404 " in odd.recv(100)
        assert server_address(port) == "127.0.0.1"


def test_nothing_is_said_of_a_browser_that_goes_away(folders, capsys):
    with served(folders / "run") as (port, ask):
        gone = socket.create_connection(("127.0.0.1", port), timeout=5)
        gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        gone.sendall(b"GET / HTTP/1.1\r\n")
        gone.close()  # with a reset
        assert ask("/")[0] == 200
    assert capsys.readouterr().err == ""


def server_address(port):
    """Where something listens on this port, of all this machine's addresses."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        return connection.getpeername()[0]


def test_what_cannot_be_watched_is_refused_in_a_line(folders, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert call(["watch", str(folders / "run"), "--port", str(port)]) == 2
        check_line(capsys.readouterr().err, (f"--port = {port}", "must be a port that is free", "0 takes any"))
    assert call(["watch", str(folders / "nowhere")]) == 2
    check_line(capsys.readouterr().err, ("nowhere", "must be a folder in which a run has been started"))
    for command in ("watch", "status"):
        assert call([command, str(folders / "run" / "config.yaml")]) == 2
        check_line(capsys.readouterr().err, ("config.yaml", "must be the folder of a run, a sweep, a search or values"))
    with served(folders / "gone") as (_, ask):
        code, said, _ = ask("/")
        assert (code, len(said.splitlines())) == (503, 1)


def test_the_command_ends_as_it_is_told_to(folders, capsys, monkeypatch):
    def interrupted(self, poll_interval):
        raise KeyboardInterrupt

    monkeypatch.setattr(watch.ThreadingHTTPServer, "serve_forever", interrupted)
    assert call(["watch", str(folders / "run"), "--port", "0"]) == 0
    assert "is shown at http://127.0.0.1:" in capsys.readouterr().out
