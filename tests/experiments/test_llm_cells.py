"""The cells of the paper's experiment: what one shares, what is not done again, and a table of what they leave."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

pytest.importorskip("torch", reason="needs the extra llm")
pytest.importorskip("peft", reason="needs the extra llm")

from crowd_sim.crowd.sources.neighbourhoods import Neighbourhood, neighbourhoods_table
from crowd_sim.errors import InputError
from crowd_sim.models.lora import LoraLearner
from experiments.paper import llm_cells
from experiments.paper.llm_cells import cells_of, run_cell
from experiments.paper.llm_folder import read_cells
from tests.bad_input.command import check_line
from tests.llm.small import content, make_parts

EMOTIONS = ("love", "anger")


def neighbourhood(number: int, emotion: str) -> Neighbourhood:
    draws = np.random.default_rng(number)
    texts = tuple("".join(draws.choice(list("abc de"), 4)) + "." for _ in range(101))
    return Neighbourhood(emotion, texts, draws.random((101, 2)))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The content of a configuration as the paper's, of small models."""
    parts = make_parts(tmp_path_factory.mktemp("small"))
    neighbourhoods_table([neighbourhood(*one) for one in enumerate(EMOTIONS)]).to_parquet(parts / "n.parquet")
    return content(
        parts,
        crowd={"source": "goemotions", "path": str(parts / "n.parquet"), "target": "love", "n_workers": 100},
        tournament={"rounds": 3, "n_groups": 3},
        llm={"single_sizes": [33, 66, 100], "equal_tokens": True, "batch_size": 100},
    )


@pytest.fixture(scope="module")
def cell(whole, tmp_path_factory):
    """A cell that is finished, and what was tuned for it."""
    (found,) = cells_of(whole, ["love"], 1, tmp_path_factory.mktemp("cells"))
    return found, tuned_for(found)


def tuned_for(found) -> list[int]:
    """Runs a cell; the examples of each candidate tuned."""
    sizes: list[int] = []
    usual = LoraLearner.tune

    def counted(self, jobs):
        sizes.extend(len(job.examples) for job in jobs)
        return usual(self, jobs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LoraLearner, "tune", counted)
        assert run_cell(found) == f"{found.emotion}, seed {found.seed}"
    return sizes


def test_all_emotions_of_a_seed_come_before_the_next_seed(whole, tmp_path):
    cells = cells_of(whole, None, 2, tmp_path)
    assert [(one.emotion, one.seed) for one in cells] == [("love", 0), ("anger", 0), ("love", 1), ("anger", 1)]
    assert [(one.emotion, one.seed) for one in cells_of(whole, ["anger"], 1, tmp_path)] == [("anger", 0)]
    assert cells[3].folder("merging") == tmp_path / "anger" / "seed-1" / "merging"
    configs = {variant: cells[3].config(variant) for variant in llm_cells.VARIANTS}
    for config in configs.values():
        assert (config.seed, config.crowd.target) == (1, "anger")
    assert [config.lora.selection for config in configs.values()] == ["best", "merge", "halving"]
    assert configs["merging"].lora.single_sizes == ()
    # no candidate of halving holds more examples than a step of its single models
    halving = configs["halving"]
    assert halving.lora.batch_size * halving.tournament.n_groups == halving.crowd.n_workers
    with pytest.raises(InputError, match="--emotions = 'joy': must be among love, anger"):
        cells_of(whole, ["joy"], 1, tmp_path)


def test_the_variants_of_a_cell_share_their_first_candidates(cell):
    found, sizes = cell
    first = []
    for variant in ("tournament", "merging"):
        candidates = pd.read_parquet(found.folder(variant) / "candidates.parquet")
        first.append(candidates.loc[candidates["round"] == 1, ["score", "tokens_trained"]].to_numpy())
    assert first[0].tobytes() == first[1].tobytes()
    assert sizes[:3] == [33, 66, 100]  # single models, then two variants' first round, and no other of 34, 33, 33
    assert sizes.count(34) == 1


def test_what_is_finished_is_not_done_again(cell, tmp_path):
    found, sizes = cell
    before = {path: path.read_bytes() for path in sorted(found.root.rglob("*")) if path.is_file()}
    assert tuned_for(found) == []
    assert {path: path.read_bytes() for path in sorted(found.root.rglob("*")) if path.is_file()} == before
    # one variant of a cell is missing: the other is left alone
    (left,) = cells_of(found.content, ["love"], 1, tmp_path)
    shutil.copytree(found.folder("tournament"), left.folder("tournament"))
    again = tuned_for(left)
    assert 0 < len(again) < len(sizes)
    for name in ("rounds", "candidates", "outputs", "workers"):
        one, other = (Path(each.folder("merging"), f"{name}.parquet").read_bytes() for each in (found, left))
        assert one == other


def test_the_table_reads_what_cells_leave(cell):
    found, _ = cell
    cells = read_cells(found.root)
    assert cells.unfinished == ()
    row = cells.table.iloc[0]
    assert (row["emotion"], row["seed"]) == ("love", "0")
    assert cells.phi.startswith("embedding:")
    for variant in llm_cells.VARIANTS:
        rounds = pd.read_parquet(found.folder(variant) / "rounds.parquet")
        assert row[variant] == pytest.approx(rounds["distance"].iloc[-1])
        assert row[f"{variant}_single_100"] == pytest.approx(100 * (1 - row[variant] / row["single_100"]))
    assert row["single_100_of_halving"] != row["single_100"]


def test_the_command_runs_its_cells_in_processes_and_refuses_in_a_line(cell, tmp_path, monkeypatch, capsys):
    found, _ = cell
    path = tmp_path / "llm.yaml"
    path.write_text(yaml.safe_dump(found.content))
    options = [str(path), "--emotions", "love", "--seeds", "1", "--out", str(found.root)]
    monkeypatch.setattr(sys, "argv", ["llm_cells", *options])
    llm_cells.main()
    assert capsys.readouterr().out == "1 of 1: love, seed 0\n"
    monkeypatch.setattr(sys, "argv", ["llm_cells", *options, "llm.epochs=2"])
    with pytest.raises(SystemExit) as ended:
        llm_cells.main()
    assert ended.value.code == 2
    check_line(capsys.readouterr().err, ("llm_cells: ", "this one holds results of another configuration"))
    monkeypatch.setattr(sys, "argv", ["llm_cells", *options, "llm.rank=0"])
    with pytest.raises(SystemExit) as ended:
        llm_cells.main()
    assert ended.value.code == 2
    check_line(capsys.readouterr().err, ("llm_cells: ", "llm.rank = 0"))
