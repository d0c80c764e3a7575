import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from crowd_sim.cli import goemotions as emotions
from crowd_sim.cli.goemotions import fetch_comments, make_neighbourhoods, score_texts
from crowd_sim.crowd.sources.goemotions import read_neighbours
from crowd_sim.errors import InputError
from crowd_sim.models.distill import read_scored_texts
from experiments.bench.phi_agreement import agreement
from tests.bad_input.command import call, check_line


class Counted:
    """A stand-in for Φ: the share of two letters in a text."""

    name, labels, n_dimensions = "counted", ("a", "b"), 2

    def __call__(self, texts):
        return np.array([[text.count(letter) / len(text) for letter in self.labels] for text in texts])


COMMENTS = [f"{'a' * i}{'b' * j}c" for i in range(12) for j in range(12)]


def test_made_neighbourhoods_can_be_dealt(tmp_path):
    out = tmp_path / "new" / "n.parquet"
    said = make_neighbourhoods(COMMENTS, Counted(), ["b", "b"], out)
    assert said == f"{out}: 1 neighbourhoods of 144 comments, by counted"
    crowd = read_neighbours(out, "b", 10)
    assert len(crowd.target_texts) == 100
    assert crowd.target_texts[0] == "b" * 10 + "c"  # nearest to the eleven b
    make_neighbourhoods(COMMENTS, Counted(), [], out)
    assert read_neighbours(out, "a", 100).target_texts[0] == "a" * 10 + "c"


def test_scored_texts_can_be_distilled(tmp_path):
    out, labels = tmp_path / "scored.parquet", tmp_path / "labels.json"
    said = score_texts([*COMMENTS[:20], COMMENTS[0]], Counted(), out, labels)
    assert said == f"{out}: 20 texts scored by counted; {labels}: 2 labels"
    found = read_scored_texts(out)
    assert found.texts == tuple(COMMENTS[:20])
    np.testing.assert_array_equal(found.scores, Counted()(COMMENTS[:20]))
    assert json.loads(labels.read_text()) == ["a", "b"]
    for wrong, says in ((tmp_path / "scored.csv", "ends in .parquet"), (out / "scored.parquet", "can be written")):
        with pytest.raises(InputError, match=says):
            score_texts(COMMENTS, Counted(), wrong, labels)


@pytest.mark.parametrize(
    ("comments", "names", "out", "says"),
    [
        (COMMENTS, ["joy"], "n.parquet", "--emotion = 'joy': one of a, b"),
        (COMMENTS[:100], ["a"], "n.parquet", "more than 100 are needed"),
        (COMMENTS, ["a"], "n.csv", "ends in .parquet"),
        (COMMENTS, ["a"], "file/n.parquet", "a file that can be written"),
    ],
)
def test_what_cannot_be_made_is_refused(tmp_path, comments, names, out, says):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=says):
        make_neighbourhoods(comments, Counted(), names, tmp_path / out)


def test_comments_come_once_in_the_order_of_the_splits(monkeypatch):
    splits = {"test": {"text": ["d"]}, "train": {"text": ["b", "a", "b", " "]}, "validation": {"text": ["a", "c"]}}
    asked = []
    datasets = SimpleNamespace(load_dataset=lambda *names: asked.append(names) or splits)
    monkeypatch.setitem(sys.modules, "datasets", datasets)
    assert fetch_comments() == ("b", "a", "c", "d")
    assert asked == [(emotions.DATASET, emotions.EDITION)]


def test_without_the_package_or_the_internet_it_is_one_line(monkeypatch, tmp_path, capsys):
    def fails(*_names):
        raise ConnectionError("no\ninternet")

    monkeypatch.setattr("crowd_sim.models.phi.load_phi", lambda *_: Counted())
    for module, says in ((SimpleNamespace(load_dataset=fails), "ConnectionError"), (None, "pip install datasets")):
        monkeypatch.setitem(sys.modules, "datasets", module)
        assert call(["data", "goemotions", "--out", str(tmp_path / "n.parquet")]) == 2
        check_line(capsys.readouterr().err, (emotions.DATASET, says))


def test_agreement_of_known_choices():
    first = np.array([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0], [3.0, 1.0, 2.0], [1.0, 2.0, 3.0]])
    second = np.array([[0.1, 0.2, 0.3], [0.2, 0.1, 0.3], [0.9, 0.1, 0.8], [0.3, 0.2, 0.1]])
    found = agreement(first, second)
    assert (found.same, found.worth, found.n) == (0.5, (1 + 0.5 + 1 + 0) / 4, 4)
