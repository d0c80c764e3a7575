"""Every rule pays in a run: nothing below 0, exactly the budget, equal workers equal; and nothing changes without payment."""

import html
import io
import re
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from crowd_sim import run, sweep
from crowd_sim.api import load_config
from crowd_sim.cli.run import workers_view
from crowd_sim.commands.run import run as run_config
from crowd_sim.config import RunConfig
from crowd_sim.config.payment import LABEL_RULES, RULES, PaymentConfig
from crowd_sim.errors import InputError
from crowd_sim.paying import _divided
from crowd_sim.payment.fairness import figures
from crowd_sim.report.labels import mean_and_error
from crowd_sim.report.worth import agreement_of_the_others, worth
from crowd_sim.tables import workers_table
from tests.invariance.hosts import stopping
from tests.runs import simulated

BASE = {
    "runs": 2,
    "crowd": {"n_workers": 9, "selection": "first"},
    "tournament": {"rounds": 5, "n_groups": 3, "observe": ["calibrated", "marginal"]},
    "valuation": {"budget": 600, "kernel_shap_budget": 0},
}
SCREENED = {
    "seed": 3,
    "runs": 2,
    "crowd": {"n_workers": 12, "bad": {"behaviour": "lazy", "share": 0.25}},
    "tournament": {"rounds": 8, "n_groups": 3},
    "valuation": {"budget": 600, "kernel_shap_budget": 0},
    "screens": {"action": "exclude"},
}
PAYING = [*(rule for rule in RULES if rule not in LABEL_RULES), "rank", "calibrated", "marginal"]


def crowd():
    people = np.random.default_rng(4).normal(2.0, 1.0, (10, 4))
    people[7] = people[4]
    return people


@pytest.mark.parametrize("identities", ["separate", "merge"])
@pytest.mark.parametrize("rule", PAYING)
def test_every_rule(rule, identities):
    section = {"rule": rule, "identities": identities, "budget": 12.5, "power": 2.0}
    outcome = run(BASE | {"payment": section}, crowd=crowd())
    assert (outcome.pay >= 0).all()
    for pay, unpaid, rows in zip(outcome.pay, outcome.metrics["pay_unpaid"], outcome.workers, strict=True):
        assert sum(map(Fraction, pay.tolist())) + Fraction(unpaid) == Fraction(12.5)
        assert unpaid < 9 * np.spacing(12.5)
        if rule not in ("points", "rank", "calibrated", "marginal") or identities == "merge":
            assert len(set(pay[np.isin(rows, (4, 7))].tolist())) == 1
    assert (outcome.clusters is None) == (identities == "separate")
    assert {name for name in outcome.metrics if name.startswith("pay_")} >= {"pay_jain", "pay_gini", "pay_envy"}


@pytest.mark.parametrize("rule", [rule for rule in PAYING if rule not in ("rank", "marginal")])
def test_a_crowd_of_equals_is_paid_alike(rule):
    outcome = run(BASE | {"payment": {"rule": rule}}, crowd=np.full((10, 2), 3.0))
    assert all(len(set(pay.tolist())) == 1 for pay in outcome.pay) or rule in ("points", "calibrated")
    np.testing.assert_allclose(outcome.pay.sum(axis=1) + outcome.metrics["pay_unpaid"], 1.0, rtol=0)
    merged = run(BASE | {"payment": {"rule": rule, "identities": "merge"}}, crowd=np.full((10, 2), 3.0))
    assert all(len(set(pay.tolist())) == 1 for pay in merged.pay)
    assert not merged.clusters.any()


def test_merged_identities_earn_what_one_would():
    people = np.random.default_rng(4).normal(2.0, 0.5, (10, 4))
    many = np.vstack([np.tile(people[4], (9, 1)), people])  # the target is the last of both
    content = {**BASE, "seed": 30, "runs": 1, "tournament": {"rounds": 2, "n_groups": 2}}
    gains = {}
    for identities in ("separate", "merge"):
        section, earned = {"rule": "shapley", "identities": identities}, []
        for given in (people, many):
            own = {"n_workers": len(given) - 1, "selection": "first"}
            outcome = run({**content, "payment": section, "crowd": own}, crowd=given)
            assert outcome.targets[0] == len(given) - 1
            mine = (given[outcome.workers[0]] == people[4]).all(axis=1)
            earned.append(outcome.pay[0][mine].sum())
        gains[identities] = earned[1] / earned[0]
    assert gains["separate"] > 4
    assert gains["merge"] == pytest.approx(1.0, abs=0.02)


