"""A sweep of texts: killed and gone on with, its tables are those of separate runs."""

import io
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
import yaml
from rich.console import Console

pytest.importorskip("torch", reason="needs the extra llm")
pytest.importorskip("peft", reason="needs the extra llm")

from crowd_sim.cli.run import run
from crowd_sim.cli.sweep import sweep as sweep_command
from crowd_sim.commands import IN_PROCESS
from crowd_sim.sweeps.plan import Sweep
from tests.llm.small import content, make_parts


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A sweep of two learning rates × two searches, as content."""
    parts = make_parts(tmp_path_factory.mktemp("small"))
    changed = content(parts, task={"kind": "imitate", "single_sizes": [3], "equal_tokens": True})
    swept = {"task": {"learning_rate": [0.01, 0.02]}, "tournament": {"search": ["best", "merge"]}}
    return {"seed": 4, "runs": 2, **changed, "actors": {"sweep": {"max_runs": 2}}, "sweep": swept}


def sweep(plan, folder):
    return sweep_command(plan, "test", folder, IN_PROCESS, Console(file=io.StringIO()))


def tables(folder):
    return [(folder / f"{name}.parquet").read_bytes() for name in ("points", "runs", "workers_sample")]


@pytest.fixture(scope="module")
def finished(whole, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "sweep"
    assert sweep(Sweep.parse(whole), folder).done == 4
    return folder


def test_a_sweep_has_what_separate_runs_have(whole, finished, tmp_path):
    plan = Sweep.parse(whole)
    points, runs = (pd.read_parquet(finished / f"{name}.parquet") for name in ("points", "runs"))
    assert runs["run"].tolist() == [0, 1] * 4
    assert runs["seed"].tolist() == [4] * 8
    for point in plan.points:
        alone = run(point.config, "one", tmp_path / str(point.index), IN_PROCESS, Console(file=io.StringIO()))
        models = pd.read_parquet(alone.folder / "models.parquet")
        own = runs.iloc[2 * point.index : 2 * point.index + 2]
        assert (own["task.learning_rate"] == point.swept["task.learning_rate"]).all()
        for name in ("base", "single_3", "single_equal_tokens", "round_1", "round_2"):
            for column in ("distance", "distinct", "copied"):
                expected = models.loc[models["model"] == name, column].to_numpy()
                assert own[f"{column}_{name}"].tolist() == expected.tolist()
                assert points[f"{column}_{name}_mean"][point.index] == expected.mean()
        assert points["distance_round_2_se"][point.index] == pytest.approx(own["distance_round_2"].sem())
        per_run = pd.read_parquet(alone.folder / "runs.parquet")
        for name in ("initial_distance", "final_distance"):
            assert np.array_equal(own[name], per_run[name])


def test_a_sweep_that_is_killed_goes_on_and_leaves_the_same_bytes(whole, finished, tmp_path):
    path, folder = tmp_path / "sweep.yaml", tmp_path / "s"
    path.write_text(yaml.safe_dump(whole))
    command = [sys.executable, "-m", "crowd_sim.cli.app", "sweep", str(path)]
    process = subprocess.Popen(
        [*command, "--ray-address", "none", "--out", str(folder)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    parts = folder / "parts" / "points"
    while process.poll() is None and not (parts.exists() and any(parts.glob("*.parquet"))):
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    said = process.communicate()[0].decode()
    assert process.returncode == -signal.SIGKILL, said
    assert not (folder / "points.parquet").exists()
    assert sweep(Sweep.parse(whole), folder).done == 4
    assert tables(folder) == tables(finished)


def test_batches_do_not_change_the_tables_of_texts(whole, finished, tmp_path):
    plan = Sweep.parse({**whole, "actors": {"sweep": {"max_runs": 100}}})
    sweep(plan, tmp_path / "s")
    assert tables(tmp_path / "s") == tables(finished)


def test_points_with_different_models_are_one_table(whole, tmp_path):
    swept = {"sweep": {"task": {"single_sizes": [[3], [2]]}, "tournament": {"rounds": [1, 2]}}}
    made = []
    for max_runs in (1, 100):
        plan = Sweep.parse({**whole, "runs": 1, **swept, "actors": {"sweep": {"max_runs": max_runs}}})
        sweep(plan, tmp_path / str(max_runs))
        made.append(tables(tmp_path / str(max_runs)))
    assert made[0] == made[1]
    points = pd.read_parquet(tmp_path / "1" / "points.parquet")
    assert points["distance_single_3_mean"].isna().tolist() == [False, False, True, True]
    assert points["distance_round_2_mean"].isna().tolist() == [True, False, True, False]
