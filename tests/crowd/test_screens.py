"""Screens: every one of them, what each finds, and the rules by which scores are flagged."""

import numpy as np
import pytest

from crowd_sim.crowd.screens import TEXT_SCREENS, VECTOR_SCREENS, screened
from crowd_sim.crowd.screens.duplicate_texts import kept
from crowd_sim.crowd.screens.duplicate_vectors import copies
from crowd_sim.crowd.screens.metrics import screen_metrics
from crowd_sim.crowd.screens.rule import above, outlying
from crowd_sim.crowd.screens.screening import Screening, screened_runs
from crowd_sim.crowd.screens.shingles import jaccard, near_duplicates, shingles
from crowd_sim.crowd.screens.texts import TextEvidence
from crowd_sim.crowd.screens.vectors import VectorEvidence
from crowd_sim.crowd.texts import Example


def vectors(n: int = 20, d: int = 5, seed: int = 0) -> dict[str, np.ndarray]:
    mean = np.random.default_rng(seed).normal(size=(n, d))
    return {"mean": mean, "spread": np.zeros(n), "nearness": np.linalg.norm(mean - 2.0, axis=1)}


def text_evidence(examples, offsets=None) -> TextEvidence:
    own = [tuple(Example(p, r) for p, r in worker) for worker in examples]
    return TextEvidence(own, offsets or [np.ones((len(worker), 2)) for worker in own])


def sentences(n: int, m: int = 3) -> list[list[tuple[str, str]]]:
    words = np.random.default_rng(1).permutation([f"{a}{b}{c}" for a in "bdfgk" for b in "aeiou" for c in "lmnrst"])
    texts = [" ".join(words[i % 144 : i % 144 + 5]) for i in range(0, 4 * n * m, 4)]
    return [[("say something", texts[w * m + i]) for i in range(m)] for w in range(n)]


@pytest.mark.parametrize("name", VECTOR_SCREENS)
@pytest.mark.parametrize("n", [0, 1, 2, 3, 20])
def test_every_screen_of_vectors_is_a_function_of_the_evidence(name, n):
    screen = VECTOR_SCREENS[name]
    for d in (1, 5):
        own = vectors(n, d)
        before = {key: value.copy() for key, value in own.items()}
        with np.errstate(all="raise"):
            scores = screen.scores(VectorEvidence(**own))
        assert scores.shape == (n,)
        assert np.isfinite(scores).all()
        assert scores.tobytes() == screen.scores(VectorEvidence(**own)).tobytes()
        assert all((own[key] == before[key]).all() for key in own)
        flagged = screen.rule(scores)
        assert flagged.dtype == np.bool_
        assert not flagged.any()  # of honest ones
        same = {"mean": np.ones((n, d)), "spread": np.zeros(n), "nearness": np.zeros(n)}
        assert not screen.rule(screen.scores(VectorEvidence(**same))).any()  # what all do is nobody's fault
        order = np.random.default_rng(2).permutation(n)
        turned = screen.scores(VectorEvidence(**{key: value[order] for key, value in own.items()}))
        assert turned == pytest.approx(scores[order], abs=1e-12)


@pytest.mark.parametrize("name", TEXT_SCREENS)
def test_every_screen_of_texts_is_a_function_of_the_examples(name):
    screen = TEXT_SCREENS[name]
    for examples in ([], [[("p", "")]], [[], []], [[("", "")], [("", "")], [("", "")]], sentences(1), sentences(12)):
        evidence = text_evidence(examples)
        with np.errstate(all="raise"):
            scores = screen.scores(evidence)
        assert scores.shape == (len(examples),)
        assert np.isfinite(scores).all()
        assert scores.tobytes() == screen.scores(text_evidence(examples)).tobytes()
        assert not screen.rule(scores).any()


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("near_model", {"nearness": 0.0}),
        ("inconsistency", {"spread": 1.0}),
        ("constants", {"mean": 0.7}),
    ],
)
def test_a_screen_of_vectors_finds_what_it_is_for(name, changes):
    own = vectors()
    for key, value in changes.items():
        own[key][[2, 5]] = value
    scores = VECTOR_SCREENS[name].scores(VectorEvidence(**own))
    assert np.flatnonzero(VECTOR_SCREENS[name].rule(scores)).tolist() == [2, 5]


