"""A process that has a Ray session already: it is used, checked, and left as it was."""

import subprocess
import sys

import pytest
import ray

from crowd_sim.actors import cluster
from crowd_sim.actors.cluster import connected
from crowd_sim.actors.placement import Need
from crowd_sim.errors import ClusterError
from tests.bad_input.command import CONFIGURATION, SWEEP, call

SMALL = Need(({"CPU": 1.0},))


@pytest.fixture
def session(local_ray):
    """The session's address; in the end it is the same one, at work."""
    address = ray.get_runtime_context().gcs_address
    job = ray.get_runtime_context().get_job_id()
    yield address
    assert ray.is_initialized()
    assert ray.get_runtime_context().get_job_id() == job
    assert ray.get(ray.remote(lambda: 7).remote(), timeout=60) == 7


def test_a_session_is_used_and_left_as_it_was(session):
    for address in (None, "auto", session):
        with connected(address, SMALL):
            assert ray.get_runtime_context().gcs_address == session
        with pytest.raises(ZeroDivisionError), connected(address, SMALL):
            raise ZeroDivisionError


def test_a_session_that_is_too_small_is_refused(session):
    with (
        pytest.raises(ClusterError, match="need 9 CPUs at once, the cluster has 2"),
        connected(None, Need(({"CPU": 9},))),
    ):
        pass


def test_another_cluster_than_the_session_s_is_refused(session, monkeypatch):
    with pytest.raises(ClusterError, match=r"^no Ray cluster at 127.0.0.1:1: "), connected("127.0.0.1:1", SMALL):
        pass
    monkeypatch.setattr("crowd_sim.actors.cluster._probe", lambda *_: None)
    says = (
        rf"^this process has a Ray session at {session}, not at 127.0.0.1:2: leave out the address, or end the session$"
    )
    with pytest.raises(ClusterError, match=says), connected("127.0.0.1:2", SMALL):
        pass


def test_a_sweep_is_refused_in_a_session_over_ray_client(session, monkeypatch):
    monkeypatch.setattr(ray.util.client.ray, "is_connected", lambda: True)
    with (
        pytest.raises(ClusterError, match=r"^no sweep in this process's Ray session: Ray Client knows no streams"),
        connected(None, Need((), streams=True)),
    ):
        pass
    with connected("ray://127.0.0.1:10001", Need(())):
        pass


TRACKER = """
class Steps:
    def start(self, *_): self.told = []
    def log(self, step, values): self.told += [step] * ("distance" in values)
    def finish(self, *_): open("told.txt", "a").write(str(self.told))
    def close(self, state): pass
"""


@pytest.mark.parametrize(("command", "text"), [("run", CONFIGURATION), ("sweep", SWEEP)])
def test_commands_use_the_session(session, command, text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c.yaml").write_text(text)
    (tmp_path / "own_steps.py").write_text(TRACKER)
    small = [
        "--tracker",
        "own_steps:Steps",
        *(f"actors.{kind}.cpus=0.25" for kind in ("crowd", "trainers", "evaluators")),
    ]
    for out, address in (("ray", ()), ("alone", ("--ray-address", "none"))):
        assert call([command, "c.yaml", *small, "--out", out, *address]) == 0
    # of a run every round's distance once, in order, whether told by the way or in the end
    assert (tmp_path / "told.txt").read_text() == 2 * ("[0, 1, 2, 3]" if command == "run" else "[]")
    table = "workers.parquet" if command == "run" else "points.parquet"
    assert (tmp_path / "ray" / table).read_bytes() == (tmp_path / "alone" / table).read_bytes()


def test_what_is_asked_of_ray_s_internals_needs_nothing_of_this_project(tmp_path):
    """It is run as a script, from a folder with any modules."""
    from crowd_sim.actors import ray_internals

    (tmp_path / "socket.py").write_text("raise SystemExit('the folder is on the path')")
    done = subprocess.run(
        [sys.executable, "-P", ray_internals.__file__, "nothing"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("ValueError: "), done.stderr


def test_a_ray_that_does_not_start_is_told_in_a_line(monkeypatch):
    def too_slow(**_):
        raise Exception("The current node timed out during startup.\nMore")  # noqa: TRY002 - as Ray does

    monkeypatch.setattr(ray, "init", too_slow)
    with pytest.raises(
        ClusterError,
        match=r"^no local Ray could be started: The current node timed out .* startup\.; --ray-address none does without one$",
    ):
        cluster._init(None, SMALL)
