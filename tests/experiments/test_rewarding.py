"""The experiments of pairs, a reward model and preferences: files share nothing, and tables say what is wanted."""

import json

import numpy as np
import pandas as pd
import pytest

from crowd_sim.config import RunConfig
from crowd_sim.tasks.choose.crowd import load_choices
from experiments.crowds import peers, preferring, rewarding
from experiments.crowds.pair_readers import RewardGame, read
from experiments.crowds.rewarding import content, deal, ordered, tables, turned, write_pairs
from tests.llm.small import make_parts


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    path = tmp_path_factory.mktemp("rewarding") / "neighbourhoods.parquet"
    rows = [
        {"emotion": emotion, "rank": i, "text": f"{emotion} {i}", "scores": [0.5]}
        for emotion in ("admiration", *(f"e{k}" for k in range(5)))
        for i in range(101)
    ]
    pd.DataFrame(rows).to_parquet(path)
    return path


@pytest.fixture(scope="module")
def pairs(source):
    assert deal(source, "admiration", 1) == deal(source, "admiration", 1)
    return deal(source, "admiration", 1)


def test_a_seed_deals_splits_that_share_nothing(pairs, tmp_path):
    texts = [{pair[side] for pair in own for side in ("chosen", "rejected", "prompt")} for own in pairs.values()]
    assert sum(map(len, texts)) == len(set.union(*texts))
    assert all(pair["chosen"].startswith("admiration") for own in pairs.values() for pair in own)
    for name, own in pairs.items():
        write_pairs(tmp_path / f"{name}.jsonl", own)
    crowd = load_choices(RunConfig.parse(content(1, tmp_path, None)))
    assert [len(own) for own in crowd.texts.examples] == [20] * 12
    assert (len(crowd.selection), len(crowd.report)) == (16, 160)
    assert json.loads((tmp_path / "crowd.jsonl").read_text().splitlines()[13])["worker"] == "w1"


def test_pairs_turned_round_cost_what_the_table_says(pairs):
    assert sum(a != b for a, b in zip(turned(pairs["crowd"], 0.2, 1), pairs["crowd"], strict=True)) == 48
    draws = np.random.default_rng(0)
    texts = {pair[side]: side for own in pairs.values() for pair in own for side in ("chosen", "rejected")}
    vectors = {text: draws.normal([2.0 * (side == "chosen"), 0, 0, 0]) for text, side in texts.items()}
    noisy = pd.DataFrame(ordered(vectors, pairs, 1))
    assert noisy["accuracy"].is_monotonic_decreasing
    models = pd.DataFrame(
        {"seed": seed, "model": name, "probability": 0.1 * i, "win_rate": 0.5, "repetition": 0.0, "distinct": 1.0}
        for seed in (1, 2)
        for i, name in enumerate(("before", "sft", "best_of_n", "rloo"))
    )
    lines = "\n".join(tables(noisy, models))
    assert f"| 40 % | {100 * noisy['accuracy'][2]:.1f} |" in lines
    assert "| best of 4 and sft | 10.0 [10.0, 10.0] | +10.0, +10.0 | ≥ 10 |" in lines


@pytest.mark.parametrize("arm", preferring.ARMS)
def test_every_arm_of_preferences_can_be_run(arm, tmp_path):
    config = RunConfig.parse(preferring.content(arm, 1, tmp_path))
    assert (config.task.tokens_per_round, config.task.objective == "sft") == (4_500, arm == "sft")


def test_a_third_of_the_crowd_turns_three_pairs_of_ten_round(pairs):
    noisy = preferring.noisy(pairs["crowd"], 1)
    there = pd.Series([pair["worker"] for pair, was in zip(noisy, pairs["crowd"], strict=True) if pair != was])
    assert there.value_counts().to_dict() == dict.fromkeys(preferring.bad_of(1), 6)
    assert len(preferring.bad_of(1)) == 4
    assert all(
        a["worker"] == b["worker"] and a["prompt"] == b["prompt"] for a, b in zip(noisy, pairs["crowd"], strict=True)
    )


def test_the_table_of_preferences_holds_arms_against_sft():
    found = [
        {"seed": seed, "arm": arm, "accuracy": 70.0 + 5 * i + seed, "margin": 0.5, "tokens": 4500.0}
        for seed in (1, 2)
        for i, arm in enumerate(preferring.ARMS)
    ]
    told = [
        {"seed": seed, "way": way, "auc": 0.75, "found": 3, "lost": seed}
        for seed in (1, 2)
        for way in ("screen `peers`", "calibrated points")
    ]
    lines = "\n".join(preferring.table(pd.DataFrame(found), pd.DataFrame(told)))
    assert "| sft, dpo and sft | 5.0 [5.0, 5.0] | +5.0, +5.0 | ≥ 6, interval above 0 |" in lines
    assert "| dropped and noisy | 5.0 [5.0, 5.0] | +5.0, +5.0 | ≥ half" in lines
    assert "| calibrated points | 0.75 | 0.75, 0.75 | ≥ 0.85 |" in lines
    assert "flags 3, 3 of the 4 who turn pairs round, and 1, 2 of the 8 others" in lines