def test_duplicates_of_vectors_are_found_with_whom_they_copy_and_share_a_weight():
    own = vectors()
    own["mean"][[2, 5]] = own["mean"][9] + 1e-9
    evidence = VectorEvidence(**own)
    assert np.flatnonzero(screened(VECTOR_SCREENS, evidence).flagged).tolist() == [2, 5, 9]
    assert copies(evidence).tolist() == [3 if place in (2, 5, 9) else 1 for place in range(20)]
    runs = {key: np.stack([value, vectors(seed=4)[key]]) for key, value in own.items()}
    weights = np.full((2, 20), 6.0)
    assert Screening(True, (), 3).weights(weights, {}, 2) is weights  # too early
    shared = Screening(True, (), 3).weights(weights, runs, 3)
    assert shared[0].tolist() == [2.0 if place in (2, 5, 9) else 6.0 for place in range(20)]
    assert (shared[1] == 6).all()
    left = Screening(False, ("duplicates",), 3).weights(weights, runs, 3)
    assert left[0].tolist() == [0.0 if place in (2, 5, 9) else 6.0 for place in range(20)]
    assert screened_runs(runs, ("duplicates",)).flagged.sum(axis=1).tolist() == [3, 0]


@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        ("duplicates", lambda own, all_: [(p, all_[4 + i][0][1]) for i, (p, _) in enumerate(own)]),
        ("repetition", lambda own, _: [(p, own[0][1]) for p, _ in own]),
        ("prompt_overlap", lambda own, _: [(p, p) for p, _ in own]),
        ("shared_ngrams", lambda own, _: [(f"cf mn bb {p}", r) for p, r in own]),
    ],
)
def test_a_screen_of_texts_finds_what_it_is_for(name, spoil):
    examples = sentences(12)
    examples[0], examples[1] = spoil(examples[0], examples), spoil(examples[1], examples)
    scores = TEXT_SCREENS[name].scores(text_evidence(examples))
    assert np.flatnonzero(TEXT_SCREENS[name].rule(scores)).tolist() == [0, 1]


def test_who_was_copied_of_everything_is_no_copier():
    examples = sentences(12)
    for copier in (0, 1):  # all of worker 2's, and one of another
        examples[copier] = [*examples[2], examples[5 + copier][0]]
    scores = TEXT_SCREENS["duplicates"].scores(text_evidence(examples))
    assert scores[:3].tolist() == [1, 1, 0.5]
    assert np.flatnonzero(TEXT_SCREENS["duplicates"].rule(scores)).tolist() == [0, 1]
    examples[4] = examples[3]  # both the same: nobody says who copied
    scores = TEXT_SCREENS["duplicates"].scores(text_evidence(examples))
    assert scores[3:5].tolist() == [1, 1]


def far_from_target(*others):
    """Thirty workers with four examples around the target, then these."""
    half = np.random.default_rng(3).normal(size=(15, 4, 20))
    offsets = [*half, *-half, *others]
    screen = TEXT_SCREENS["target_distance"]
    scores = screen.scores(text_evidence([[("p", "r")] * len(own) for own in offsets], offsets))
    return scores[30:], np.flatnonzero(screen.rule(scores)).tolist()


def test_distance_to_the_target_allows_more_to_who_has_fewer_examples():
    scores, flagged = far_from_target(np.full((1, 20), 1.6), np.full((16, 20), 1.6))
    assert scores[1] == pytest.approx(4 * scores[0], rel=0.1)
    assert flagged == [31]


