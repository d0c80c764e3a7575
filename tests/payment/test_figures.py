"""Figures of payment."""

import html
import io

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from crowd_sim import run, sweep
from crowd_sim.cli.run import outcome_table
from crowd_sim.commands.run import Finished
from crowd_sim.config.io import load_content
from crowd_sim.report.labels import metric_words
from crowd_sim.report.pay_figures import METRICS, has, pay_by_field
from crowd_sim.sweeps.plan import Sweep


def points(**swept):
    table = pd.MultiIndex.from_product(swept.values(), names=swept.keys()).to_frame(index=False)
    draws = np.random.default_rng(0)
    for metric in METRICS:
        table[f"{metric}_mean"], table[f"{metric}_se"] = draws.random((2, len(table)))
    return table


@pytest.mark.parametrize(
    "swept",
    [
        {"crowd.bad.behaviour": ["alie", "mimic"], "payment.rule": ["rank", "gold"], "payment.identities": ["a", "b"]},
        {"crowd.bad.identities": [1, 2, 5], "crowd.bad.jitter": [0.0, 0.1]},
        {"crowd.bad.share": [0.1, 0.2]},
        {"payment.rule": ["rank", "gold"]},
        {
            "crowd.bad.identities": [1, 2],
            "crowd.bad.jitter": [0.0, 0.1],
            "crowd.bad.fresh": [False, True],
            "payment.identities": ["a", "b"],
        },
    ],
)
@pytest.mark.parametrize("metric", METRICS)
def test_every_point_is_drawn(swept, metric):
    table = points(**swept)
    figure = pay_by_field(table, metric)
    drawn = sum(len(container[0].get_xdata()) for axes in figure.axes for container in axes.containers)
    assert drawn == len(table)


def test_what_has_no_place_in_a_figure_is_averaged_over_and_said_so():
    swept = {"crowd.bad.identities": [1, 2], "crowd.bad.jitter": [0.0, 0.1], "crowd.bad.fresh": [0, 1]}
    table = points(**swept, **{"payment.identities": ["a", "b"], "tournament.step": [0.1, 0.2]})
    figure = pay_by_field(table, "pay_per_head")
    assert figure.get_supxlabel().endswith("(averaged over: step size δ)")


def test_a_sweep_with_payment_has_its_figures(tmp_path):
    bad = {"behaviour": "honest", "share": 0.4, "identities": 2}
    base = {"crowd": {"n_workers": 10, "bad": bad}, "tournament": {"rounds": 2, "n_groups": 2}}
    sweep({**base, "valuation": {"method": "none"}}, tmp_path / "s", grid={"payment.rule": ["equal", "gold"]})
    assert {f"{metric}.png" for metric in METRICS} <= {path.name for path in (tmp_path / "s" / "figures").iterdir()}
    page = (tmp_path / "s" / "report.html").read_text()
    assert "Pay per head of the bad" in page
    assert "Bad by points, AUC" in page
    assert not has(pd.DataFrame({"pay_per_head_mean": [np.nan]}), "pay_per_head")


@pytest.mark.parametrize(("name", "n_points"), [("payments", 50), ("sybils", 48)])
def test_the_configurations_that_ship_are_sweeps(name, n_points):
    assert Sweep.parse(load_content(name, [])).n_points == n_points


def test_what_pay_and_screens_come_to_is_said_in_words(tmp_path):
    outcome = run(
        {
            "crowd": {"n_workers": 12, "bad": {"behaviour": "alie", "share": 0.3, "identities": 2}},
            "tournament": {"rounds": 6, "n_groups": 2},
            "payment": {"rule": "shapley"},
            "screens": {"action": "report"},
        },
        tmp_path / "r",
        runs=2,
    )
    words = [metric_words(name) for name in outcome.metrics]
    assert not set(words) & set(outcome.metrics)
    page = html.unescape((tmp_path / "r" / "report.html").read_text())
    assert all(word in page for word in words)
    console = Console(record=True, width=120, file=io.StringIO())
    console.print(outcome_table(Finished(tmp_path / "r", outcome, 1.0)))
    told = console.export_text()
    assert "pay per head of the bad" in told
    assert "share of the bad flagged by screens" in told
