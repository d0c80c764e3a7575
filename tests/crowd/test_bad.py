"""Who is bad, what they know, and a conformance test of every behaviour of bad workers."""

import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from crowd_sim import api
from crowd_sim.config import RunConfig
from crowd_sim.config.code import check_code
from crowd_sim.crowd.bad import BadGroup
from crowd_sim.crowd.behaviours import BAD_BEHAVIOURS, per_shard
from crowd_sim.crowd.facts import FACTS, FactFinder, Known
from crowd_sim.engine import simulate
from crowd_sim.errors import InputError
from crowd_sim.host import InProcess
from crowd_sim.sweeps.batch import Workplace, run_batch
from crowd_sim.sweeps.plan import Sweep
from crowd_sim.tables import workers_table
from crowd_sim.tasks.load import load_task
from tests.crowd.bad_crowd import N_RUNS, OWN, TARGETS, D, K, N, crowd, given, keys, request, roles, with_weights
from tests.runs import simulated, tables

DOCS = Path(__file__).parents[2] / "docs" / "attacks_behaviours.md"


@per_shard
def moody(members):
    """Honest workers whose contributions differ from round to round."""
    return members.vectors + 0.1 * members.uniforms(1)


class TestWhoIsBad:
    @pytest.mark.parametrize("n", [1, 2, 75, 610])
    def test_as_many_as_the_share_says(self, n):
        for share in (0, 0.1, 0.3, 0.5, 1):
            found = roles(BadGroup("echo", share), n=n)
            assert found.bad.sum(axis=1).tolist() == [int(share * n + 0.5)] * N_RUNS

    def test_the_bad_of_a_smaller_share_are_among_those_of_a_larger_one(self):
        found = [roles(BadGroup("echo", share)).bad for share in np.linspace(0, 1, 12)]
        assert all((small <= large).all() for small, large in pairwise(found))
        assert (found[6][0] != found[6][1]).any()  # runs differ

    def test_several_groups_take_others(self):
        found = roles(BadGroup("echo", 0.2), BadGroup("spam", 0.3))
        assert (found.bad == roles(BadGroup("echo", 0.5)).bad).all()
        assert ((found.groups == 0) == roles(BadGroup("noise", 0.2)).bad).all()

    def test_operators_have_accounts_among_the_bad_of_their_group(self):
        found = roles(BadGroup("honest", 0.3, identities=5), BadGroup("echo", 0.2))
        for groups, operators in zip(found.groups, found.operators, strict=True):
            own = operators[groups == 0]
            assert sorted(np.unique(own, return_counts=True)[1]) == [1, 5, 5, 5]  # 16 accounts
            assert set(own) <= set(np.flatnonzero(groups == 0))
            assert (operators[groups != 0] == np.flatnonzero(groups != 0)).all()

    @pytest.mark.parametrize(
        ("bad", "acting"),
        [
            (BadGroup("echo", 0.3), [1, 2, 3, 4, 5, 6, 7, 8]),
            (BadGroup("echo", 0.3, start=3, stop=5), [3, 4, 5]),
            (BadGroup("echo", 0.3, start=2, period=2), [2, 3, 6, 7]),
        ],
    )
    def test_when_they_act(self, bad, acting):
        assert [number for number in range(1, 9) if bad.acts(number)] == acting


