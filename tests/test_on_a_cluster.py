"""A cluster of two nodes on this machine, as the README starts one: it runs jobs, and what it cannot hold is refused."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
import ray

from crowd_sim.actors.cluster import connected
from crowd_sim.actors.placement import (
    Need,
    actors_of,
    bundle_options,
    check_capacity,
    fitting,
    inside,
    options_of,
    required_by_run,
    required_by_sweep,
    reserved,
)
from crowd_sim.config import ActorsConfig, PoolConfig, RunConfig, SweepWorkers
from crowd_sim.errors import ClusterError
from tests.bad_input.command import SWEEP
from tests.faults.processes import descendants, gone

ROOT = str(Path(__file__).parents[1])
BIN = Path(sys.executable).parent


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def cluster():
    """Addresses of Ray and of its dashboard, and the environment that has the cluster's token."""
    folder = tempfile.mkdtemp(prefix="ray", dir="/tmp")  # short: sockets have names of at most 107 characters
    path = os.pathsep.join(filter(None, (ROOT, os.environ.get("PYTHONPATH"))))
    Path(folder, "token").write_text("0123456789abcdef" * 4)
    own = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": f"{folder}/token", "PYTHONPATH": path}
    environment = {**os.environ, **own, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    port, dashboard = free_port(), free_port()
    head = ["--head", "--num-cpus=1", f"--port={port}", f"--dashboard-port={dashboard}", f"--temp-dir={folder}"]
    head += [f"--ray-client-server-port={free_port()}", "--include-dashboard=true"]
    node = [f"--address=127.0.0.1:{port}", "--num-cpus=1", '--resources={"cpu_node": 1}']
    started = []
    try:
        for arguments in (head, node):
            command = [BIN / "ray", "start", "--block", "--disable-usage-stats", *arguments]
            command.append(f"--dashboard-agent-listen-port={free_port()}")  # others may have a Ray on this machine
            quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            started.append(subprocess.Popen(command, env=environment, **quiet))
            if len(started) == 1:
                wait_for(dashboard, started[0])
        yield f"127.0.0.1:{port}", f"http://127.0.0.1:{dashboard}", environment
    finally:
        processes = {pid for process in started for pid in descendants(process.pid)}
        for process in reversed(started):
            process.terminate()
            process.wait(timeout=60)
        assert gone(processes, seconds=60)
        shutil.rmtree(folder)


def wait_for(port, process):
    patience = time.monotonic() + 90
    while time.monotonic() < patience:
        assert process.poll() is None
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise TimeoutError(port)


def call(environment, folder, *command):
    return subprocess.run(
        command, env=environment, cwd=folder, capture_output=True, text=True, timeout=180, check=False
    )


def test_a_sweep_is_submitted_as_a_job(cluster, tmp_path):
    _, dashboard, environment = cluster
    (tmp_path / "sweep.yaml").write_text(SWEEP)
    sweep = ["sweep", str(tmp_path / "sweep.yaml"), "actors.sweep.resources={cpu_node: 0.5}", "actors.wait=60"]
    crowd_sim = [sys.executable, "-m", "crowd_sim.cli.app"]
    job = [
        BIN / "ray",
        "job",
        "submit",
        f"--address={dashboard}",
        "--",
        *crowd_sim,
        *sweep,
        "--out",
        str(tmp_path / "job"),
    ]
    patience = time.monotonic() + 90
    submitted = call(environment, tmp_path, *job)
    while "No available agent" in submitted.stderr and time.monotonic() < patience:  # the head is still starting
        time.sleep(1)
        submitted = call(environment, tmp_path, *job)
    assert submitted.returncode == 0, submitted.stdout + submitted.stderr
    assert "succeeded" in submitted.stdout
    assert "points: 4 of 4" in submitted.stdout
    alone = call(environment, tmp_path, *crowd_sim, *sweep, "--out", "alone", "--ray-address", "none")
    assert alone.returncode == 0, alone.stderr
    for name in ("points.parquet", "workers_sample.parquet"):
        assert (tmp_path / "job" / name).read_bytes() == (tmp_path / "alone" / name).read_bytes()


def test_a_cluster_that_does_not_grow_is_waited_for_and_then_refused(cluster, tmp_path):
    address, _, environment = cluster
    (tmp_path / "sweep.yaml").write_text(SWEEP)
    asked = ["actors.sweep.resources={gpu_node: 0.01}", "actors.wait=2", "--ray-address", address]
    refused = call(environment, tmp_path, sys.executable, "-m", "crowd_sim.cli.app", "sweep", "sweep.yaml", *asked)
    assert refused.returncode == 1
    waiting, last = (line for line in refused.stderr.splitlines() if "gpu_node" in line)
    lacking = "the configuration's actors need 0.01 gpu_node at once, the cluster has 0"
    assert waiting == f"waiting for the cluster, 2 s left: {lacking}"
    assert last.startswith(f"crowd-sim: {lacking} (waited 2 s, actors.wait): lower actors")


@pytest.mark.parametrize("other", [{"RAY_AUTH_TOKEN_PATH": "wrong"}, {"RAY_AUTH_MODE": "disabled"}])
def test_a_token_that_the_cluster_does_not_take_is_told_of_in_one_line(cluster, tmp_path, other):
    address, _, environment = cluster
    (tmp_path / "wrong").write_text("fedcba9876543210" * 4)
    (tmp_path / "sweep.yaml").write_text(SWEEP)
    command = [sys.executable, "-m", "crowd_sim.cli.app", "sweep", "sweep.yaml", "--ray-address", address]
    refused = call({**environment, **other}, tmp_path, *command)
    assert refused.returncode == 1
    (line,) = refused.stderr.splitlines()
    assert line.startswith(f"crowd-sim: the Ray cluster at {address} does not take this process's token")
    assert "RAY_AUTH_MODE=token" in line
    assert "RAY_AUTH_TOKEN_PATH" in line


def test_what_listens_and_is_not_ray_is_told_of(monkeypatch):
    monkeypatch.setattr("crowd_sim.actors.cluster._GREETING_SECONDS", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        says = f"no Ray cluster at {address}: what listens there has not answered as Ray within 1 s"
        with pytest.raises(ClusterError, match=says), connected(address, Need(())):
            pass


def test_a_sweep_is_not_run_over_ray_client():
    with (
        pytest.raises(ClusterError, match=r"no sweep over ray://127.0.0.1:10001: .* give host:port"),
        connected("ray://127.0.0.1:10001", required_by_sweep(ActorsConfig())),
    ):
        pass
    with (
        pytest.raises(ClusterError, match=r"an address is auto or host:port$"),
        connected("x", required_by_sweep(ActorsConfig())),
    ):
        pass


@pytest.mark.parametrize(
    ("device", "method", "given", "gpus"),
    [
        ("cuda", "exact", {}, (1, 1)),
        ("cuda", "none", {}, (1, 0)),
        ("cpu", "exact", {}, (0, 0)),
        ("auto", "exact", {}, (0, 0)),
        ("cuda", "exact", {"trainers": {"gpus": 0.5}, "evaluators": {"gpus": 0}}, (0.5, 0)),
        ("cuda", "none", {"trainers": {"number": 2}, "generators": {"number": 3}}, (5, 0)),
    ],
)
def test_who_hosts_a_model_on_a_gpu_has_one(device, method, given, gpus):
    content = {
        "crowd": {"source": "example_feedback", "target": "warm", "n_workers": 6},
        "valuation": {"method": method},
        "task": {"kind": "imitate", "device": device},
        "actors": given,
    }
    actors = actors_of(RunConfig.parse(content))
    pools = (actors.trainers, actors.generators)
    models = sum(pool.number * pool.gpus for pool in pools)
    assert (models, actors.evaluators.gpus, actors.crowd.gpus) == (*gpus, 0)
    assert required_by_run(actors).totals.get("GPU", 0) == sum(gpus)
    assert [options_of(pool)["num_gpus"] for pool in pools] == [pool.gpus for pool in pools]


@pytest.mark.usefixtures("local_ray")
def test_every_actor_of_a_run_has_its_own_place_in_what_is_reserved():
    @ray.remote(num_cpus=0)
    class Manager:
        def start(self, actors, *started):
            self.started = [Worker.options(**bundle_options(actors, kind, member)).remote() for kind, member in started]
            ray.get([worker.__ray_ready__.remote() for worker in self.started], timeout=100)

    @ray.remote
    class Worker:
        pass

    def free_places():
        return {
            int(name.split("_")[2])
            for name in ray.available_resources()
            if name.startswith("CPU_group_") and name.count("_") == 3
        }

    two = {"number": 2, "cpus": 0.25}
    # two small actors would fit into one large place
    for trainers, free in ((PoolConfig(), {0, 1}), (PoolConfig(cpus=0.0), {0})):
        actors = ActorsConfig(crowd=PoolConfig(**two), trainers=trainers, evaluators=PoolConfig(number=2))
        assert required_by_run(actors).cpus == trainers.cpus + 1 + 0.5
        with reserved(required_by_run(actors)) as group:
            manager = Manager.options(**inside(group)).remote()
            last = (("evaluators", 1), ("crowd", 1), ("crowd", 0))
            ray.get(manager.start.remote(actors, *last), timeout=120)
            assert free_places() == free
            ray.get(manager.start.remote(actors, ("trainers", 0)), timeout=120)
            ray.kill(manager)
    # a run without shards starts its actors itself, and they live in what it has reserved
    with reserved(required_by_run(actors, with_crowd=False)) as group:
        started = [Worker.options(**bundle_options(actors, "evaluators", 1, group)).remote()]
        ray.get([worker.__ray_ready__.remote() for worker in started], timeout=120)
        assert free_places() == {0}


@pytest.mark.usefixtures("local_ray")
def test_two_that_want_the_whole_cluster_do_not_wait_for_each_other_for_ever(monkeypatch):
    need = Need(({"CPU": 1.5},))
    with reserved(need), monkeypatch.context() as patched:
        patched.setattr("crowd_sim.actors.placement.RESERVING", 1.0)
        with pytest.raises(ClusterError, match=r"no room for 1.5 CPUs at once within 1 s"), reserved(need):
            pass
    with reserved(need):  # given back
        pass
    with reserved(
        required_by_run(ActorsConfig(**{pool: PoolConfig(cpus=0.0) for pool in ("crowd", "trainers", "evaluators")}))
    ):
        pass


@pytest.mark.usefixtures("local_ray")
def test_nodes_that_are_too_small_for_an_actor_are_named(monkeypatch):
    nodes = [{"CPU": 2.0}, {"CPU": 2.0, "GPU": 1.0}]
    monkeypatch.setattr("crowd_sim.actors.placement._nodes", lambda: nodes)
    check_capacity(Need(({"CPU": 2.0, "GPU": 1.0}, {"CPU": 2.0})))
    with pytest.raises(ClusterError, match=r"an actor needs 3 CPUs, and no node has that"):
        check_capacity(Need(({"CPU": 3.0},)))
    assert fitting(SweepWorkers(cpus=0.5)) == 8
    assert fitting(SweepWorkers(cpus=0.5, gpus=0.5)) == 2
