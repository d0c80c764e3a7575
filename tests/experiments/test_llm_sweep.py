"""A sweep of texts: killed and gone on with, its tables are those of separate runs."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import nullcontext

import numpy as np
import pandas as pd
import pytest
import yaml
from rich.console import Console

pytest.importorskip("torch", reason="needs the extra llm")
pytest.importorskip("peft", reason="needs the extra llm")

from safetensors.numpy import load_file, save_file

from crowd_sim.cli.sweep import sweep as sweep_command
from crowd_sim.commands import IN_PROCESS
from crowd_sim.commands.sweep import merge
from crowd_sim.engine import simulate
from crowd_sim.errors import InputError
from crowd_sim.host import InProcess
from crowd_sim.models.lora import LoraLearner, shared_learner
from crowd_sim.scores import l2
from crowd_sim.sweeps.batch import TABLES
from crowd_sim.sweeps.partition import Shard
from crowd_sim.sweeps.plan import Sweep
from crowd_sim.tasks.imitate.tables import models_table, rounds_table, run_metrics, workers_table
from crowd_sim.tasks.load import load_task
from tests.llm.small import content, make_parts

_MADE = ("points", "runs", "workers_sample", *TABLES)


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    folder = make_parts(tmp_path_factory.mktemp("small"))
    (folder / "other.txt").write_text("no, no\nsnow again\n")
    return folder


@pytest.fixture(scope="module")
def whole(parts):
    """A sweep of two targets × two learning rates × three searches, as content."""
    changes = {
        "crowd": {"target": str(parts / "target.txt")},
        "task": {"single_sizes": [3], "equal_tokens": True},
        "tournament": {"n_groups": 3, "drop_used": False},
    }
    actors = {
        "checkpoints": {"rounds": 1},
        "trainers": {"number": 2, "cpus": 0.1},
        "evaluators": {"cpus": 0.1},
    }
    targets = [str(parts / name) for name in ("target.txt", "other.txt")]
    searches = ["best", "merge", "halving"]
    swept = {"crowd": {"target": targets}, "task": {"learning_rate": [0.01, 0.02]}, "tournament": {"search": searches}}
    return {"seed": 4, **content(parts, **changes), "actors": actors, "sweep": swept}


def sweep(plan, folder, address=IN_PROCESS, **options):
    options = {"tables": TABLES, **options}
    return sweep_command(plan, "test", folder, address, Console(file=io.StringIO()), **options)


def tables(folder):
    return {name: (folder / f"{name}.parquet").read_bytes() for name in _MADE}


@pytest.fixture(scope="module")
def finished(whole, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "sweep"
    assert sweep(Sweep.parse(whole), folder).done == 12
    assert not (folder / "unfinished").exists() or not list((folder / "unfinished").iterdir())
    assert not (folder / "cache").exists()
    return folder


def test_a_sweep_has_what_separate_runs_have(whole, finished):
    points, runs, workers, rounds = (
        pd.read_parquet(finished / f"{name}.parquet") for name in ("points", "runs", *TABLES)
    )
    for point in Sweep.parse(whole).points:
        (alone,) = simulate([point.config], load_task(point.config), InProcess())
        for field, value in point.swept.items():
            assert points[field][point.index] == runs[field][point.index] == value
        for name, values in run_metrics(alone).items():
            np.testing.assert_array_equal(runs[name][point.index], values[0])
            if name != "initial_distance":
                np.testing.assert_array_equal(points[f"{name}_mean"][point.index], values.mean())
        for table, expected in ((workers, workers_table(alone)), (rounds, rounds_table(alone))):
            own = table[(table[list(point.swept)] == list(point.swept.values())).all(axis=1)]
            pd.testing.assert_frame_equal(own[expected.columns].reset_index(drop=True), expected)
        distances = models_table(alone).set_index("model")["distance"]
        assert points["distance_single_3_mean"][point.index] == distances["single_3"]


def test_of_each_seed_other_workers_are_bad(whole, tmp_path):
    bad = {"crowd": {**whole["crowd"], "bad": {"behaviour": "word_salad", "share": 0.4}}}
    plan = Sweep.parse({**whole, **bad, "sweep": {"seed": [4, 5, 6]}})
    sweep(plan, tmp_path / "s")
    runs, workers = (pd.read_parquet(tmp_path / "s" / f"{name}.parquet") for name in ("runs", "workers"))
    assert len({tuple(of_seed["bad"]) for _, of_seed in workers.groupby("seed")}) > 1
    for point in plan.points:
        (alone,) = simulate([point.config], load_task(point.config), InProcess())
        for name, values in run_metrics(alone).items():
            np.testing.assert_array_equal(runs[name][point.index], values[0])


def test_a_sweep_that_is_killed_goes_on_from_its_checkpoints(whole, finished, tmp_path, monkeypatch):
    path, folder = tmp_path / "sweep.yaml", tmp_path / "s"
    actors = {**whole["actors"], "checkpoints": {"rounds": 1, "steps": 1}}
    own = {**whole, "actors": actors}
    path.write_text(yaml.safe_dump(own))
    command = [sys.executable, "-m", "crowd_sim.cli.app", "sweep", str(path), "--tables", "workers,rounds"]
    process = subprocess.Popen(
        [*command, "--ray-address", "none", "--out", str(folder)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    while process.poll() is None and not list(folder.glob("unfinished/*/checkpoints/round-00000001.checkpoint")):
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    said = process.communicate()[0].decode()
    assert process.returncode == -signal.SIGKILL, said
    assert not (folder / "points.parquet").exists()
    assert list(folder.glob("cache/outputs/*/*"))
    assert list(folder.glob("cache/tuning/*/00000001-*"))

    tuned = []
    usual = LoraLearner.tune

    def counted(self, jobs):
        tuned.extend(jobs)
        return usual(self, jobs)

    monkeypatch.setattr(LoraLearner, "tune", counted)
    assert sweep(Sweep.parse(own), folder).done == 12
    events = [json.loads(line) for line in (folder / "log-1-of-1.jsonl").read_text().splitlines()]
    resumed = {event["point"]: event["round"] for event in events if event["event"] == "point resumed"}
    assert resumed
    assert set(resumed) <= set(range(6))
    assert max(resumed.values()) >= 1
    assert tables(folder) == tables(finished)
    first, learning_rate = next(iter(resumed)), {job.training.learning_rate for job in tuned}
    assert learning_rate == {0.01, 0.02}
    assert first < 6


def test_points_side_by_side_tune_equal_candidates_once(whole, tmp_path, monkeypatch):
    tuned = []
    usual = LoraLearner.tune

    def counted(self, jobs):
        tuned.append(len(jobs))
        return usual(self, jobs)

    monkeypatch.setattr(LoraLearner, "tune", counted)
    plan = Sweep.parse({**whole, "sweep": {"tournament": {"search": ["best", "merge"]}}})
    sweep(plan, tmp_path / "both")
    both, calls = sum(tuned), len(tuned)
    tuned.clear()
    for point in plan.points:
        simulate([point.config], load_task(point.config), InProcess())
    # in the first round and for the single model the two are the same; later ones may be
    assert both <= sum(tuned) - (3 + 1)
    assert calls < len(tuned)


@pytest.mark.usefixtures("local_ray")
def test_shards_of_texts_in_process_and_on_trainers_are_merged_to_the_same_tables(
    whole, finished, tmp_path, monkeypatch
):
    # the session's Ray is there already
    monkeypatch.setattr("crowd_sim.actors.cluster.connected", lambda *_: nullcontext())
    shards = [tmp_path / str(i) for i in (1, 2)]
    for number, folder, address in zip((1, 2), shards, (IN_PROCESS, None), strict=True):
        sweep(Sweep.parse(whole), folder, address, shard=Shard(number, 2))
    assert merge(tmp_path / "merged", shards).done == 12
    assert tables(tmp_path / "merged") == tables(finished)


def fragile(x, target):
    """A score of a user's own that fails now and then."""
    if os.environ.get("CROWD_SIM_TEST_FRAGILE"):
        raise ZeroDivisionError
    return l2(x, target)


