"""Configurations that ship: found by name, listed, copied; a file comes first."""

import json
from pathlib import Path

import pytest

from crowd_sim import load_config
from crowd_sim.config.io import load_content
from crowd_sim.config.shipped import shipped
from crowd_sim.errors import InputError
from tests.bad_input.command import CONFIGURATION, IN_PROCESS, call, check_line

SMALL = ["runs=1", "crowd.n_workers=6", "tournament.rounds=2", "valuation.kernel_shap_budget=0"]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_a_run_by_name_is_that_of_the_file(quickstart):
    assert load_config("quickstart") == load_config(quickstart)


def test_a_file_comes_before_a_name_and_a_folder_does_not():
    Path("quickstart").mkdir()
    assert load_config("quickstart").runs == 20
    Path("quickstart").rmdir()
    Path("quickstart").write_text(CONFIGURATION)
    assert load_config("quickstart").runs == 2


def test_python_refuses_a_name_that_is_neither():
    with pytest.raises(
        InputError, match=r"^configuration = 'nope': is no file; .* a name that `crowd-sim configs` lists$"
    ):
        load_config("nope")


def test_a_run_by_name_names_its_folder():
    assert call(["run", "quickstart", *SMALL, *IN_PROCESS]) == 0
    (folder,) = Path("runs").iterdir()
    assert folder.name.startswith("quickstart-")
    assert len(folder.name) == len("quickstart-") + 8


def test_a_sweep_by_name_is_run():
    swept = ["sweep.crowd.n_workers=[6]", "sweep.tournament.n_groups=[2,3]", "sweep.tournament.score=[l2]"]
    only = ["crowd.source=synthetic", "sweep.tournament.grouping=[random]"]
    assert call(["sweep", "paper_sweep", *SMALL[:1], *SMALL[2:], *swept, *only, *IN_PROCESS]) == 0
    (folder,) = Path("runs").iterdir()
    assert folder.name.startswith("paper_sweep-")


def test_every_one_is_listed_with_its_kind_task_and_comment(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert call(["configs"]) == 0
    rows = {words[0]: words for line in capsys.readouterr().out.splitlines() if len(words := line.split()) > 3}
    assert set(shipped()) <= set(rows)
    assert rows["quickstart"][1:7] == ["run", "vector", "Twenty", "runs", "of", "a"]
    assert rows["paper_sweep"][1:6] == ["sweep", "vector", "The", "9,000", "runs"]
    assert rows["llm_quickstart"][1:3] == ["run", "imitate"]


@pytest.mark.parametrize("path", shipped().values(), ids=lambda path: path.name)
def test_each_begins_with_a_line_that_says_what_it_shows(path):
    first = path.read_text(encoding="utf-8").splitlines()[0]
    assert first.startswith("# ")
    assert first[-1] in ".;"


def test_a_copy_is_made_to_edit_and_never_over_a_file(quickstart, capsys):
    assert call(["init", "quickstart"]) == 0
    assert Path("quickstart.yaml").read_bytes() == quickstart.read_bytes()
    assert call(["init", "paper_sweep", "mine.yaml"]) == 0
    assert capsys.readouterr().out == "quickstart.yaml\nmine.yaml\n"
    for arguments, says in (
        (["quickstart"], "PATH = 'quickstart.yaml': exists already"),
        (["quickstart", "."], "PATH = '.': "),
        (["quickstart", "no/mine.yaml"], "PATH = 'no/mine.yaml': cannot be written (No such file"),
        (["nope"], "configuration = 'nope': must be a shipped configuration: attack_sweep, "),
        (["quickstart.yaml", "x"], "configuration = 'quickstart.yaml': must be a shipped configuration"),
    ):
        assert call(["init", *arguments]) == 2
        check_line(capsys.readouterr().err, (says,))
    assert sorted(path.name for path in Path().iterdir()) == ["mine.yaml", "quickstart.yaml"]


def test_the_schema_takes_what_ships_and_refuses_what_is_unknown(capsys):
    jsonschema = pytest.importorskip("jsonschema")
    assert call(["configs", "--schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    jsonschema.Draft202012Validator.check_schema(schema)
    for path in shipped().values():
        jsonschema.validate(load_content(path), schema)
    for wrong in ({"runs": "many"}, {"crowd": {"n_wrokers": 3}}, {"nope": 1}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, schema)


@pytest.mark.parametrize("written", ["1e4", "1.0e4", "1E+4"])
def test_a_budget_may_be_written_with_an_exponent(tmp_path, written):
    path = tmp_path / "a.yaml"
    path.write_text(f"valuation: {{budget: {written}}}  # not 5\n")
    assert load_config(path).valuation.budget == 10_000
    assert load_config("quickstart", [f"valuation.budget={written}"]).valuation.budget == 10_000
    content = load_content("quickstart", [f"sweep.valuation.budget=[1e3,{written}]", "tournament.step=1e-1"])
    assert content["sweep"]["valuation"]["budget"] == [1_000, 10_000]
    assert content["tournament"]["step"] == 0.1


@pytest.mark.parametrize("written", ["1.5e0", "2.0", "'1e4'"])
def test_a_number_with_a_fraction_or_a_text_is_no_whole_number(tmp_path, written):
    with pytest.raises(InputError, match=r"runs = "):
        load_config("quickstart", [f"runs={written}"])
