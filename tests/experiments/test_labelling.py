"""The experiment of a crowd that mislabels: its arms can be run, its files share nothing, and its table says what is wanted."""

import json

import numpy as np
import pandas as pd
import pytest

from crowd_sim.config import RunConfig
from crowd_sim.participants import roles
from crowd_sim.tasks.choose.crowd import load_choices
from experiments.crowds import label_values
from experiments.crowds.labelling import ARMS, LABELS, content, deal, table


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("labelling")
    rows = [
        {"emotion": label, "rank": i, "text": f"{label} {i}" if i else "the same", "scores": [0.5, 0.5]}
        for label in (*LABELS, "grief")
        for i in range(101)
    ]
    pd.DataFrame(rows).to_parquet(folder / "neighbourhoods.parquet")
    for name in ("one", "again"):
        deal(folder / "neighbourhoods.parquet", 1, folder / name)
    return folder


def test_a_seed_deals_the_same_files_and_nothing_twice(data):
    texts = []
    for name in ("expert", "crowd", "report"):
        written = (data / "one" / f"{name}.jsonl").read_text()
        assert written == (data / "again" / f"{name}.jsonl").read_text()
        texts += [json.loads(line)["text"] for line in written.splitlines()]
    assert len(texts) == len(set(texts)) == 16 + 180 + 60
    assert "the same" not in texts


@pytest.mark.parametrize("arm", ARMS)
def test_every_arm_meets_the_same_crowd(data, arm):
    config = RunConfig.parse(content(arm, 1, data / "one"))
    crowd = load_choices(config)
    assert [len(own) for own in crowd.texts.examples] == ([16] if arm == "expert" else [15] * 12)
    assert (len(crowd.expert), len(crowd.selection), len(crowd.report)) == (16, 16, 60)
    assert arm == "expert" or roles([config]).bad.sum() == 5


def test_the_table_has_every_arm_and_what_is_wanted():
    row = {"tokens": 1170.0, "auc": np.nan, "lost": np.nan}
    found = [
        row | {"seed": seed, "arm": arm, "accuracy": 50.0 + 5 * i + seed} | ({"auc": 1.0} if arm == "filtered" else {})
        for seed in (1, 2)
        for i, arm in enumerate(("base", *ARMS))
    ]
    lines = "\n".join(table(pd.DataFrame(found)))
    assert "| filtered | 66.5 [60.1, 72.9] | 66.0, 67.0 | 1,170 | 1.000 |" in lines
    assert "| best crowd arm (value-weighted) and expert | 20.0 [20.0, 20.0] | +20.0, +20.0 | ≥ 5 in the mean" in lines


def test_a_seed_of_values_has_one_bad_worker_of_six(data):
    label_values.dealt(data / "neighbourhoods.parquet", 1, data / "six")
    config = RunConfig.parse(label_values.content(1, data / "six"))
    (bad,) = roles([config]).bad
    said = [{example.response for example in own} for own in load_choices(config).texts.examples]
    assert [own == set(LABELS) for own, is_bad in zip(said, bad, strict=True) if not is_bad] == [True] * 5


def test_the_table_of_values_counts_who_is_last():
    found = pd.DataFrame(
        {"seed": seed, "bad": i == 2, "shapley": value + 0.1 * i, "points_calibrated": 5.0 + i - 3 * (i == 2)}
        for seed, low in ((1, -1.0), (2, 1.0))
        for i, value in enumerate((0, 0, low, 0, 0, 0))
    )
    lines = "\n".join(label_values.table(found))
    assert "**-0.800 / 4.0** |" in lines
    assert "| 6 | 6 | 1.00 |" in lines
    assert "is last by value in 1 of 2 seeds" in lines