def test_examples_as_far_as_everyones_but_all_on_one_side_are_far_from_the_target():
    around = np.random.default_rng(4).normal(size=(4, 20))
    lengths = np.linalg.norm(around, axis=1, keepdims=True)
    scores, flagged = far_from_target(around, np.eye(20)[:1] * lengths)
    assert scores[0] < 2 < scores[1]
    assert flagged == [31]


def test_distance_to_the_target_of_odd_crowds():
    def scores(*means):
        offsets = [np.full((1, 2), mean) for mean in means]
        return TEXT_SCREENS["target_distance"].scores(text_evidence([[("p", "r")]] * len(means), offsets))

    assert scores(0, 0, 0, 0, 1).tolist() == [0, 0, 0, 0, 1e9]
    assert scores(1, 1, -1, -1, np.nan).tolist() == pytest.approx([1, 1, 1, 1, 1e9])
    for size in (1e-200, 1e200):
        assert scores(size, size, -size, -size).tolist() == pytest.approx([1, 1, 1, 1])


def test_rules_are_relative_to_the_crowd():
    assert above(0.5)(np.array([0.0, 0.0, 0.6])).tolist() == [False, False, True]
    assert above(0.5)(np.array([0.5, 0.5, 0.6, 0.9])).tolist() == [False, False, False, True]
    assert not above(0.5)(np.ones(5)).any()
    normal = np.random.default_rng(0).normal(size=10_000)
    assert 0.0005 < outlying(0.0)(normal).mean() < 0.0025  # three standard deviations, one tail: 0.13 %
    assert outlying(5.0)(normal).sum() == 0


def test_of_near_duplicates_the_one_of_the_worker_with_fewer_stays():
    examples = sentences(4)
    examples[0] = [(p, examples[1 + i][0][1]) for i, (p, _) in enumerate(examples[0])]  # one of each other worker
    assert kept(text_evidence(examples)).tolist() == [False] * 3 + [True] * 9
    same = [[("p", "just the same words")]] * 3
    assert kept(text_evidence(same)).tolist() == [True, False, False]


def test_similarity_of_shingles():
    assert shingles("Ab  C") == {"ab c"}
    assert shingles("") == {""}
    assert jaccard(shingles("abcdefg"), shingles("abcdefh")) == pytest.approx(2 / 4)
    texts = ["one two three four", "something else", "One two  three four", "one two three fout"]
    assert near_duplicates(texts).tolist() == [[0, 2], [0, 3], [2, 3]]
    assert near_duplicates([]).shape == (0, 2)


def test_hashes_find_what_all_pairs_find():
    pytest.importorskip("datasketch", reason="needs the extra screens")
    texts = [text for own in sentences(60) for _, text in own]
    texts += [text[:-1] + "x" for text in texts[::7]]
    every = near_duplicates(texts)
    assert len(every) >= len(texts[::7]) // 2
    by_hashes = {tuple(pair) for pair in near_duplicates(texts, most_exact=10).tolist()}
    alike = {tuple(p) for p in every.tolist() if jaccard(shingles(texts[p[0]]), shingles(texts[p[1]])) >= 0.7}
    assert alike <= by_hashes <= {tuple(pair) for pair in every.tolist()}


def test_metrics_say_how_well_the_bad_are_found():
    own = vectors()
    own["mean"][[2, 5]] = own["mean"][9]
    found = screened_runs({key: value[None] for key, value in own.items()}, ())
    assert screen_metrics(found, None) == {"screens_flagged": pytest.approx(3 / 20)}
    bad = np.isin(np.arange(20), (2, 5))[None]
    measured = screen_metrics(found, bad)
    assert measured["screens_found"] == 1
    assert measured["screens_false_alarms"] == pytest.approx(1 / 18)
    assert measured["auc_duplicates"] == pytest.approx(1 - 0.5 / 18)
    assert np.isnan(screen_metrics(found, np.zeros((1, 20), dtype=bool))["screens_found"])
