"""The commands as a person gives them, on a Ray of their own."""

import os
import subprocess
import sys

import pandas as pd
import pytest

from crowd_sim.cli.app import main

SMALL = [
    "runs=2",
    "tournament.rounds=5",
    "valuation.budget=1000",
    "valuation.kernel_shap_budget=500",
    "crowd.n_workers=20",
]


def crowd_sim(*arguments, cwd):
    command = [sys.executable, "-m", "crowd_sim.cli.app", *map(str, arguments)]
    # a console script does not have the folder it is called from on its path, nor does a Ray of ours belong to it
    env = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "RAY_ADDRESS")} | {"PYTHONSAFEPATH": "1"}
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=240, check=False)


def test_a_run_on_a_local_ray_with_a_strategy_of_ones_own(tmp_path, quickstart):
    (tmp_path / "mine.py").write_text(
        "import numpy as np\n"
        "def groups(points, n_groups, draws, rounds):\n"
        "    return np.tile(np.arange(points.shape[1]) % n_groups, (len(points), 1))\n"
    )
    done = crowd_sim("run", quickstart, *SMALL, "tournament.grouping=mine:groups", "--out", "here", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "distance to the target at the end" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("here: tables, report.html and figures (distance_per_round.png")
    folder = tmp_path / "here"
    assert len(pd.read_parquet(folder / "rounds.parquet")) == 2 * 6
    assert len(pd.read_parquet(folder / "workers.parquet")) == 2 * 20
    for name in ("config.yaml", "summary.json", "runs.parquet", "report.html", "figures/points_against_values.png"):
        assert (folder / name).stat().st_size > 0


def test_a_bug_in_a_users_strategy_is_reported_with_its_traceback(tmp_path, quickstart):
    (tmp_path / "broken.py").write_text(
        "def groups(points, n_groups, draws, rounds):\n    raise ZeroDivisionError('my own bug')\n"
    )
    done = crowd_sim(
        "run", quickstart, *SMALL, "tournament.grouping=broken:groups", "--ray-address", "none", cwd=tmp_path
    )
    assert done.returncode == 1
    assert "ZeroDivisionError: my own bug" in done.stderr
    assert "broken.py" in done.stderr


def test_a_cluster_that_is_not_there_is_one_line(tmp_path, quickstart):
    done = crowd_sim("run", quickstart, "--out", "here", "--ray-address", "127.0.0.1:1", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("crowd-sim: no Ray cluster at 127.0.0.1:1")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "command",
    [
        "run",
        "sweep",
        "configs",
        "init",
        "value",
        "report",
        "data movielens",
        "data goemotions",
        "data distill",
        "bench",
    ],
)
def test_every_command_helps_with_an_example(command, capsys):
    with pytest.raises(SystemExit) as ended:
        main([*command.split(), "--help"])
    assert ended.value.code == 0
    assert f"Example: crowd-sim {command}" in " ".join(capsys.readouterr().out.split())