@pytest.mark.parametrize("name", BAD_BEHAVIOURS)
class TestEveryBehaviour:
    def test_conforms(self, name):
        group = BadGroup(name, 0.4, start=2, stop=70)
        bad, acted = roles(group).bad, {}
        for number in (1, 2, 61, 71):
            asked, ways = request(number), set()
            for n_shards in (1, 2, 3, 5, 7):
                cut = crowd(group, n_shards=n_shards)
                found = given(cut, asked)
                ways.add((found.tobytes(), cut.group_sums(asked).tobytes()))
                assert found.tobytes() == given(cut, asked).tobytes()
            assert len(ways) == 1
            assert found.shape == (N_RUNS, N, D)
            assert np.isfinite(found).all()
            assert (found[~bad] == OWN[~bad]).all()
            acted[number] = bool((found[bad] != OWN[bad]).any())
        resting = {"honest": (2, 61), "sleeper": (2,), "on_off": (), "late": (61,)}.get(name, ())
        assert acted == {1: False, 2: 2 not in resting, 61: 61 not in resting, 71: False}

    def test_of_other_groups_and_chunks_it_knows_nothing(self, name):
        group, asked = BadGroup(name, 0.4), request(3)
        found = given(crowd(group), asked)
        assert given(crowd(group), replace(asked, groups=request(3, 7).groups, n_groups=7)).tobytes() == found.tobytes()
        np.testing.assert_allclose(given(crowd(group, chunk_size=11), asked), found, rtol=1e-12)

    def test_sums_are_of_what_is_contributed(self, name):
        found, asked = (
            crowd(BadGroup(name, 0.4), BadGroup("echo", 0.2, identities=2, jitter=0.1), n_shards=3),
            request(3),
        )
        of_groups = np.eye(K)[asked.of_everyone().assignment] * asked.weights[..., None]
        expected = np.einsum("bnk,bnd->bkd", of_groups, given(found, asked))
        np.testing.assert_allclose(found.group_sums(asked)[..., :-1], expected, rtol=1e-9, atol=1e-9)

    def test_is_the_same_for_all_accounts_of_an_operator(self, name):
        group = BadGroup(name, 0.4, identities=3)
        present, asked = roles(group), request(3)
        found = given(crowd(group, n_shards=3), with_weights(asked, np.ones((N_RUNS, N))))
        for run in range(N_RUNS):
            assert (found[run] == found[run, present.operators[run]]).all()

    def test_has_a_source_and_an_entry_in_the_docs(self, name):
        function = BAD_BEHAVIOURS[name].function
        assert name == "honest" or "Source: " in function.__doc__
        assert f"| `{name}` |" in DOCS.read_text(encoding="utf-8")
        assert set(BAD_BEHAVIOURS[name].needs) <= FACTS


def test_behaviours_on_a_crowd_that_changes_are_the_same_bits_too():
    group = BadGroup("min_max", 0.2), BadGroup("camouflage", 0.2), BadGroup("alie", 0.2)
    found = {n: given(crowd(*group, n_shards=n, behaviour=f"{__name__}:moody"), request(2)).tobytes() for n in (1, 4)}
    assert found[1] == found[4]
    first = crowd(*group, behaviour=f"{__name__}:moody")
    given(first, request(1))
    assert given(first, request(2)).tobytes() == found[1]  # what was found out in round 1 is forgotten


class TestFacts:
    @pytest.fixture
    def found(self):
        group = BadGroup("echo", 0.4)
        known = Known(roles(group), *keys(), TARGETS)
        return FactFinder(known, FACTS, lasting=True).facts(crowd(group, n_shards=3), request())

    @pytest.fixture
    def honest(self):
        bad = roles(BadGroup("echo", 0.4)).bad
        return [OWN[run][~bad[run]] for run in range(N_RUNS)]

    def test_moments_and_ends_are_those_of_honest_workers(self, found, honest):
        for run, own in enumerate(honest):
            np.testing.assert_allclose(found["mean"][run], own.mean(axis=0), rtol=1e-12)
            np.testing.assert_allclose(found["sd"][run], own.std(axis=0), rtol=1e-12)
            assert (found["low"][run] == own.min(axis=0)).all()
            assert (found["high"][run] == own.max(axis=0)).all()

    def test_no_corner_of_the_range_is_farther_from_the_target(self, found):
        corners = np.stack(np.meshgrid(*[[0, 1]] * D), axis=-1).reshape(-1, 1, D)
        all_corners = np.where(corners, found["high"], found["low"])
        farthest = np.linalg.norm(all_corners - TARGETS, axis=2).max(axis=0)
        np.testing.assert_allclose(np.linalg.norm(found["corner"] - TARGETS, axis=1), farthest)

    def test_min_max_is_just_as_far_as_two_honest_workers_are_apart(self, found, honest):
        for run, own in enumerate(honest):
            malicious = found["mean"][run] - found["min_max"][run]
            apart = np.linalg.norm(own[:, None] - own, axis=2).max()
            np.testing.assert_allclose(np.linalg.norm(own - malicious, axis=1).max(), apart, rtol=1e-9)

    def test_mimic_is_an_honest_workers_contribution(self, found, honest):
        for run, own in enumerate(honest):
            assert (own == found["mimic"][run]).all(axis=1).any()

    def test_away_lies_beyond_the_mean(self, found):
        from_target = found["mean"] - TARGETS
        cosine = (from_target * found["away"]).sum(axis=1)
        np.testing.assert_allclose(
            cosine, np.linalg.norm(from_target, axis=1) * np.linalg.norm(found["away"], axis=1), rtol=1e-12
        )


