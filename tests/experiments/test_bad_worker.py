"""The worker who contributes garbage: how it is made, where it is placed, and the command on small models."""

import json

import numpy as np
import pandas as pd
import pytest

from crowd_sim.config import RunConfig
from crowd_sim.config.io import load_content
from crowd_sim.crowd.sources.neighbourhoods import Neighbourhood, neighbourhoods_table
from crowd_sim.errors import InputError
from crowd_sim.models.lora import LoraLearner
from experiments.paper import bad_worker
from experiments.paper.bad_worker import COMMENTS, CONFIGURATION, WORDS, deal
from experiments.paper.bad_worker_table import MEASURES, by_seed, enough, markdown
from tests.bad_input.command import check_line

OWN = [f"a{i} b{i} c{i}" for i in range(29)]
LONG = " ".join(["long"] * (WORDS + 1))
OTHER = [f"x{i} y{i}" for i in range(30)]


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("n") / "n.parquet"
    scores = np.random.default_rng(0).random((31, 2))
    made = [
        Neighbourhood("admiration", ("centre", LONG, *OWN), scores),
        Neighbourhood("fear", ("middle", *OTHER), scores),
    ]
    neighbourhoods_table(made).to_parquet(path)
    return path


def setup(file, seed: int = 0, **overrides) -> RunConfig:
    given = [f"crowd.path={file}", f"seed={seed}", *(f"{name}={value}" for name, value in overrides.items())]
    return RunConfig.parse(load_content(CONFIGURATION, given))


def texts(crowd) -> list[list[str]]:
    return [[example.response for example in own] for own in crowd.contributions.examples]


def test_one_worker_contributes_word_salad_and_the_others_their_comments(file):
    words = {word for text in ("centre", LONG, *OWN, "middle", *OTHER) for word in text.split()}
    bad, dealt = set(), set()
    for seed in range(20):
        crowd = deal(setup(file, seed))
        own = texts(crowd)
        assert [len(comments) for comments in own] == [COMMENTS] * 6
        honest = [text for w, comments in enumerate(own) if w != crowd.bad for text in comments]
        assert len(set(honest)) == 5 * COMMENTS
        assert set(honest) <= set(OWN)
        for text in own[crowd.bad]:
            assert text not in OWN
            assert len(text.split()) == 3  # as many as the comment had
            assert set(text.split()) <= words
        assert crowd.contributions.target_texts == (LONG, *OWN)
        bad.add(crowd.bad)
        dealt.add(honest[0])
        assert texts(deal(setup(file, seed))) == own
    assert bad == set(range(6))
    assert len(dealt) > 5


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        ({"crowd.target": "joy"}, "crowd.target = 'joy': one of admiration, fear"),
        ({"crowd.n_workers": 10, "valuation.method": "none"}, "crowd.n_workers = 10: must be at most 9: there are 29"),
        (
            {"crowd.source": "example_feedback", "crowd.path": "null", "crowd.target": "warm"},
            "crowd.source = 'example_feedback': must be goemot",
        ),
        ({"runs": 2}, "runs = 2: must be 1"),
    ],
)
def test_a_crowd_that_cannot_be_dealt_is_refused(file, overrides, says):
    with pytest.raises(InputError, match=says):
        deal(setup(file, **overrides))


def table(*seeds: tuple[list[float], list[float]]) -> pd.DataFrame:
    """Values and points of workers of whom the second is bad."""
    parts = [
        pd.DataFrame({"seed": s, "worker": [f"w{i}" for i in range(len(v))], "bad": np.arange(len(v)) == 1})
        .assign(shapley=v, points=p, calibrated=p)
        .assign(first_order=[-x for x in v])
        for s, (v, p) in enumerate(seeds)
    ]
    return pd.concat(parts)


def test_last_is_below_everyone():
    found = by_seed(table(([0.3, -0.1, 0.2], [5, 2, 4]), ([0.3, 0.2, 0.2], [5, 4, 4]), ([0.1, 0.3, 0.2], [4, 5, 4])))
    assert found["shapley_place"].tolist() == [3, 2, 1]  # level with another is not last
    assert found["points_place"].tolist() == [3, 2, 1]
    assert found["first_order_place"].tolist() == [1, 1, 3]
    assert found["first_order_r"].tolist() == pytest.approx([-1, -1, -1])
    assert found["points_r"][1] == pytest.approx(1)


