"""What the house ships for clusters is what Ray, a shell and Kubernetes would read."""

import copy
import subprocess
from pathlib import Path

import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

from crowd_sim.config import RunConfig
from crowd_sim.loading import load_content

ROOT = Path(__file__).parents[1]
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
    made = {"./dist", "~/.ray/auth_token"}  # by the README's first two commands
    for path in set(read(name)["file_mounts"].values()) - made:
        assert (ROOT / path).exists()


@pytest.mark.parametrize("path", sorted((ROOT / "experiments" / "deploy").glob("*.slurm")), ids=lambda path: path.name)
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