class TestJitter:
    def test_tells_accounts_apart_and_lasts(self):
        exact, noisy = (BadGroup("honest", 0.4, identities=4, jitter=jitter) for jitter in (0.0, 0.1))
        bad = roles(exact).bad
        noise = [(given(crowd(noisy), request(r)) - given(crowd(exact), request(r)))[bad] for r in (1, 2)]
        assert len(np.unique(noise[0])) == noise[0].size
        assert 0.05 < noise[0].std() < 0.2
        np.testing.assert_allclose(*noise, rtol=1e-9)

    def test_may_be_drawn_anew_in_every_round(self):
        group = BadGroup("honest", 0.4, identities=4, jitter=0.1, fresh=True)
        assert (given(crowd(group), request(1)) != given(crowd(group), request(2))).any()
        assert given(crowd(group), request(1)).tobytes() == given(crowd(group, n_shards=4), request(1)).tobytes()


SMALL = {
    "runs": 2,
    "crowd": {"n_workers": 20},
    "tournament": {"rounds": 4, "n_groups": K},
    "valuation": {"method": "none"},
}


def config(bad=None, **changes):
    content = SMALL | changes
    return RunConfig.parse(content if bad is None else content | {"crowd": content["crowd"] | {"bad": bad}})


class TestRuns:
    def test_share_0_is_a_run_without_bad_workers(self):
        runs = [simulated(setup) for setup in (config(), config({"behaviour": "corner", "share": 0}))]
        assert len({outcome.history.models.tobytes() for outcome in runs}) == 1
        first, second = (workers_table(outcome) for outcome in runs)
        assert first.equals(second)

    def test_the_table_says_who_is_bad_and_who_is_whom(self):
        outcome = simulated(config([{"behaviour": "honest", "share": 0.3, "identities": 3}, {"behaviour": "echo"}]))
        table = workers_table(outcome)
        assert table.groupby("run")["bad"].sum().tolist() == [8, 8]
        assert sorted(table[table.run == 0].groupby("identity_of").size())[-2:] == [3, 3]
        assert table[~table.bad].identity_of.equals(table[~table.bad].worker)
        assert table[table.run == 1].reset_index(drop=True).equals(workers_table(outcome, slice(1, 2)))

    def test_points_of_a_sweep_with_other_bad_workers_do_not_touch_each_other(self):
        setups = [config({"behaviour": "alie", "share": share}) for share in (0, 0.2, 0.4)]
        together = simulate(setups, load_task(setups[0]), InProcess())
        for setup, outcome in zip(setups, together, strict=True):
            assert outcome.history.distances.tobytes() == simulated(setup).history.distances.tobytes()

    def test_how_well_the_bad_are_told_apart_is_among_the_metrics(self):
        changes = {"valuation": {"method": "exact"}, "tournament": {"rounds": 4, "observe": ["calibrated"]}}
        changes |= {"crowd": {"n_workers": 8}}
        names = {"detection_points", "detection_calibrated", "detection_values"}
        metrics = simulated(config({"behaviour": "corner", "share": 0.25}, **changes)).metrics
        assert names <= set(metrics)
        assert (metrics["detection_values"] > 0.5).all()
        assert not names & set(simulated(config(**changes)).metrics)

    def test_values_are_of_what_they_contribute(self):
        valued = {"valuation": {"method": "exact"}, "crowd": {"n_workers": 8}, "runs": 1}
        outcome = simulated(config({"behaviour": "honest", "share": 0.25, "identities": 2}, **valued))
        bad = workers_table(outcome).bad
        first, second = outcome.values[0][bad]
        assert abs(first - second) < 1e-12


THREE = ({"behaviour": "alie", "share": 0.2}, {"behaviour": "camouflage", "share": 0.2}, {"behaviour": "min_max"})
VALUED = {
    **SMALL,
    "crowd": {"n_workers": 8, "behaviour": f"{__name__}:moody", "bad": THREE},
    "valuation": {"method": "exact"},
    "actors": {"checkpoints": {"rounds": 1}},
}


def once(worker):
    """A user-defined behaviour, called worker by worker."""
    return worker.model if worker.round < 3 else worker.vector[:1]


def test_a_user_defined_behaviour_may_be_that_of_bad_workers():
    group, bad = BadGroup(f"{__name__}:once", 0.4, identities=2), roles(BadGroup("echo", 0.4)).bad
    asked = request(2)
    found = given(crowd(group, n_shards=3), asked)
    assert (found[~bad] == OWN[~bad]).all()
    assert all((found[run][bad[run]] == asked.models[run]).all() for run in range(N_RUNS))
    with pytest.raises(InputError, match=r"crowd\.bad\.behaviour = '.*:once': returned an array of shape \(1,\)"):
        crowd(group).group_sums(request(3))