def test_four_seeds_of_five_are_enough():
    good, tied, late = ([0.3, -0.1, 0.2], [5, 2, 4]), ([0.3, -0.1, 0.2], [5, 4, 4]), ([0.1, 0.3, 0.2], [5, 2, 4])
    for seeds, met in (([good] * 5, True), ([good] * 4 + [tied], True), ([good] * 3 + [tied, late], False)):
        made = table(*seeds)
        lines = list(markdown(made))
        assert enough(by_seed(made)) == met
        assert ("MISSED" in lines[-1]) != met
        assert lines[0].count("|") == lines[1].count("|") == lines[2].count("|")
        assert lines[2].startswith("| 0 | 0.300 / 5 | **−0.100 / 2** | 0.200 / 4 | 3 | 3 | 3 | 1 |")
    assert lines[-1].startswith("Last in values and in points in 3 of 5 seeds (MISSED), wanted 4 of 5; by value in 4,")


@pytest.fixture
def small(tmp_path_factory, file):
    pytest.importorskip("torch", reason="needs the extra llm")
    pytest.importorskip("peft", reason="needs the extra llm")
    from tests.learners.tiny_llm import TEMPLATE
    from tests.llm.small import make_parts

    parts = make_parts(tmp_path_factory.mktemp("small"))
    return [
        f"crowd.path={file}",
        "crowd.n_workers=3",
        "tournament.rounds=2",
        f"task.model={parts / 'model'}",
        f"task.prompt_template='{TEMPLATE}'",
        "task.phi.kind=embedding",
        f"task.phi.model={parts / 'phi'}",
        "task.max_tokens=100",
        "task.generation.max_new_tokens=4",
    ]


def test_the_command_writes_the_tables_and_goes_on_where_it_stopped(small, tmp_path, capsys, monkeypatch):
    out = ["--out", str(tmp_path), "--seeds"]

    def run(*arguments) -> int:
        with pytest.raises(SystemExit) as ended:
            bad_worker.main([*small, *arguments])
        return ended.value.code

    status = run("tournament.reward=calibrated", *out, "1")
    first = pd.read_csv(tmp_path / "bad_worker.csv")
    assert status == (0 if enough(by_seed(first)) else 1)
    assert capsys.readouterr().out == (tmp_path / "bad_worker.md").read_text(encoding="utf-8")
    assert list(first.columns) == ["seed", "worker", "bad", *MEASURES]
    assert first["points"].tolist() == first["calibrated"].tolist()  # the same mechanism on the same rounds
    workers = pd.read_parquet(tmp_path / "seed-0" / "run" / "workers.parquet")
    assert first["shapley"].tolist() == pytest.approx(workers["shapley"].tolist(), rel=1e-5)
    lines = [json.loads(line) for line in (tmp_path / "seed-0" / "feedback.jsonl").read_text().splitlines()]
    assert [line["worker"] for line in lines] == [f"w{w}" for w in range(3) for _ in range(COMMENTS)]
    tuned = []
    before = LoraLearner.tune

    def counted(self, jobs):
        tuned.extend(jobs)
        return before(self, jobs)

    monkeypatch.setattr(LoraLearner, "tune", counted)
    run("tournament.reward=calibrated", *out, "2")
    both = pd.read_csv(tmp_path / "bad_worker.csv")
    assert both[both["seed"] == 0].equals(first)
    assert both["seed"].tolist() == [0, 0, 0, 1, 1, 1]
    assert len(tuned) == 2**3 + 2 * 3  # the second seed's coalitions and candidates, nothing of the first's


def test_bad_input_of_the_command_is_one_line(small, tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        bad_worker.main([*small, "task.rank=0", "--out", str(tmp_path / "out")])
    assert ended.value.code == 2
    check_line(capsys.readouterr().err, ("bad_worker: ", "task.rank = 0"))
    assert not (tmp_path / "out").exists()