def test_the_screen_is_tried_on_crowds_of_every_share(pairs):
    draws = np.random.default_rng(0)
    texts = {pair[side]: side for own in pairs.values() for pair in own for side in ("chosen", "rejected")}
    vectors = {text: draws.normal([3.0 * (side == "chosen"), 0, 0, 0]) for text, side in texts.items()}
    rows = pd.DataFrame(peers.rows_of(1, pairs, vectors))
    assert rows["share"].tolist() == list(peers.SHARES)
    assert rows.loc[2, ["found", "lost", "peers"]].tolist() == [1, 0, 1]
    lines = list(peers.table(rows))
    assert lines[2].startswith("| 0 % |  |  | 0.0 |")
    assert lines[4].startswith("| 30 % | 1.000 | 100.0 | 0.0 | 1.000 |")


def test_readers_find_who_turns_pairs_round():
    draws = np.random.default_rng(0)
    workers = [(draws.normal(1.0, 1.0, (20, 3)), draws.normal(-1.0, 1.0, (20, 3))) for _ in range(6)]
    trusted = (draws.normal(1.0, 1.0, (16, 3)), draws.normal(-1.0, 1.0, (16, 3)))
    workers[4] = workers[4][::-1]
    found = read(workers, trusted)
    assert {way: scores.argmin() for way, scores in found.items()} == dict.fromkeys(found, 4)
    nobody, everyone = RewardGame(workers, trusted)(np.array([[False] * 6, [True] * 6]))
    assert nobody == np.log(0.5)
    assert found["values of rewards"].sum() == pytest.approx(everyone - nobody)


class Labelled:
    """A Φ of two labels."""

    labels = ("joy", "admiration")

    def __call__(self, texts):
        return np.array([[0.0, 1.0] for _ in texts])


def numbered(texts):
    return np.array([[float(len(text)), float(text.startswith("admiration"))] for text in texts])


def test_both_commands_run_what_is_missing_and_read_what_is_there(source, pairs, tmp_path, monkeypatch):
    parts = make_parts(tmp_path / "parts")
    monkeypatch.setattr(rewarding, "DRAWN", 6)
    for module in (rewarding, preferring):
        monkeypatch.setattr(module, "TOKENS", 300)
    usual = rewarding.content
    phi = {"kind": "embedding", "model": str(parts / "phi")}

    def content(*given):
        made = usual(*given)
        return made | {"task": made["task"] | {"phi": phi, "device": "cpu", "rank": 2}}

    monkeypatch.setattr(rewarding, "content", content)
    arm = preferring.content

    def with_phi(*given):
        made = arm(*given)
        return made | {"task": made["task"] | ({"phi": phi} if "screens" in made else {})}

    monkeypatch.setattr(preferring, "content", with_phi)
    monkeypatch.setattr(preferring, "read", lambda own, _: {"sizes": np.array([float(len(w[0])) for w in own])})
    given = (1, tmp_path / "r", pairs, None, Labelled(), "admiration", str(parts / "model"))
    rows = pd.DataFrame(rewarding.drawn(*given))
    assert rows["model"].tolist() == ["before", "sft", "best_of_n", "rloo"]
    assert set(rows["probability"]) == {1.0}
    preferring.dealt(source, "admiration", 1, tmp_path / "p" / "seed-1" / "data")
    arms = ["sft", "dropped"]
    folder = tmp_path / "p" / "seed-1"
    rest = (arms, None, str(parts / "model"))
    found = pd.DataFrame(preferring.rows_of(1, tmp_path / "p", *rest))
    assert found["arm"].tolist() == arms
    assert found["accuracy"].between(0, 100).all()
    scouted = preferring.scouted(1, folder, rest[-1])
    told = pd.DataFrame([*preferring.told_apart(1, folder, numbered), scouted])
    assert told["way"].tolist() == ["screen `peers`", "sizes", "calibrated points"]
    assert told["auc"].between(0, 1).all()
    assert told["auc"][1] == 0.5  # twenty pairs of everyone's
    workers = pd.read_parquet(folder / "dropped" / "workers.parquet")
    assert told["found"][0] + told["lost"][0] == workers["flagged"].sum()
    monkeypatch.setattr("crowd_sim.models.lora.LoraLearner.tune", lambda *_: pytest.fail("all is there"))
    assert pd.DataFrame(rewarding.drawn(*given)).equals(rows)
    assert pd.DataFrame(preferring.rows_of(1, tmp_path / "p", *rest)).equals(found)
    assert pd.DataFrame(preferring.told_apart(1, folder, numbered)).equals(told[:2])
    assert preferring.scouted(1, folder, rest[-1]) == scouted
