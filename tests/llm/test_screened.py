"""Text runs with bad workers and screens: who is bad, what is left out, sweeps, and a run that goes on."""

import numpy as np
import pandas as pd
import pytest

from crowd_sim import run, sweep
from crowd_sim.config import RunConfig
from crowd_sim.errors import InputError
from crowd_sim.tasks.imitate.participants import load_texts
from crowd_sim.tasks.load import task_key
from tests.llm.small import config, content

ECHO = {"behaviour": "prompt_echo", "share": 0.34}


def with_bad(parts, bad, runs=1, **sections) -> RunConfig:
    return config(parts, runs=runs, crowd={"bad": bad}, tournament={"drop_used": False, "rounds": 1}, **sections)


def test_the_bad_are_the_same_in_all_runs_and_among_those_of_a_larger_share(parts):
    honest = load_texts(config(parts))
    spoiled = {}
    for share in (0.0, 0.17, 0.34, 0.67):
        texts = load_texts(with_bad(parts, {**ECHO, "share": share}))
        pairs = zip(texts.ids, texts.examples, honest.examples, strict=True)
        spoiled[share] = {worker for worker, own, before in pairs if own != before}
        assert list(texts.identity()) == list(honest.identity()) or share
        assert texts.prompts == honest.prompts  # outputs are asked for by the prompts that were
    assert spoiled[0.0] == set()
    assert [len(found) for found in spoiled.values()] == [0, 1, 2, 4]
    assert spoiled[0.17] < spoiled[0.34] < spoiled[0.67]
    assert task_key(with_bad(parts, ECHO)) != task_key(with_bad(parts, {**ECHO, "share": 0.5}))


def test_an_excluded_worker_contributes_and_earns_nothing(parts, tmp_path):
    setup = with_bad(
        parts, ECHO, runs=2, screens={"action": "exclude", "use": ["prompt_overlap"]}, payment={"rule": "equal"}
    )
    outcome = run(setup, tmp_path)
    assert (outcome.pay[outcome.screened.flagged] == 0).all()
    assert outcome.pay.sum() + outcome.metrics["pay_unpaid"].sum() == 2.0
    workers = pd.read_parquet(tmp_path / "workers.parquet")
    assert workers["flagged"].equals(workers["bad"])
    assert workers["bad"].sum() == 4
    assert (workers.loc[workers["bad"], "points"] == 0).all()
    assert (workers.loc[~workers["bad"], "points"] > 0).all()
    assert workers["screen_prompt_overlap"].between(0, 1).all()
    assert outcome.metrics["screens_found"].tolist() == outcome.metrics["auc_prompt_overlap"].tolist() == [1, 1]
    # the same rounds as those of the others alone
    texts = load_texts(setup)
    trained = [note["candidate_tokens"] for note in outcome.history.notes if note["kind"] == "round"]
    report = run(with_bad(parts, ECHO, runs=2, screens={"use": ["prompt_overlap"]}), None)
    more = [note["candidate_tokens"] for note in report.history.notes if note["kind"] == "round"]
    assert np.sum(trained) < np.sum(more)
    assert len(texts.in_turn()) == 12
    again = run(setup, tmp_path)  # read, without a model
    assert again.screened is not None
    assert again.screened.flagged.tolist() == outcome.screened.flagged.tolist()
    assert pd.read_parquet(tmp_path / "workers.parquet").equals(workers)


def test_values_of_an_excluded_worker_are_zero(parts):
    changes = content(parts, tournament={"rounds": 1, "drop_used": False}, valuation={"method": "exact"})
    changes["crowd"] |= {"n_workers": 3, "selection": "first", "bad": ECHO}
    outcome = run(changes | {"seed": 4, "screens": {"action": "exclude", "use": ["prompt_overlap"]}}, None)
    assert outcome.screened is not None
    assert outcome.values[outcome.screened.flagged] == pytest.approx(0)
    assert np.abs(outcome.values[~outcome.screened.flagged]).min() > 0


def test_a_report_changes_no_round_and_merged_duplicates_stay_once(parts):
    plain = run(with_bad(parts, {**ECHO, "behaviour": "copy"}), None)
    report = run(with_bad(parts, {**ECHO, "behaviour": "copy"}, screens={"action": "report"}), None)
    assert report.history.points.tobytes() == plain.history.points.tobytes()
    assert report.history.distances.tobytes() == plain.history.distances.tobytes()
    merged = run(with_bad(parts, {**ECHO, "behaviour": "copy"}, screens={"action": "merge"}), None)
    assert (merged.history.points > 0).all()
    tokens = [
        sum(note["candidate_tokens"]) for o in (plain, merged) for note in o.history.notes if note["kind"] == "round"
    ]
    assert tokens[1] < tokens[0]


def test_a_sweep_over_behaviours_and_actions_is_that_of_single_runs(parts):
    base = content(parts, tournament={"drop_used": False, "rounds": 1}, crowd={"bad": ECHO})
    made = sweep(base, grid={"crowd.bad.behaviour": ["prompt_echo", "empty"], "screens.action": ["report", "exclude"]})
    assert len(made.failures) == 0
    assert made.points["screens_found_mean"].min() == 1
    one = run({**base, "screens": {"action": "exclude"}}, None)
    assert made.points["final_distance_mean"].iloc[1] == one.metrics["final_distance"][0]


@pytest.mark.parametrize(
    ("bad", "sections", "says"),
    [
        (
            {"behaviour": "alie"},
            {},
            "crowd.bad.behaviour = 'alie': must be one of word_salad, .* with task.kind=imitate",
        ),
        ({"behaviour": "empty", "start": 2}, {}, "crowd.bad.start = 2: must be left out with task.kind=imitate"),
        ({"behaviour": "empty", "strength": 2.0}, {}, "crowd.bad.strength = 2.0: must be at most 1"),
        ({"behaviour": "empty"}, {"screens": {"use": ["near_model"]}}, "screens.use = 'near_model': must be among dup"),
        ({"behaviour": "empty"}, {"screens": {"from_round": 3}}, "screens.from_round = 3: must be left out"),
    ],
)
def test_what_texts_do_not_know_is_refused(parts, bad, sections, says):
    with pytest.raises(InputError, match=says):
        with_bad(parts, bad, **sections)