def test_without_payment_no_byte_changes_and_with_it_only_columns_are_added(tmp_path):
    off, on = tmp_path / "off", tmp_path / "on"
    run(BASE, off)
    run(BASE | {"payment": {"rule": "gold", "power": 3}}, on)
    assert "payment" not in (off / "config.yaml").read_text()
    before, after = (pd.read_parquet(folder / "workers.parquet") for folder in (off, on))
    pd.testing.assert_frame_equal(before, after.drop(columns="pay"))
    assert (off / "rounds.parquet").read_bytes() == (on / "rounds.parquet").read_bytes()
    assert "payment" not in RunConfig.parse(BASE).determinants()


def test_a_finished_run_is_read_with_its_pay(tmp_path):
    setup = RunConfig.parse(BASE | {"payment": {"rule": "beta_shapley", "identities": "merge"}})
    first = run_config(setup, tmp_path / "run")
    tables = {path.name: path.read_bytes() for path in (tmp_path / "run").glob("*.parquet")}
    again = run_config(load_config(tmp_path / "run" / "config.yaml"), tmp_path / "run")
    assert again.was_there
    assert again.outcome.pay.tobytes() == first.outcome.pay.tobytes()
    assert tables == {path.name: path.read_bytes() for path in (tmp_path / "run").glob("*.parquet")}
    assert {"pay", "cluster"} <= set(pd.read_parquet(tmp_path / "run" / "workers.parquet"))


@pytest.mark.parametrize("rule", ["points", "shapley", "beta_shapley"])
def test_stopped_and_resumed_it_pays_the_same(rule):
    own = RunConfig.parse({**BASE, "payment": {"rule": rule, "identities": "merge"}})
    *states, outcome = stopping(own, 3)
    assert len(states) >= 4
    whole = simulated(own)
    assert outcome.pay.tobytes() == whole.pay.tobytes()
    assert outcome.clusters.tobytes() == whole.clusters.tobytes()


def test_a_sweep_of_payments():
    swept = sweep(BASE | {"payment": {"power": 2}}, grid={"payment.rule": ["equal", "shapley"]})
    assert swept.points["payment.rule"].tolist() == ["equal", "shapley"]
    assert swept.points["pay_jain_mean"].iloc[0] == pytest.approx(1.0)
    assert swept.points["pay_spearman_mean"].iloc[1] > 0.99
    assert swept.points["final_distance_mean"].std() == 0


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"payment": {"rule": "dmi"}}, "payment.rule = 'dmi': needs workers who label the same items"),
        ({"payment": {"rule": "thrift"}}, "payment.rule = 'thrift': must be one of equal, points"),
        (
            {"payment": {"rule": "rank"}, "tournament": {"reward": "marginal"}},
            "payment.rule = 'rank': must be tournament.reward, marginal, or among tournament.observe",
        ),
        ({"payment": {"rule": "shapley"}, "valuation": {"method": "none"}}, "payment.rule = 'shapley': needs values"),
        ({"payment": {"budget": 0.0}}, "payment.budget = 0.0"),
        ({"payment": {"power": -1}}, "payment.power = -1"),
        ({"payment": {"foo": 1}}, "allowed here: rule, power, budget, identities"),
        (
            {"payment": {"rule": "least_core"}, "crowd": {"n_workers": 201}, "valuation": {"budget": 1000}},
            "crowd.n_workers = 201: must be at most 200",
        ),
        (
            {"payment": {"rule": "beta_shapley"}, "crowd": {"n_workers": 30}, "valuation": {"budget": 299}},
            "valuation.budget = 299: must be at least 300",
        ),
        (
            {"payment": {"identities": "merge"}, "crowd": {"n_workers": 5001}},
            "crowd.n_workers = 5001: must be at most 5,000",
        ),
    ],
)
def test_what_is_refused(changes, says):
    with pytest.raises(InputError) as error:
        RunConfig.parse({"valuation": {"kernel_shap_budget": 0}, **changes})
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_the_bad_and_identities_have_figures_of_their_own():
    bad = {"behaviour": "honest", "share": 0.4, "identities": 5, "jitter": 0.01, "fresh": True}
    setup = {"runs": 2, "crowd": {"n_workers": 25, "bad": bad}, "tournament": {"rounds": 4}}
    section = {"rule": "gold", "identities": "merge"}
    outcome = run({**setup, "valuation": {"method": "none"}, "payment": section})
    assert {"pay_per_head", "pay_auc", "pay_sybil_gain"} <= set(outcome.metrics)
    assert (outcome.metrics["pay_sybil_gain"] < 2).all()
    separate = run({**setup, "valuation": {"method": "none"}, "payment": {**section, "identities": "separate"}})
    np.testing.assert_allclose(separate.metrics["pay_sybil_gain"] / outcome.metrics["pay_sybil_gain"], 5, rtol=0.2)
    assert (outcome.metrics["pay_per_head"] < 0.4 * separate.metrics["pay_per_head"]).all()


