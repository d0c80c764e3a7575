"""`crowd-sim search`: what it finds, that it goes on with the same bytes wherever it was stopped, and what it refuses."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import crowd_sim
from crowd_sim.cli.status import status_lines
from crowd_sim.commands.search import search
from crowd_sim.errors import InputError
from crowd_sim.searches.journal import JOURNAL, Journal
from crowd_sim.searches.plan import Search
from crowd_sim.searches.space import Choices, Range
from crowd_sim.trackers import Named
from tests.bad_input.command import IN_PROCESS, call, check_line

pytest.importorskip("optuna")

CONTENT = {
    "runs": 10,
    "crowd": {"n_workers": 10},
    "tournament": {"rounds": 4, "n_groups": 2},
    "valuation": {"method": "none"},
    "search": {
        "metric": "final_distance",
        "trials": 14,
        "at_once": 3,
        "held_out": 2,
        "tournament": {"step": {"low": 0.05, "high": 1}, "n_groups": [2, 3, 5], "score": ["l2", "l1"]},
    },
}
RESULTS = ("trials.parquet", "held_out.parquet", "best.yaml", "summary.json")
SMALL = ["crowd.n_workers=8", "tournament.rounds=2", "runs=1", "valuation.method=none"]
STEP = "search.tournament.step={low: 0.1, high: 1}"
METRIC = "search.metric=final_distance"


def of(folder):
    return {name: (folder / name).read_bytes() for name in RESULTS}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("search") / "finished"
    return search(Search.parse(CONTENT), folder, "")


def test_a_space_is_read_as_it_stands():
    plan = Search.parse(CONTENT)
    assert plan.space["tournament.step"] == Range(0.05, 1.0, whole=False)
    assert plan.space["tournament.n_groups"] == Choices((2, 3, 5))
    assert plan.own_values == {"tournament.step": 0.1, "tournament.n_groups": 2, "tournament.score": "l2"}
    whole = {**CONTENT, "search": {"metric": "final_distance", "tournament": {"rounds": {"low": 2, "high": 9}}}}
    assert Search.parse(whole).space["tournament.rounds"] == Range(2, 9, whole=True)


def test_the_folder_has_all_trials_the_best_and_a_report(finished, tmp_path, monkeypatch):
    trials = pd.read_parquet(finished.folder / "trials.parquet")
    assert trials["trial"].tolist() == list(range(14))
    assert trials["tournament.step"].between(0.05, 1).all()
    pruned = trials["state"] == "pruned"
    assert set(trials["runs"][pruned]) <= {5}
    assert set(trials["runs"][~pruned]) == {10}
    summary = json.loads((finished.folder / "summary.json").read_text())
    done = trials[trials["state"] == "complete"]
    assert summary["best"]["value"] == done["value"].min()
    assert sum(summary["importance"].values()) == pytest.approx(1)
    assert {path.stem for path in (finished.folder / "figures").glob("*.png")} == {
        "search_history",
        "search_importance",
        "search_by_field",
    }
    assert "search_history" not in (page := (finished.folder / "report.html").read_text())
    for name, value in (("Step size δ", "0.05 to 1"), ("Number of rounds R", "4")):  # what is chosen, and what is not
        assert f"<dt>{name}</dt><dd>{value}</dd>" in page
    assert "How the search went" in page
    monkeypatch.chdir(tmp_path)
    best = crowd_sim.run(finished.folder / "best.yaml")
    assert best.metrics["final_distance"].mean() == summary["best"]["value"]
    assert call(["verify", str(finished.folder)]) == 0
    assert call(["report", str(finished.folder)]) == 0
    assert call(["status", str(finished.folder)]) == 0


@pytest.fixture
def undrawn(finished, monkeypatch):
    """No figures and no page: they take longer than a small search."""
    monkeypatch.setattr("crowd_sim.report.write_report", lambda folder: folder)


@pytest.mark.usefixtures("undrawn")
def test_a_search_that_was_stopped_goes_on_with_the_same_bytes(finished, tmp_path):
    after = 4

    def stop(stage, done, total, note="", /):
        if stage == "trials" and done > after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(Search.parse(CONTENT), tmp_path / "again", "", progress=stop)
    told = []
    search(Search.parse(CONTENT), tmp_path / "again", "", say=told.append)
    assert told == [f"{after + 1} of 14 trials are there; {13 - after} to go"]
    assert of(tmp_path / "again") == of(finished.folder)


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("share", [0.5, 0.99])
def test_a_search_that_was_killed_as_it_wrote_goes_on_with_the_same_bytes(finished, tmp_path, share):
    whole = (finished.folder / JOURNAL).read_bytes()
    for name in ("config.yaml",):
        (tmp_path / name).write_bytes((finished.folder / name).read_bytes())
    (tmp_path / JOURNAL).write_bytes(whole[: int(len(whole) * share)])
    search(Search.parse(CONTENT), tmp_path, "")
    assert of(tmp_path) == of(finished.folder)


@pytest.mark.usefixtures("undrawn")
def test_with_more_trials_a_search_goes_on_as_if_it_had_had_them_from_the_start(finished, tmp_path):
    def with_trials(trials):
        return Search.parse({**CONTENT, "search": {**CONTENT["search"], "trials": trials}})

    search(with_trials(5), tmp_path / "grown", "")
    search(with_trials(14), tmp_path / "grown", "")
    assert of(tmp_path / "grown") == of(finished.folder)


def test_a_finished_search_given_again_is_read_and_trackers_hear_nothing(finished, monkeypatch):
    monkeypatch.setattr("crowd_sim.report.write_report", lambda folder: pytest.fail("drawn again"))
    before, told = of(finished.folder), []
    tracker = SimpleNamespace(
        **{name: lambda *what, name=name: told.append(name) for name in ("start", "log", "finish", "close")}
    )
    again = search(Search.parse(CONTENT), finished.folder, "", trackers=[Named("told", tracker)])
    assert again.was_there
    assert not finished.was_there
    assert again.best.number == finished.best.number
    assert of(finished.folder) == before
    assert told == []


@pytest.mark.usefixtures("undrawn")
def test_a_setting_that_is_not_allowed_costs_its_trial_alone():
    crowd = {"crowd": {"n_workers": {"low": 4, "high": 12}}, "tournament": {"n_groups": [2, 10]}}
    content = {**CONTENT, "runs": 1, "search": {"metric": "final_distance", "trials": 12, "held_out": 0, **crowd}}
    found = crowd_sim.search(content)
    failed = found.trials[found.trials["state"] == "failed"]
    assert len(failed)
    assert (failed["crowd.n_workers"] < failed["tournament.n_groups"]).all()
    assert found.best.crowd.n_workers >= found.best.tournament.n_groups


@pytest.mark.usefixtures("undrawn")
def test_a_run_that_never_comes_near_counts_as_one_round_too_many():
    content = {**CONTENT, "tournament": {"rounds": 4, "convergence_distance": 1e-9}}
    content["search"] = {"metric": "rounds_to_converge", "trials": 2, "tournament": {"step": [0.1, 0.2]}}
    assert (crowd_sim.search(content, held_out=0).trials["value"] == 5).all()


@pytest.mark.usefixtures("undrawn")
def test_thirty_trials_find_a_better_setting_of_the_quickstart():
    space = {"tournament__step": {"low": 0.05, "high": 1.0}, "tournament.n_groups": [2, 3, 4, 6, 8, 12]}
    found = crowd_sim.search(
        "quickstart", space=space, metric="final_distance", trials=30, runs=10, valuation__method="none"
    )
    assert found.held_out["seeds"] == [1, 2, 3]
    assert found.held_out["low"] > 0
    assert (found.trials["state"] == "pruned").any()
    assert "better than the own setting on held-out seeds by" in str(found)
    assert found.plot().axes
    assert "<b>minimize final_distance, 30 trials</b>" in found._repr_html_()


@pytest.mark.usefixtures("undrawn")
def test_the_metric_of_whoever_wants_more_is_made_more():
    content = {**CONTENT, "search": {**CONTENT["search"], "direction": "maximize", "trials": 6, "held_out": 0}}
    found = crowd_sim.search(content)
    done = found.trials[found.trials["state"] == "complete"]
    assert done["value"].max() == np.mean(crowd_sim.run(found.best).metrics["final_distance"])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([METRIC], ("search", "must name fields to choose")),
        ([STEP], ("search.metric", "must be given")),
        (
            [METRIC, "search.tournament.step=0.3"],
            ("search.tournament.step = 0.3", "must be a list of choices, or a range"),
        ),
        ([METRIC, "search.tournament.step={low: 0.3}"], ("search.tournament.step", "has no high")),
        ([METRIC, "search.tournament.step={low: 1, high: 0.1}"], ("search.tournament.step", "low below high")),
        ([METRIC, "search.tournament.step={low: 0, high: 1, log: true}"], ("search.tournament.step", "low above 0")),
        ([METRIC, "search.tournament.step={low: 0, high: x}"], ("search.tournament.step.high = 'x'", "finite number")),
        ([METRIC, "search.tournament.step={low: 0, high: 1, by: 2}"], ("search.tournament.step.by", "is unknown")),
        ([METRIC, "search.tournament.step={low: 0.1, high: 0.2, step: 1e-300}"], ("step = 1e-300", "a millionth")),
        ([METRIC, "search.tournament.step={low: 0.1, high: 7}"], ("search.tournament.step = 7",)),
        ([METRIC, "search.tournament.pace=[1,2]"], ("search.tournament.pace", "tournament.pace")),
        ([METRIC, "search.tournament.score=[l2,l2]"], ("search.tournament.score", "twice")),
        ([METRIC, "search.seed=[1,2]"], ("search.seed", "cannot be searched")),
        ([METRIC, "search.actors.crowd.number=[1,2]"], ("search.actors.crowd.number", "cannot be searched")),
        ([STEP, "search.metric=accuracy"], ("search.metric = 'accuracy'", "must be one of final_distance, rounds")),
        ([STEP, "search.metric=pearson_accurate"], ("search.metric", "valuation.method must not be none")),
        ([STEP, METRIC, "search.trials=0"], ("search.trials = 0", "greater than or equal to 1")),
        ([STEP, METRIC, "search.direction=up"], ("search.direction = 'up'", "'minimize' or 'maximize'")),
        ([STEP, METRIC, "sweep.seed=[1,2]"], ("sweep", "is for `crowd-sim sweep`")),
        ([], ("search", "must name a metric and a space")),
    ],
)
def test_a_search_that_cannot_be_made_is_refused_in_a_line(arguments, says, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert call(["search", "quickstart", *SMALL, *arguments, *IN_PROCESS]) == 2
    check_line(capsys.readouterr().err, says)
    assert not list(tmp_path.iterdir())


def test_without_optuna_the_extra_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert call(["search", "quickstart", *SMALL, METRIC, STEP, *IN_PROCESS]) == 2
    check_line(capsys.readouterr().err, ["needs Optuna: pip install 'crowd-sim[search]'"])


def test_the_command_says_what_the_best_is_worth_and_a_run_refuses_its_file(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    options = [METRIC, STEP, "search.trials=3", "runs=2"]
    assert call(["search", "quickstart", *SMALL, *options, "--out", "found", *IN_PROCESS]) == 0
    said = capsys.readouterr().out
    assert "(own)" in said
    assert "held-out seeds" in said or "no trial is better" in said
    assert "had finished before" not in said
    assert call(["search", "quickstart", *SMALL, *options, "--out", "found", *IN_PROCESS]) == 0
    assert "found had finished before: its trials were read, nothing was done again" in capsys.readouterr().out
    assert call(["list", "."]) == 0
    assert "search" in capsys.readouterr().out
    assert call(["run", "found/config.yaml", *IN_PROCESS]) == 2
    check_line(capsys.readouterr().err, ["it is for `crowd-sim search`"])


def test_code_that_a_search_names_is_loaded_only_where_its_file_may_name_it(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    options = [METRIC, "search.tournament.score=[l2,'nowhere:score']", "search.trials=2"]
    assert call(["search", "quickstart", *SMALL, *options, *IN_PROCESS]) == 2
    check_line(capsys.readouterr().err, ["search.tournament.score = 'nowhere:score'", "cannot be loaded"])


def test_a_journal_that_was_changed_is_refused(finished, tmp_path):
    for name in ("config.yaml", JOURNAL):
        (tmp_path / name).write_bytes((finished.folder / name).read_bytes())
    content = Path(tmp_path / JOURNAL).read_bytes()
    (tmp_path / JOURNAL).write_bytes(content.replace(b'"complete"', b'"pruned"', 1))
    with pytest.raises(InputError, match="is damaged"):
        search(Search.parse(CONTENT), tmp_path, "")


@pytest.mark.parametrize("damage", ["reversed", "an over line alone", "an empty mapping", "an unsealed line"])
def test_a_journal_whose_lines_do_not_follow_is_refused(finished, tmp_path, damage):
    lines = (finished.folder / JOURNAL).read_bytes().splitlines(keepends=True)
    over = next(line for line in lines if b'"over"' in line)
    unsealed = b'{"event": "over", "trial": 77, "state": "complete"}\n'
    found = {"reversed": lines[::-1], "an over line alone": [over], "an empty mapping": [*lines, b"{}\n"]}
    (tmp_path / JOURNAL).write_bytes(b"".join(found.get(damage, [*lines, unsealed])))
    with pytest.raises(InputError, match=rf"{JOURNAL}:\d+.*damaged"):
        Journal(tmp_path)


def test_of_a_search_that_died_as_it_began_the_same_command_goes_on(finished, tmp_path):
    (tmp_path / "config.yaml").write_bytes((finished.folder / "config.yaml").read_bytes())
    assert list(status_lines(tmp_path))[-1] == "the same command goes on"
