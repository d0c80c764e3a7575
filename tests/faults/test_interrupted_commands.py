"""The command itself is stopped, and nodes are taken from under it: the same command goes on, with the same result."""

import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from crowd_sim.cli.status import status_lines
from crowd_sim.cli.sweep import sweep as sweep_command
from crowd_sim.config.io import load_content
from crowd_sim.store.run_log import read_status
from crowd_sim.sweeps.plan import Sweep
from tests.faults.callbacks import VARIABLE, Script
from tests.faults.processes import descendants, gone, is_agent

SWEEP = """\
crowd: {n_workers: 8}
tournament: {rounds: 1, n_groups: 2, grouping: "tests.faults.callbacks:grouping"}
valuation: {method: none}
actors: {sweep: {max_runs: 4, cpus: 1}}
sweep: {seed: SEEDS, crowd: {n_workers: [8, 9, 10, 12]}}
"""
ROOT = str(Path(__file__).parents[2])


@pytest.fixture
def command(tmp_path):
    """The command, its environment, and the script of faults."""
    script = Script(tmp_path / "script")
    script.folder.mkdir()
    (tmp_path / "sweep.yaml").write_text(SWEEP.replace("SEEDS", str(list(range(20)))))
    path = os.pathsep.join(filter(None, (ROOT, os.environ.get("PYTHONPATH"))))
    environment = {**os.environ, VARIABLE: str(script.folder), "PYTHONPATH": path}
    arguments = [sys.executable, "-m", "crowd_sim.cli.app", "sweep", "sweep.yaml", "--out"]
    return {"args": arguments, "cwd": tmp_path, "env": environment}, script


def parts(folder):
    return {path: path.read_bytes() for path in (folder / "parts").glob("*/*.parquet")}