class TestFolders:
    def test_a_run_that_was_stopped_goes_on_to_the_same_bytes(self, tmp_path):
        def stop(stage, done, total, note):
            if (stage, done) == ("rounds", 2):
                raise KeyboardInterrupt

        api.run(VALUED, tmp_path / "whole")
        with pytest.raises(KeyboardInterrupt):
            api.run(VALUED, tmp_path / "stopped", progress=stop)
        told = []
        api.run(VALUED, tmp_path / "stopped", progress=lambda *news: told.append(news))
        assert next(news for news in told if news[0] == "rounds")[:2] == ("rounds", 2)
        whole = tables(tmp_path / "whole")
        assert "bad" in pd.read_parquet(tmp_path / "whole" / "workers.parquet")
        assert tables(tmp_path / "stopped") == whole
        again = api.run(VALUED, tmp_path / "whole")  # it is read
        assert again.values is not None
        assert tables(tmp_path / "whole") == whole

    def test_values_are_not_those_of_other_data(self, tmp_path):
        api.run({**SMALL, "crowd": {"n_workers": 8, "bad": {"behaviour": "echo"}}}, tmp_path / "run")
        with pytest.raises(InputError, match=r"must be a run without crowd\.bad"):
            api.value(tmp_path / "run")

    def test_a_sweeps_tables_have_the_same_columns_for_all_points(self):
        plan = Sweep.parse({**SMALL, "sweep": {"crowd": {"bad": [[], {"behaviour": "echo", "share": 0.25}]}}})
        found = run_batch(plan, np.arange(2), load_task(plan.first), True, Workplace(tables=["workers"]))
        assert not found.failures
        table = pd.concat(found.workers)
        assert table["bad"].dtype == found.tables["workers"]["bad"].dtype == bool
        assert table.groupby("point")["bad"].sum().tolist() == [0, 5]
        assert plan.points[1].columns == {"crowd.bad": "{'behaviour': 'echo', 'share': 0.25}"}


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ({"share": 0.1}, r"crowd\.bad\.behaviour"),
        ({"behaviour": "echo", "share": 2}, r"crowd\.bad\.share = 2"),
        ({"behavior": "echo"}, r"crowd\.bad\.behavior = 'echo': unknown key; perhaps crowd\.bad\.behaviour; "),
        (
            {"behaviour": "echo", "strength": 3},
            r"crowd\.bad\.strength = 3\.0: must be left out with crowd\.bad\.behaviour=echo",
        ),
        ([{"behaviour": "lazy", "strength": 3}], r"crowd\.bad\.0\.strength = 3\.0: must be at most 1 with"),
        (
            [{"behaviour": "echo"}, {"behaviour": "nobody"}],
            r"crowd\.bad\.1\.behaviour = 'nobody': must be one of .*mimic",
        ),
        (
            {"behaviour": "echo", "shares": 0.1},
            r"crowd\.bad\.shares.*unknown key; perhaps crowd\.bad\.share; allowed here: .*identities",
        ),
        ([{"behaviour": "echo", "share": 0.6}] * 2, r"crowd\.bad.*shares must add up to 1 at most"),
        ({"behaviour": "alie", "share": 1.0}, r"crowd\.bad\.share = 1\.0.*must leave an honest worker"),
        ({"behaviour": "echo", "start": 5, "stop": 4}, r"crowd\.bad.*stop must be at least start, 5"),
        ("echo", r"crowd\.bad = 'echo': must be a mapping or a list of mappings"),
    ],
)
def test_what_cannot_be_is_refused(bad, says):
    with pytest.raises(InputError, match=says):
        config(bad)


def test_code_in_a_list_of_bad_workers_is_not_run_because_a_folder_names_it():
    for bad in ({"behaviour": "mine:bad"}, [{"behaviour": "echo"}, {"behaviour": "mine:bad"}]):
        with pytest.raises(InputError, match=r"crowd\.bad\.behaviour = 'mine:bad'"):
            check_code({"crowd": {"bad": bad}}, {}, handed_over=True, trust=False)


def test_a_field_of_an_entry_of_a_list_is_overridden_by_its_number(tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text("crowd: {bad: [{behaviour: alie, share: 0.2}, {behaviour: lazy, share: 0.1}]}\n")
    groups = api.load_config(path, ["crowd.bad.0.share=0.3", "crowd.bad[1].behaviour=spam"]).crowd.bad_groups
    assert [(group.behaviour, group.share) for group in groups] == [("alie", 0.3), ("spam", 0.1)]
    for override, says in (
        ("crowd.bad.1.share=2", "crowd.bad.1.share = 2: must be less"),
        ("crowd.bad.2.share=0.2", "or a field of an entry, crowd.bad.0.share=0.2"),
    ):
        with pytest.raises(InputError, match=re.escape(says)):
            api.load_config(path, [override])
