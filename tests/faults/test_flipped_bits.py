"""No bit of any file of a run, a sweep, values, a text run or a cache may flip unseen."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import crowd_sim
from crowd_sim.commands.verify import verify
from crowd_sim.errors import InputError
from crowd_sim.files import read_config, write_json
from crowd_sim.integrity import DamagedError, check_file, read_json, sealed, unsealed
from crowd_sim.store.checkpoint import Checkpoint, Checkpoints
from crowd_sim.valuation import CachedGame
from experiments.bench.flipped_bits import flip
from tests.bad_input.command import CONFIGURATION, IN_PROCESS, SWEEP, call, check_line
from tests.llm.small import content, make_parts


class Game:
    n_players = 9

    def __call__(self, coalitions):
        return coalitions.sum(axis=1) ** 0.5


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A folder of each kind."""
    base = tmp_path_factory.mktemp("whole")
    for command, text in (("run", CONFIGURATION), ("sweep", SWEEP)):
        path = base / f"{command}.yaml"
        path.write_text(text)
        assert call([command, str(path), "--out", str(base / command), *IN_PROCESS]) == 0
    crowd_sim.value(np.arange(12.0).reshape(4, 3) ** 1.5, [1.0, 2.0, 3.0], base / "values")
    texts = content(make_parts(base / "parts"), valuation={"method": "exact"}, task={"merged_model": True})
    texts["crowd"] |= {"n_workers": 3, "selection": "first"}
    texts["tournament"]["drop_used"] = False
    crowd_sim.run({"seed": 4, **texts}, base / "text")
    CachedGame(Game(), base / "cache", "a game")(np.random.default_rng(0).random((40, 9)) < 0.5)
    return base


@pytest.mark.parametrize("kind", ["run", "sweep", "values", "text", "cache"])
def test_no_flipped_bit_is_accepted(folders, tmp_path, kind):
    shutil.copytree(folders / kind, tmp_path / kind)
    assert {checked.state for checked in verify(tmp_path / kind)} == {"whole"}
    accepted = []
    found = flip(tmp_path / kind, 300, 1, accepted.append)
    assert found["flipped"] >= 300
    assert accepted == []


@pytest.fixture
def run_folder(folders, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(folders / "run", "out")
    return Path("out")


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("workers.parquet", "report"),
        ("summary.json", "report"),
        ("config.yaml", "report"),
        ("config.yaml", "status"),
        ("config.yaml", "value"),
        ("status.json", "status"),
    ],
)
def test_a_damaged_file_is_one_line(run_folder, capsys, name, command):
    path = run_folder / name
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    path.write_bytes(damaged)
    capsys.readouterr()
    assert call([command, "out", *(IN_PROCESS if command == "value" else ())]) == 2
    check_line(capsys.readouterr().err, (f"out/{name}", ": is damaged"))
    assert call(["verify", "out"]) == 2
    out, error = capsys.readouterr()
    assert f"{name}: damaged\n" in out
    check_line(error, ("folder = 'out'", f"not what was written: {name}"))


def test_a_damaged_table_is_made_anew_by_the_same_command(run_folder, capsys):
    path = run_folder / "workers.parquet"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    assert call(["run", "--resume", "out", *IN_PROCESS]) == 0
    assert path.read_bytes() == whole
    assert call(["verify", "out"]) == 0
    assert "files are what was written" in capsys.readouterr().out


@pytest.mark.parametrize("folder", ["nowhere", "empty"])
def test_what_is_no_folder_is_not_verified(tmp_path, monkeypatch, capsys, folder):
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    assert call(["verify", folder]) == 2
    check_line(capsys.readouterr().err, ("folder = ", folder))


def test_what_is_missing_set_aside_or_nobodys_is_told(run_folder):
    (run_folder / "runs.parquet").unlink()
    (run_folder / "notes.txt").write_text("mine")
    kept = next(run_folder.glob("checkpoints/*.checkpoint"))
    kept.rename(kept.with_suffix(".damaged"))
    states = {checked.name: checked.state for checked in verify(run_folder)}
    assert states["runs.parquet"] == "missing"
    assert states["notes.txt"] == "unknown"
    assert states[f"checkpoints/{kept.stem}.damaged"] == "set aside"


def test_a_summary_that_is_lost_is_missed(folders, tmp_path):
    shutil.copytree(folders / "sweep", tmp_path / "out")
    (tmp_path / "out" / "summary.json").unlink()
    with pytest.raises(InputError, match=r"must hold summary\.json"):
        check_file(tmp_path / "out", "points.parquet")


def test_a_folder_of_an_earlier_version_has_no_digests(tmp_path):
    pd.DataFrame({"x": [1]}).to_parquet(tmp_path / "rounds.parquet")
    write_json(tmp_path / "summary.json", {"runs": 1})
    check_file(tmp_path, "rounds.parquet")
    assert read_json(tmp_path / "summary.json") == {"runs": 1}


@pytest.mark.parametrize("lost", ["format", "digest"])
def test_a_seal_cannot_be_lost_by_halves(lost):
    content = sealed({"a": 1})
    assert unsealed(content, "x") == {"a": 1}
    content.pop(lost)
    with pytest.raises(DamagedError, match="x: is damaged"):
        unsealed(content, "x")


def test_a_copy_of_a_folder_s_configuration_may_be_edited(run_folder, capsys):
    lines = (run_folder / "config.yaml").read_text().splitlines()
    edited = [line.replace("seed: 0", "seed: 1") for line in lines]
    Path("copy.yaml").write_text("\n".join(edited) + "\n")
    capsys.readouterr()
    assert call(["run", "copy.yaml", "--out", "other", *IN_PROCESS]) == 2
    check_line(capsys.readouterr().err, ("copy.yaml: is damaged", "take away its lines format and digest"))
    Path("copy.yaml").write_text("\n".join(edited[1:-1]) + "\n")
    assert call(["run", "copy.yaml", "--out", "other", *IN_PROCESS]) == 0
    assert read_config(Path("other"))["seed"] == 1


def test_a_checkpoint_of_another_name_is_damaged(tmp_path):
    kept = Checkpoints(tmp_path, "print")
    kept.write(Checkpoint(3, b"content"))
    path = tmp_path / "checkpoints" / "round-00000003.checkpoint"
    path.rename(path.with_name("round-00000007.checkpoint"))
    assert list(kept.read()) == []
    assert path.with_name("round-00000007.damaged").exists()


def test_adapters_are_checked_as_they_are_read(folders, tmp_path):
    from crowd_sim.models.adapters import load_adapter

    shutil.copytree(folders / "text", tmp_path / "text")
    folder = tmp_path / "text" / "adapter" / "run-0"
    load_adapter(folder)
    path = folder / "adapter_model.safetensors"
    damaged = bytearray(path.read_bytes())
    damaged[-1] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(DamagedError, match="is damaged"):
        load_adapter(folder)
    summary = json.loads((tmp_path / "text" / "summary.json").read_text())
    assert "adapter/run-0/adapter_model.safetensors" in summary["files"]
    assert "outputs.parquet" in summary["files"]