def test_points_of_texts_that_failed_are_tried_again(whole, tmp_path, monkeypatch):
    scores = ["l2", "tests.experiments.test_llm_sweep:fragile"]
    plan = Sweep.parse({**whole, "sweep": {"tournament": {"score": scores}}})
    monkeypatch.setenv("CROWD_SIM_TEST_FRAGILE", "1")
    swept = sweep(plan, tmp_path / "s")
    assert (swept.done, swept.failed) == (1, 1)
    monkeypatch.delenv("CROWD_SIM_TEST_FRAGILE")
    assert sweep(plan, tmp_path / "s").failed == 1
    assert sweep(plan, tmp_path / "s", retry_failed=True).done == 2
    points = pd.read_parquet(tmp_path / "s" / "points.parquet").drop(columns="tournament.score")
    assert points.iloc[0].equals(points.iloc[1])


def test_a_sweep_is_not_gone_on_with_under_other_weights(whole, parts, tmp_path):
    mine = tmp_path / "model"
    shutil.copytree(parts / "model", mine)
    swept = {"sweep": {"task": {"learning_rate": [0.01, 0.02]}}}
    plan = Sweep.parse({**whole, "task": {**whole["task"], "model": str(mine)}, **swept})
    sweep(plan, tmp_path / "s", shard=Shard(1, 2))
    weights = load_file(mine / "model.safetensors")
    next(iter(weights.values())).flat[0] += 1
    save_file(weights, mine / "model.safetensors", {"format": "pt"})
    shared_learner.cache_clear()  # as in another process
    kept = sorted(path for path in (tmp_path / "s" / "parts").rglob("*.parquet"))
    with pytest.raises(InputError, match=r"files of task.model, task.phi.model or task.adapter have changed since"):
        sweep(plan, tmp_path / "s", shard=Shard(2, 2))
    assert sorted((tmp_path / "s" / "parts").rglob("*.parquet")) == kept
    sweep(plan, tmp_path / "t", shard=Shard(2, 2))
    with pytest.raises(InputError, match=r"files of task.model, task.phi.model or task.adapter have changed since"):
        merge(tmp_path / "merged", [tmp_path / "s", tmp_path / "t"])
    shared_learner.cache_clear()


def test_batches_do_not_change_the_tables_of_texts(whole, finished, tmp_path):
    plan = Sweep.parse({**whole, "actors": {"sweep": {"max_runs": 1}}})
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
