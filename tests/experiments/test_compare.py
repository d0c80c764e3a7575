"""`crowd-sim compare`: what differs, measures side by side with paired differences, workers of the same crowd."""

import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from crowd_sim.commands.run import run
from crowd_sim.commands.sweep import sweep
from crowd_sim.config import RunConfig
from crowd_sim.report.compare_page import _mean_words, metric_row
from crowd_sim.report.comparison import Compared, Comparison, compare
from crowd_sim.report.labels import metric_words
from crowd_sim.report.paired import pairs
from crowd_sim.sweeps.plan import Sweep
from tests.bad_input.command import CONFIGURATION, SWEEP, call, check_line

RUN = yaml.safe_load(CONFIGURATION)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Runs, and sweeps, that differ in their step, in their seed, in their crowd."""
    root = tmp_path_factory.mktemp("compared")
    for name, changes in (
        ("dot", {}),
        ("fast", {"tournament": {**RUN["tournament"], "step": 0.5}}),
        ("seed", {"seed": 1}),
        ("crowd", {"crowd": {**RUN["crowd"], "seed": 5}}),
    ):
        run(RunConfig.model_validate(RUN | changes), root / name)
    for name, changes in (("both", {}), ("large", {"sweep": {"crowd": {"n_workers": [6, 8]}}})):
        sweep(Sweep.parse(yaml.safe_load(SWEEP) | changes), root / name, name)
    return root


def data_of(page):
    return json.loads(re.search(r'id="data">(.*?)</script>', page.read_text(encoding="utf-8"), re.DOTALL)[1])


def test_runs_of_one_seed_are_paired_and_the_page_says_what_differs(made, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    out = tmp_path / "new" / "c.html"
    assert call(["compare", str(made / "dot"), str(made / "fast"), "--out", str(out)]) == 0
    told = capsys.readouterr().out
    assert "tournament.step: 0.1 | 0.5" in told
    assert [line for line in told.splitlines() if ": " in line and "|" in line] == ["tournament.step: 0.1 | 0.5"]
    assert "2 pairs" in told
    found = compare([made / "dot", made / "fast"])
    first, second = (folder.runs["final_distance"].to_numpy() for folder in found.folders)
    difference = found.difference("final_distance", 1, found.pairs(1))
    assert difference.mean == pytest.approx((second - first).mean())
    page = out.read_text(encoding="utf-8")
    assert "<code>tournament.step</code>" in page
    assert "src=" not in re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)
    workers = data_of(out)["others"][0]["workers"]
    assert workers["value_a"] == workers["value_b"]  # what they are worth does not depend on how the model moves
    assert workers["r"] == 1


def test_other_seeds_are_not_paired_and_other_crowds_workers_not_held_against_each_other(made):
    found = compare([made / "dot", made / "seed", made / "crowd"])
    assert [len(found.pairs(i)) for i in (1, 2)] == [0, 2]
    assert found.workers(2) is None
    assert [
        interval.endswith(end)
        for (_, interval), end in zip(
            metric_row(found, "final_distance")["differences"], ("unpaired", "2 pairs"), strict=True
        )
    ] == [True, True]


def test_points_of_sweeps_are_matched_by_their_settings(made, tmp_path):
    found = compare([made / "both", made / "large"])
    assert found.keys == ["crowd.n_workers", "tournament.score"]  # the second sweeps no score: its one counts
    differences = found.pairs(1)
    assert set(differences["crowd.n_workers"]) == {"6"}
    assert set(differences["tournament.score"]) == {"dot"}
    np.testing.assert_array_equal(differences["final_distance"], 0.0)
    assert [name for name, _ in found.differing] == ["sweep.crowd.n_workers", "sweep.tournament.score"]
    assert call(["compare", str(made / "both"), str(made / "large"), "--out", str(tmp_path / "c.html")]) == 0
    levels = [(row["field"], row["level"]) for row in data_of(tmp_path / "c.html")["others"][0]["points"]]
    assert levels == [("crowd.n_workers", "6"), ("tournament.score", "dot")]


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (("dot",), ("folders = ", "must be at least two")),
        (("dot", "nowhere"), ("nowhere", "no such folder")),
        (("dot", "both"), ("both", "must be of a run of vectors, as", "it is of a sweep")),
        (("dot", "dot"), ("dot", "must be named once")),
    ],
)
def test_what_cannot_be_compared_is_refused_in_a_line(made, names, says, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert call(["compare", *(str(made / name) for name in names)]) == 2
    check_line(capsys.readouterr().err, says)
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "pipe")
    for out in ("file/c.html", "pipe"):
        assert call(["compare", str(made / "dot"), str(made / "fast"), "--out", out]) == 2
        check_line(capsys.readouterr().err, ("--out = ", "must be a file that can be written"))
    assert Path("pipe").is_fifo()  # and not a file in its place, as a device would be


def test_a_folder_whose_configuration_says_nothing_is_refused(made, tmp_path, capsys):
    shutil.copytree(made / "fast", tmp_path / "fast")
    (tmp_path / "fast" / "config.yaml").write_text("")
    assert call(["compare", str(made / "dot"), str(tmp_path / "fast")]) == 2
    check_line(capsys.readouterr().err, ("config.yaml", "is damaged", "summary.json has its own"))


def test_means_say_of_how_many_runs_they_are_where_some_have_no_value():
    assert _mean_words(np.array([10.0, 14.0, np.nan])).endswith(" (2 of 3 runs)")
    assert "runs" not in _mean_words(np.array([10.0, 14.0]))
    assert "runs" not in _mean_words(np.array([np.nan]))


def test_a_mechanism_s_correlations_are_said_in_words():
    assert metric_words("pearson_rank") == "Points of the mechanism rank against accurate Shapley values (Pearson)"
    assert metric_words("spearman_accurate") == "Points against accurate Shapley values (Spearman)"


def test_what_varies_are_runs_and_not_the_last_digits():
    three = pd.DataFrame({"seed": 0, "run": [0, 1] * 3, "final_distance": [0.1, 0.4] * 3, "k": [1, 1, 2, 2, 3, 3]})
    two = three[three["k"] < 3]
    found = pairs(two, three, [], ["final_distance"])
    assert found["final_distance"].tolist() == [0.0, 0.0]
    folders = [Compared(name, "sweep", {}, runs, None, None) for name, runs in (("two", two), ("three", three))]
    row = metric_row(Comparison(folders, [], [], ["final_distance"]), "final_distance")
    assert row["means"] == ["0.25 ± 0.15"] * 2  # of two runs, however many points share them
    assert row["differences"] == [("0", "the same in all, 2 pairs")]
