import re
from pathlib import Path

import pytest
from rich.console import Console

from crowd_sim import load_config, run
from crowd_sim.cli.run import run as run_command
from crowd_sim.config import CrowdConfig, RunConfig
from crowd_sim.config.io import load_content
from crowd_sim.files import fingerprint_of
from crowd_sim.sweeps.plan import Sweep
from tests.bad_input.command import IN_PROCESS
from tests.llm.small import config as small


def test_a_run_of_points_knows_nothing_of_texts_and_honest_workers_of_no_behaviour():
    """Or folders made before there were any would be refused."""
    known = RunConfig.parse({}).determinants()
    assert set(known) == {"seed", "runs", "crowd", "tournament", "valuation"}
    assert set(known["crowd"]) == {"source", "path", "n_workers", "seed", "selection", "chunk_size"}
    assert fingerprint_of(RunConfig.parse({"crowd": {"behaviour": "honest"}}).determinants()) == fingerprint_of(known)
    lazy = RunConfig.parse({"crowd": {"behaviour": "tests.faults.trouble:lazy"}}).determinants()
    assert lazy["crowd"]["behaviour"] == "tests.faults.trouble:lazy"


def test_results_of_texts_depend_on_all_but_the_actors():
    def of(**sections):
        crowd = {"source": "example_feedback", "target": "warm", "n_workers": 8}
        content = {
            "crowd": crowd,
            "tournament": {"rounds": 1},
            "valuation": {"method": "none"},
            "task": {"kind": "imitate"},
        }
        return fingerprint_of(RunConfig.parse(content | sections).determinants())

    first = of()
    assert of(actors={"trainers": {"number": 3}}) == first
    assert of(crowd={"source": "example_feedback", "target": "terse", "n_workers": 8}) != first
    assert of(task={"kind": "imitate", "generation": {"temperature": 0.5}}) != first


def test_a_merged_model_is_no_other_result_and_older_folders_stay_known():
    crowd = {"source": "example_feedback", "target": "warm", "n_workers": 8}
    content = {"crowd": crowd, "tournament": {"rounds": 1}, "valuation": {"method": "none"}}
    plain, merged = (
        RunConfig.parse(content | {"task": {"kind": "imitate", "merged_model": wanted}}).determinants()
        for wanted in (False, True)
    )
    assert plain == merged
    assert plain["task"]["merged_model"] is False  # as it stands in the fingerprints of folders that are there


ROOT = Path(__file__).parents[2]
CONFIGS = sorted((ROOT / "experiments" / "configs").glob("llm_*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_the_configurations_that_come_with_the_project_are_some(path):
    content = load_content(path)
    config = Sweep.parse(content).first if "sweep" in content else load_config(path)
    assert config.task.kind != "vector"
    published = set((ROOT / "experiments" / "paper" / "published_llm.csv").read_text().replace("\n", ",").split(","))
    for target in re.findall(r"crowd\.target=(\w+)", path.read_text(encoding="utf-8")):
        assert target in published  # those that the neighbourhoods are published for


def test_there_are_such_configurations():
    assert len(CONFIGS) >= 3


def test_the_python_face_runs_them_as_the_command_does(parts, tmp_path):
    setup = small(parts, tournament={"rounds": 1})
    outcome = run(setup, tmp_path / "own")
    finished = run_command(setup, "small", tmp_path / "theirs", IN_PROCESS[1], Console(quiet=True))
    assert outcome.history.points.tobytes() == finished.outcome.history.points.tobytes()
    for name in ("rounds", "candidates", "workers", "outputs"):
        assert (tmp_path / "own" / f"{name}.parquet").read_bytes() == (finished.folder / f"{name}.parquet").read_bytes()


def test_a_crowd_of_records_can_be_a_key():
    named = [CrowdConfig.model_validate({"records": {"columns": {"prompt": name}}}) for name in ("q", "q", "ask")]
    assert len({*named, CrowdConfig()}) == 3