@pytest.mark.parametrize("identities", ["separate", "merge"])
@pytest.mark.parametrize("rule", ["equal", "points", "shapley", "gold"])
def test_whom_screens_exclude_is_paid_nothing_and_the_others_all(rule, identities):
    outcome = run(SCREENED | {"payment": {"rule": rule, "budget": 100.0, "identities": identities}})
    flagged = outcome.screened.flagged
    assert flagged.any(axis=1).all()
    assert not outcome.pay[flagged].any()
    assert (outcome.pay.sum(axis=1) + outcome.metrics["pay_unpaid"]).tolist() == [100.0, 100.0]
    assert outcome.metrics["pay_per_head"].tolist() == [0.0, 0.0]
    paid = worth(workers_table(outcome), excludes=True)
    assert paid.loc[flagged.ravel(), ["rank_points", "rank_value", "rank_pay", "gap"]].isna().all(axis=None)
    left = paid[~flagged.ravel()]
    assert (left["gap"] == left["rank_value"] - left["rank_pay"]).all()
    assert left["rank_pay"].max() <= (~flagged).sum(axis=1).max()


def test_where_all_are_excluded_nobody_is_paid():
    assert _divided(np.ones(3), PaymentConfig(budget=2.0), np.zeros(3, dtype=bool), None)[1] == 2.0
    figured = figures(np.zeros((1, 3)), None, None, None)
    assert np.isnan(figured["pay_jain"]).all()
    assert np.isnan(figured["pay_gini"]).all()


def test_an_account_that_is_left_has_what_its_cluster_earns():
    pay, _ = _divided(
        np.array([1.0, 1.0, 1.0, 0.5]), PaymentConfig(), np.array([True, False, True, True]), np.array([0, 0, 0, 1])
    )
    np.testing.assert_allclose(pay, [1 / 3, 0.0, 1 / 3, 1 / 3], rtol=1e-15)


def test_pages_and_the_terminal_say_who_was_excluded_and_go_by_pay(tmp_path):
    outcome = run(SCREENED | {"payment": {"rule": "points"}}, tmp_path / "r")
    page = html.unescape((tmp_path / "r" / "report.html").read_text())
    assert "by pay" in page
    assert "Who is flagged was excluded" in page
    among = agreement_of_the_others(pd.read_parquet(tmp_path / "r" / "workers.parquet"))
    assert among[0] > np.nanmean(outcome.metrics["pearson_accurate"])  # the excluded have values, and no points
    assert f"{mean_and_error(*among[:2])} of those whom no screen excluded" in page
    assert "red: bad" in page
    under = page.split("Most underpaid</h3>")[1].split("</ul>")[0]
    flagged = pd.read_parquet(tmp_path / "r" / "workers.parquet").query("flagged")["worker"]
    assert not set(re.findall(r"<bdi>(.*?)</bdi>", under)) & set(flagged)
    console = Console(record=True, width=80, file=io.StringIO())
    console.print(workers_view(outcome))
    told = console.export_text()
    assert "excluded by screens" in told
    assert "pay" in told.splitlines()[2]
    assert "not over runs" in told


def test_at_80_columns_no_number_is_cut_off_however_long_the_marks_are():
    shares = {"crowd": {**SCREENED["crowd"], "selection": "first"}, "payment": {"rule": "points", "budget": 1e6}}
    outcome = run({**SCREENED, **shares, "valuation": {"method": "permutation", "budget": 60, "kernel_shap_budget": 0}})
    console = Console(file=io.StringIO(), width=80)
    console.print(workers_view(outcome))
    shown = console.file.getvalue()
    assert "(bad and" in shown
    assert "…" not in shown