def start(command, *more):
    options = {**command, "args": [*command["args"], *more]}
    return subprocess.Popen(**options, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for_parts(running, folder, n):
    patience = time.monotonic() + 100
    while len(parts(folder)) < n:
        assert running.poll() is None, running.communicate()
        assert time.monotonic() < patience
        time.sleep(0.02)


def sweep(folder):
    """The same command in this process, without drawing; what it says."""
    console = Console(file=io.StringIO())
    plan = Sweep.parse(load_content(folder.parent / "sweep.yaml"))
    assert sweep_command(plan, "sweep", folder, "none", console).done == 80
    return console.file.getvalue()


def tables(folder):
    return [(folder / name).read_bytes() for name in ("points.parquet", "workers_sample.parquet")]


@pytest.mark.parametrize(("how", "status"), [(signal.SIGKILL, -9), (signal.SIGTERM, 130), (signal.SIGINT, 130)])
def test_a_stopped_command_leaves_no_process_and_goes_on(command, tmp_path, how, status, monkeypatch):
    command, script = command
    script.add("slow")
    address = ["--ray-address", "none"] if how == signal.SIGINT else []
    running = start(command, "out", *address)
    wait_for_parts(running, tmp_path / "out", 6)
    children = {pid for pid in descendants(running.pid) if how != signal.SIGKILL or not is_agent(pid)}
    assert bool(children) == (not address)
    said = list(status_lines(tmp_path / "out"))
    assert re.fullmatch(r".*/out: (\d+) of 80 points done, 0 failed, \d+ left", said[0])
    assert said[1].startswith(f"running, process {running.pid} on {socket.gethostname()}, 0:00:0")
    assert re.fullmatch(r"[\d.]+ points/s, about 0:\d\d:\d\d left", said[2])
    running.send_signal(how)
    _, stderr = running.communicate(timeout=60)
    assert running.returncode == status
    if how != signal.SIGKILL:
        (line,) = [line for line in stderr.splitlines() if "crowd-sim" in line]
        assert line == "crowd-sim: interrupted; what is done is kept: the same command goes on where it stopped"
    assert gone(children, seconds=60)
    before = parts(tmp_path / "out")
    done = sum(len(pd.read_parquet(path)) for path in before if path.parent.name == "points")
    assert 0 < done < 80
    said = list(status_lines(tmp_path / "out"))
    assert said[0].endswith(f"out: {done} of 80 points done, 0 failed, {80 - done} left")
    ended = f"dead: process {running.pid} on" if how == signal.SIGKILL else "interrupted, "
    assert said[1].startswith(ended)
    assert said[-1] == "the same command goes on from there"

    script.clear()
    monkeypatch.setenv(VARIABLE, str(script.folder))
    monkeypatch.setattr("crowd_sim.report.write_report", lambda _: None)
    assert f"{done} of 80 points are there; {80 - done} to go" in sweep(tmp_path / "out")
    assert len(script.count("calls")) == 80 - done  # only what was not there, once each
    assert before.items() <= parts(tmp_path / "out").items()
    said = list(status_lines(tmp_path / "out"))
    assert said[0].endswith("out: 80 of 80 points done, 0 failed, 0 left")
    assert said[1].startswith("finished, ")
    sweep(tmp_path / "whole")
    assert tables(tmp_path / "out") == tables(tmp_path / "whole")


RUN = """\
crowd: {n_workers: 8, behaviour: "tests.faults.trouble:slow"}
tournament: {rounds: 1000000, n_groups: 2}
valuation: {method: none}
actors: {checkpoints: {rounds: 2}}
"""


def test_a_run_that_is_stopped_while_ray_starts_leaves_no_process(command, tmp_path):
    """Once rounds are played: `test_ctrl_c_on_ray_leaves_no_process_and_a_run_that_goes_on`."""
    command, _ = command
    (tmp_path / "run.yaml").write_text(RUN)
    running = start({**command, "args": [*command["args"][:3], "run", "run.yaml", "--out", "out"]})

    patience = time.monotonic() + 100
    while len(descendants(running.pid)) < 4:
        assert running.poll() is None, running.communicate()
        assert time.monotonic() < patience
        time.sleep(0.02)
    children = descendants(running.pid)
    running.send_signal(signal.SIGTERM)
    while running.poll() is None:  # those that it has still to start, too
        children |= descendants(running.pid)
        time.sleep(0.02)
    _, stderr = running.communicate(timeout=60)
    assert running.returncode == 130
    (line,) = stderr.splitlines()
    assert line == "crowd-sim: interrupted; what is done is kept: the same command goes on where it stopped"
    assert gone(children, seconds=60)
    assert read_status(tmp_path / "out").state == "interrupted"


ON_A_CLUSTER = """
import io, json, os, sys, threading, time
from pathlib import Path
import ray
from ray.cluster_utils import Cluster
from rich.console import Console
from crowd_sim.config.io import load_content
from crowd_sim.sweeps.plan import Sweep
from crowd_sim.cli.sweep import sweep as sweep_command

cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
lost = cluster.add_node(num_cpus=2)
ray.init(address=cluster.address, log_to_driver=False)

def take_away():
    while len(list(Path("out/parts").glob("points/*"))) < 8:
        time.sleep(0.01)
    cluster.remove_node(lost, allow_graceful=False)

thread = threading.Thread(target=take_away)
thread.start()
swept = sweep_command(Sweep.parse(load_content("sweep.yaml")), "test", Path("out"), None, Console(file=io.StringIO()))
thread.join()
print(json.dumps({"done": swept.done, "failed": swept.failed, "left": swept.left}))
ray.shutdown()
cluster.shutdown()
"""


def test_a_lost_node_costs_nothing(command, tmp_path, monkeypatch):
    command, script = command
    script.add("slow")
    cluster = {**command, "args": [sys.executable, "-c", ON_A_CLUSTER]}
    done = subprocess.run(**cluster, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    (said,) = [line for line in done.stdout.splitlines() if line.startswith("{")]
    assert json.loads(said) == {"done": 80, "failed": 0, "left": 0}
    monkeypatch.setenv(VARIABLE, str(script.folder))
    monkeypatch.setattr("crowd_sim.report.write_report", lambda _: None)
    sweep(tmp_path / "whole")
    assert tables(tmp_path / "out") == tables(tmp_path / "whole")
    written = (tmp_path / "out" / "parts" / "points").iterdir()
    assert sorted(number for path in written for number in pd.read_parquet(path)["point"]) == list(range(80))
