import numpy as np
import pandas as pd
import pytest

from crowd_sim.crowd.sources.goemotions import PROMPT, draw_neighbours, find_neighbourhoods, read_neighbours
from crowd_sim.crowd.sources.neighbourhoods import build_neighbourhood, neighbourhoods_table, read_neighbourhoods
from crowd_sim.errors import InputError

LABELS = ("joy", "fear")


@pytest.fixture
def table():
    rows = [
        {"emotion": emotion, "rank": rank, "text": f"{emotion} {rank}", "scores": [0.5, rank / 10]}
        for emotion in LABELS
        for rank in range(8)
    ]
    return pd.DataFrame(rows)


@pytest.fixture
def path(table, tmp_path):
    table.sample(frac=1, random_state=0).to_parquet(tmp_path / "neighbourhoods.parquet", index=False)
    return tmp_path / "neighbourhoods.parquet"


@pytest.mark.parametrize("n_workers", [1, 3, 7])
def test_neighbours_are_dealt_in_turn_by_rank(path, n_workers):
    crowd = read_neighbours(path, "joy", n_workers)
    assert crowd.ids == tuple(map(str, range(n_workers)))
    expected = tuple(f"joy {rank}" for rank in range(1, 8))
    assert tuple(example.response for example in crowd.in_turn()) == expected == crowd.target_texts
    assert {example.prompt for example in crowd.in_turn()} == {PROMPT}
    assert crowd.examples[0][0].response == "joy 1"
    sizes = [len(own) for own in crowd.examples]
    assert max(sizes) - min(sizes) <= 1


def drawn(path, seed, n_workers=2, each=2, max_words=None):
    return draw_neighbours(path, "joy", n_workers, each, max_words, np.random.default_rng(seed))


def test_neighbours_are_drawn_by_the_run(path):
    found = [drawn(path, seed) for seed in range(20)]
    assert drawn(path, 3) == found[3]
    assert len({crowd.examples for crowd in found}) > 10
    for crowd in found:
        responses = [example.response for own in crowd.examples for example in own]
        assert [len(own) for own in crowd.examples] == [2, 2]
        assert len(set(responses)) == 4
        assert set(responses) <= set(crowd.target_texts) == {f"joy {rank}" for rank in range(1, 8)}


def test_only_short_neighbours_are_drawn(table, path):
    longer = table["text"].where(table["rank"] % 2 == 0, table["text"] + " at length")
    table.assign(text=longer).to_parquet(path)
    crowd = drawn(path, 0, n_workers=3, each=1, max_words=2)
    assert {own[0].response for own in crowd.examples} == {"joy 2", "joy 4", "joy 6"}
    assert len(crowd.target_texts) == 7
    with pytest.raises(
        InputError, match=r"crowd.n_workers = 2: must be at most 1: joy has 3 neighbours of at most 2 words"
    ):
        drawn(path, 0, max_words=2)


def test_it_is_found_in_a_folder_and_by_the_environment(path, tmp_path, monkeypatch):
    monkeypatch.delenv("CROWD_SIM_DATA", raising=False)
    with pytest.raises(InputError, match="crowd-sim data goemotions"):
        find_neighbourhoods(None)
    inner = tmp_path / "around" / "goemotions"
    inner.mkdir(parents=True)
    path.rename(inner / path.name)
    monkeypatch.setenv("CROWD_SIM_DATA", str(tmp_path / "around"))
    for given in (None, inner, tmp_path / "around", inner / path.name):
        assert find_neighbourhoods(given) == inner / path.name
    with pytest.raises(InputError, match=r"crowd\.path"):
        find_neighbourhoods(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("anger", 3), "crowd.target = 'anger': must be one of (joy, fear|fear, joy)"),
        (("joy", 0), "crowd.n_workers = 0: must be 1 to 7"),
        (("joy", 8), "crowd.n_workers = 8: must be 1 to 7"),
    ],
)
def test_what_cannot_be_dealt_is_refused(path, arguments, says):
    with pytest.raises(InputError, match=says):
        read_neighbours(path, *arguments)


@pytest.mark.parametrize(
    ("column", "row", "value", "place", "says"),
    [
        ("rank", 3, 2, ":3", "rank must be a whole number that no other row has, it is 2"),
        ("rank", 3, -1, ":3", "rank"),
        ("rank", 3, 9, "", "ranks from 0 .* 'joy', 3 is missing"),
        ("text", 3, "", ":3", "text must be a text that is not blank"),
        ("emotion", 3, None, ":3", "emotion must be a text"),
        ("scores", 3, [0.5], ":3", "scores must be 2 numbers as in other records, not 1"),
        ("scores", 3, [0.5, 1.5], ":3", "scores must be a list of numbers from 0 to 1"),
        ("scores", 3, [0.5, float("nan")], ":3", "scores must be a list of numbers from 0 to 1"),
        ("scores", 3, None, ":3", "scores must be a list of numbers from 0 to 1"),
    ],
)
def test_a_broken_row_is_named(table, tmp_path, column, row, value, place, says):
    table[column] = [value if number == row else old for number, old in enumerate(table[column])]
    path = tmp_path / "n.parquet"
    table.to_parquet(path)
    with pytest.raises(InputError, match=says) as caught:
        read_neighbourhoods(path)
    assert caught.value.field == f"{path}{place}"


def test_a_neighbourhood_is_the_best_comment_and_those_nearest_to_it():
    scores = np.array([[0.1, 0.2], [0.9, 0.1], [0.8, 0.1], [0.9, 0.1], [0.9, 0.4], [0.85, 0.1]])
    found = build_neighbourhood("joy", "abcdef", scores, LABELS, n=3)
    assert found.texts == ("b", "d", "f", "c")  # of the two best the first, its double next to it
    np.testing.assert_array_equal(found.scores, scores[[1, 3, 5, 2]])
    with pytest.raises(InputError, match="more than 6"):
        build_neighbourhood("joy", "abcdef", scores, LABELS, n=6)


def test_a_table_of_neighbourhoods_is_read_back(tmp_path):
    scores = np.random.default_rng(0).random((9, 2))
    made = [build_neighbourhood(emotion, "abcdefghi", scores, LABELS, n=4) for emotion in LABELS]
    neighbourhoods_table(made).to_parquet(tmp_path / "n.parquet")
    for before, after in zip(made, read_neighbourhoods(tmp_path / "n.parquet"), strict=True):
        assert (after.emotion, after.texts) == (before.emotion, before.texts)
        np.testing.assert_array_equal(after.scores, before.scores)


def test_the_real_neighbourhoods_are_nearest_first(goemotions_folder):
    found = read_neighbourhoods(find_neighbourhoods(goemotions_folder))
    assert len(found) == 22
    for one in found:
        distance = np.linalg.norm(one.scores - one.scores[0], axis=1)
        assert len(distance) == 101
        assert (np.diff(distance) > -1e-5).all()  # the scores are rounded to six places
