"""What the house ships for clusters is what Ray, a shell and Kubernetes would read."""

import copy
import re
import shlex
import subprocess
from pathlib import Path

import click
import pytest
import typer
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config
from ray.scripts.scripts import cli as ray_commands

from crowd_sim.cli.app import app
from crowd_sim.config import RunConfig
from crowd_sim.config.io import load_content
from crowd_sim.config.shipped import shipped as shipped_configurations
from crowd_sim.searches.plan import Search
from crowd_sim.sweeps.plan import Sweep

ROOT = Path(__file__).parents[1]
SLURM = sorted((ROOT / "experiments" / "configs").glob("*.slurm"))
CLUSTERS = ("cluster.yaml", "cluster-onprem.yaml")


def read(name):
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", CLUSTERS)
def test_rays_launcher_accepts_the_cluster(name):
    config = prepare_config(read(name))
    validate_config(config)
    assert config["head_node_type"] in config["available_node_types"]


@pytest.mark.parametrize("name", CLUSTERS)
def test_rays_launcher_would_refuse_a_slip(name):
    config = prepare_config(read(name))
    for broken in ({**config, "max_worker": 3}, {**copy.deepcopy(config), "provider": {}}):
        with pytest.raises(Exception, match=r"max_worker|type|provider"):
            validate_config(broken)


def test_workers_are_of_both_kinds_on_spot_and_configurations_can_name_them(tmp_path):
    types = read("cluster.yaml")["available_node_types"]
    kinds = {name: set(node["resources"]) - {"CPU", "GPU"} for name, node in types.items()}
    assert kinds == {"head": set(), "cpu_worker": {"cpu_node"}, "gpu_worker": {"gpu_node"}}
    for name in ("cpu_worker", "gpu_worker"):
        assert types[name]["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"}
    assert types["gpu_worker"]["resources"]["GPU"] == 1
    (tmp_path / "c.yaml").write_text("seed: 1\n")
    content = load_content(tmp_path / "c.yaml", ["actors.trainers.resources={gpu_node: 0.01}"])
    assert RunConfig.parse(content).actors.trainers.resources == {"gpu_node": 0.01}


@pytest.mark.parametrize("name", CLUSTERS)
def test_every_file_that_is_mounted_is_one_that_is_made_or_there(name):
    made = {"./dist", "~/.ray/auth_token"}  # by the first two commands of docs/clusters.md
    for path in set(read(name)["file_mounts"].values()) - made:
        assert (ROOT / path).exists()


@pytest.mark.parametrize("path", SLURM, ids=lambda path: path.name)
def test_slurm_scripts_are_bash(path):
    subprocess.run(["bash", "-n", path], check=True)


def test_the_rayjob_names_an_entrypoint_and_resources_that_its_workers_have():
    spec = read("experiments/deploy/rayjob.yaml")["spec"]
    assert spec["entrypoint"].startswith("crowd-sim sweep ")
    offered = [
        yaml.safe_load(yaml.safe_load(g["rayStartParams"]["resources"]))
        for g in spec["rayClusterSpec"]["workerGroupSpecs"]
    ]
    assert offered == [{"cpu_node": 1}, {"gpu_node": 1}]
    assert "cpu_node" in spec["entrypoint"]


def commands(text):
    """The `crowd-sim` commands in a shell script, each as its words."""
    text = text.replace("experiments/run.py --", "crowd-sim run")  # which it is on the head node
    lines = text.replace("\\\n", " ").splitlines()
    words = [shlex.split(line, comments=True) for line in lines if re.search(r"\bcrowd-sim (run|sweep|search) ", line)]
    return [found[found.index("crowd-sim") + 1 :] for found in words if "crowd-sim" in found]


PAGES = ("sweeps.md", "clusters.md", "quickstart.md", "search.md", "trackers.md")


def shipped():
    yield "rayjob.yaml", read("experiments/deploy/rayjob.yaml")["spec"]["entrypoint"]
    for path in SLURM:
        yield path.name, path.read_text(encoding="utf-8")
    script = (ROOT / "experiments" / "paper" / "reproduce.sh").read_text(encoding="utf-8")
    yield "reproduce.sh", script.replace('"${given[@]}"', "task.phi.kind=embedding")
    for name in PAGES:
        text = (ROOT / "docs" / name).read_text(encoding="utf-8")
        yield name, "\n".join(re.findall(r"^```sh\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL))


SHIPPED = [(name, words) for name, text in shipped() for words in commands(text)]


def test_commands_are_found_everywhere():
    files = {"reproduce.sh", "rayjob.yaml", "shards.slurm", "sweep.slurm", *PAGES}
    assert {name for name, _ in SHIPPED} == files
    assert len(SHIPPED) >= 3 + 6
    assert {words[1] for _, words in SHIPPED if len(words) > 1} >= {"quickstart", "paper_sweep"}


@pytest.mark.parametrize(("name", "words"), SHIPPED, ids=[f"{name}: {' '.join(words)}" for name, words in SHIPPED])
def test_the_commands_that_are_shipped_are_understood(name, words, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    group = typer.main.get_command(app)
    command = group.commands[words[0]]
    given = command.make_context(words[0], words[1:]).params
    path = given["configuration"]
    if path is None or not (path.exists() or str(path) in shipped_configurations()):  # one of the reader's own
        path = tmp_path / "own.yaml"
        path.write_text("sweep: {seed: [1, 2]}\n" if words[0] == "sweep" else "seed: 1\n")
    content = load_content(path, list(given["overrides"] or []))
    {"sweep": Sweep, "search": Search}.get(words[0], RunConfig).parse(content)


def test_the_other_commands_of_the_page_about_clusters_are_understood():
    """By Ray's own command line; what they name is there, or made by a command before."""
    text = (ROOT / "docs" / "clusters.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    lines = "\n".join([*blocks, *re.findall(r"`(ray [^`]+)`", text)]).replace("\\\n", " ").splitlines()
    words = [shlex.split(line, comments=True) for line in lines if line]
    assert {found[0] for found in words} == {"export", "ray", "crowd-sim", "rm", "RAY_AUTH_MODE=token"}
    subprocess.run(["bash", "-n"], input="\n".join(blocks), text=True, check=True)
    given = [found[found.index("ray") + 1 :] for found in words if found[:1] != ["crowd-sim"] and "ray" in found]
    read_files, jobs = set(), 0
    for arguments in given:
        group, rest, context = ray_commands, arguments, click.Context(ray_commands)
        while isinstance(group, click.Group):
            name, group, rest = group.resolve_command(context, rest)
        found = group.make_context(name, list(rest)).params
        read_files |= {path for path in (found.get("cluster_config_file"), found.get("script")) if path}
        jobs += found.get("entrypoint", ("",))[0] == "crowd-sim"
    assert len(given) >= 10
    assert read_files == {"cluster.yaml", "experiments/run.py"}
    assert jobs == 2


@pytest.mark.parametrize("path", SLURM, ids=lambda path: path.name)
def test_slurm_signals_what_runs_the_command(path):
    """Without B: Slurm signals what srun has started, with it the batch shell, and so what that execs, alone."""
    script = path.read_text(encoding="utf-8")
    in_a_step = re.search(r"^srun ", script, flags=re.MULTILINE) is not None
    assert in_a_step != (re.search(r"^exec crowd-sim ", script, flags=re.MULTILINE) is not None)
    assert ("#SBATCH --signal=TERM@60\n" if in_a_step else "#SBATCH --signal=B:TERM@60\n") in script
