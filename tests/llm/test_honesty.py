"""The honest metric of imitation: what concentrates or recites is behind what imitates."""

import numpy as np
import pandas as pd
import pytest

from crowd_sim.config import RunConfig
from crowd_sim.crowd.texts import Example, TextCrowd, hold_out
from crowd_sim.errors import InputError
from crowd_sim.models.diversity import copied_ngrams, repetition
from crowd_sim.scores import l2
from crowd_sim.tasks.imitate.honesty import energy_distance, floor_of, labelled, ranked
from crowd_sim.tasks.imitate.output_scoring import OutputScorer
from crowd_sim.tasks.imitate.participants import load_texts
from crowd_sim.tasks.imitate.records import Report
from crowd_sim.tasks.imitate.tables import _model_row

WORDS = [f"w{i}" for i in range(60)]
PLACES = np.random.default_rng(9).normal(size=(60, 8))


def text(draws: np.random.Generator, shift: int = 0) -> str:
    return " ".join(WORDS[i + shift] for i in draws.integers(40, size=8))


def phi(texts) -> np.ndarray:
    return np.array([np.mean([PLACES[int(word[1:])] for word in t.split()], axis=0) for t in texts])


def report(name: str, texts, scorer: OutputScorer) -> Report:
    vectors = phi(texts)
    energy = energy_distance(vectors, scorer.honest)
    n = len(texts)
    distances = tuple(scorer.distances(vectors).tolist())
    return Report(name, 0, ("p",) * n, tuple(texts), distances, distances, 0, 0, 0.0, *energy)


@pytest.mark.parametrize("baseline", ["single_33", "single_equal_tokens", "base"])
def test_one_sentence_and_recitation_rank_below_honest_texts(baseline):
    draws = np.random.default_rng(3)
    written = [text(draws) for _ in range(120)]
    crowd = TextCrowd(("a",), (tuple(Example("p", t) for t in written),), tuple(written))
    crowd = hold_out(crowd, 1 / 3)
    examples = [e.response for e in crowd.examples[0]]
    target = phi(crowd.target_texts)
    scorer = OutputScorer(l2, target.mean(axis=0), (), (), phi(crowd.honest_texts))
    typical = min(examples, key=lambda t: np.linalg.norm(phi([t])[0] - scorer.target))
    made = {
        baseline: [text(draws, 12) for _ in range(50)],  # somewhat elsewhere
        "round_1": [typical] * 50,
        "round_2": examples[:50],
        "round_3": [text(draws, 3) for _ in range(50)],
        "round_4": [" ".join([WORDS[draws.integers(43)]] * 4 + text(draws, 3).split()[:4]) for _ in range(50)],
    }
    rows = [_model_row(report(name, texts, scorer), set(examples)) for name, texts in made.items()]
    models = labelled(pd.DataFrame(rows), floor_of(crowd, scorer.honest, scorer.target))
    by_name = models.set_index("model")
    # the mean distance alone is fooled
    assert by_name["distance"].idxmin() == "round_1"
    concentrated = by_name["concentrated"].to_dict()
    if baseline != "base":  # the texts themselves are the reference otherwise, and nothing else comes nearer
        assert concentrated == {baseline: False, "round_1": True, "round_2": True, "round_3": False, "round_4": True}
        assert set(ranked(models)[:2]) == {"round_3", baseline}
    assert {"round_1", "round_2"} <= {name for name, is_so in concentrated.items() if is_so}
    assert ranked(models)[0] == "round_3"


def test_energy_distance_is_unbiased_and_its_error_right():
    draws = np.random.default_rng(0)
    samples = [(draws.normal(size=(20, 3)), draws.normal(size=(30, 3)) + i // 300) for i in range(600)]
    found = np.array([energy_distance(x, y) for x, y in samples]).reshape(2, 300, 2)
    value, error = found[..., 0], found[..., 1]
    assert abs(value[0].mean()) < 3 * value[0].std() / np.sqrt(300)
    for k in range(2):
        assert (
            0.9 < np.sqrt((error[k] ** 2).mean()) / value[k].std() < 1.6
        )  # too large where it degenerates, never too small
    x, y = draws.normal(size=(5, 2)), draws.normal(size=(4, 2))
    pairs = lambda a, b: np.linalg.norm(a[:, None] - b, axis=2)  # noqa: E731
    wanted = 2 * pairs(x, y).mean() - pairs(x, x).sum() / 20 - pairs(y, y).sum() / 12
    assert energy_distance(x, y)[0] == pytest.approx(wanted)


def test_nothing_is_said_of_too_few_or_of_no_place():
    assert np.isnan(energy_distance(np.zeros((2, 1)), np.zeros((9, 1)))).all()
    assert np.isnan(energy_distance(np.full((5, 1), np.nan), np.zeros((9, 1)))).all()


def test_whose_words_outputs_have():
    examples = ["a b c d e f", "g h i j k"]
    assert copied_ngrams(["x a b c d e", "g h i j"], examples) == 0.5
    assert copied_ngrams(["short"], examples) == 0
    assert repetition(["a b c a b c a b c", "a b c d"]) == pytest.approx((4 / 7) / 2)


def test_what_is_held_out_is_nobodys_and_not_the_targets():
    texts = [f"t{i}" for i in range(12)]
    own = tuple(tuple(Example("p", t) for t in [*texts[w::3], "all"]) for w in range(3))
    found = hold_out(TextCrowd(("a", "b", "c"), own, (*texts, "other")), 0.25)
    held = {e.response for e in found.held_out}
    assert len(held) == 3
    assert held.isdisjoint(e.response for its in found.examples for e in its)
    assert held.isdisjoint(found.target_texts)
    assert found.unseen() == found.held_out
    assert b"".join(found.identity()) != b"".join(TextCrowd(("a", "b", "c"), own, tuple(texts)).identity())


@pytest.mark.parametrize("share", [0.01, 0.99])
def test_holding_out_too_little_or_a_workers_last_text_is_refused(share):
    own = (tuple(Example("p", t) for t in "abcd"), (Example("p", "e"),), (Example("p", "f"),))
    with pytest.raises(InputError, match=r"^crowd\.held_out = .*: must "):
        hold_out(TextCrowd(("a", "b", "c"), own, ("t",)), share)


def test_a_configuration_holds_out_texts():
    content = {"crowd": {"source": "example_feedback", "target": "warm", "n_workers": 8, "held_out": 0.25}}
    config = RunConfig.parse(
        {**content, "task": {"kind": "imitate"}, "valuation": {"method": "none"}, "tournament": {"rounds": 1}}
    )
    assert len(load_texts(config).held_out) == 16
    assert "held_out" in config.determinants()["crowd"]
    with pytest.raises(InputError, match=r"^crowd\.held_out = 0.25: must be left out with task\.kind=vector"):
        RunConfig.parse({"crowd": {"held_out": 0.25}})
