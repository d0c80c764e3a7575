"""A sweep's folder: what is finished is never computed again, however the sweep was stopped."""

import io

import pandas as pd
import pytest
from rich.console import Console

from crowd_sim.cli.sweep import sweep as sweep_command
from crowd_sim.commands import IN_PROCESS
from crowd_sim.commands import batches as sweeping
from crowd_sim.commands.search import search
from crowd_sim.engine import simulate
from crowd_sim.errors import InputError
from crowd_sim.host import InProcess
from crowd_sim.searches.plan import Search
from crowd_sim.sweeps.batch import TABLES
from crowd_sim.sweeps.plan import Sweep
from crowd_sim.tables import rounds_table, workers_table
from crowd_sim.tasks.load import load_task

CONTENT = {
    "runs": 2,
    "tournament": {"rounds": 4},
    "valuation": {"budget": 300, "kernel_shap_budget": 200},
    "actors": {"sweep": {"max_runs": 4, "cpus": 0.5}},
    "sweep": {
        "crowd": {"n_workers": [8, 12]},
        "tournament": {"grouping": ["random", "interleaved"], "score": ["l2", "dot"]},
    },
}
PLAN = Sweep.parse(CONTENT)


def sweep(folder, plan=PLAN, address=IN_PROCESS):
    console = Console(file=io.StringIO())
    sweep_command(plan, "test", folder, address, console)
    return console.file.getvalue()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "sweep"
    sweep(folder)
    return folder


def table(folder):
    return tuple((folder / f"{name}.parquet").read_bytes() for name in ("points", "runs", "workers_sample"))


def test_a_sweep_leaves_its_table_and_figures(whole):
    points = pd.read_parquet(whole / "points.parquet")
    assert len(points) == 8
    assert list(points.columns[:3]) == ["crowd.n_workers", "tournament.grouping", "tournament.score"]
    assert points["crowd.n_workers"].tolist() == [8] * 4 + [12] * 4
    assert {path.name for path in (whole / "figures").iterdir()} == {
        "correlation_against_distance.png",
        "correlation_by_n.png",
        "points_by_combination.png",
    }
    assert (whole / "report.html").stat().st_size > 10_000


def test_batches_do_not_change_the_table(whole, tmp_path):
    plan = Sweep.parse({**CONTENT, "actors": {"sweep": {"max_runs": 100}}})
    sweep(tmp_path / "s", plan)
    assert table(tmp_path / "s") == table(whole)


def test_an_interrupted_sweep_goes_on_where_it_stopped(whole, tmp_path, monkeypatch):
    computed = []

    def interrupted(plan, batch, *rest):
        if len(computed) == 2:
            raise KeyboardInterrupt
        computed.extend(batch.tolist())
        return sweeping_run_batch(plan, batch, *rest)

    sweeping_run_batch = sweeping.run_batch
    monkeypatch.setattr(sweeping, "run_batch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        sweep(tmp_path / "s")
    assert not (tmp_path / "s" / "points.parquet").exists()
    first = list(computed)

    def counted(plan, batch, *rest):
        computed.extend(batch.tolist())
        return sweeping_run_batch(plan, batch, *rest)

    monkeypatch.setattr(sweeping, "run_batch", counted)
    said = sweep(tmp_path / "s")
    assert f"{len(first)} of 8 points are there; {8 - len(first)} to go" in said
    assert sorted(computed) == list(range(8))
    assert table(tmp_path / "s") == table(whole)


def test_a_finished_sweep_computes_nothing(whole, tmp_path, monkeypatch):
    before = table(whole)

    def never(*_):
        raise AssertionError("a finished point was computed again")

    monkeypatch.setattr(sweeping, "run_batch", never)
    sweep(whole)
    assert table(whole) == before


def test_a_damaged_part_is_set_aside_and_computed_again(tmp_path, whole):
    sweep(tmp_path / "s")
    parts = sorted((tmp_path / "s" / "parts" / "points").iterdir())
    cut, flipped = parts[0], parts[1]
    cut.write_bytes(cut.read_bytes()[:-40])
    content = bytearray(flipped.read_bytes())
    content[len(content) // 4] ^= 0x10
    flipped.write_bytes(bytes(content))
    (tmp_path / "s" / "points.parquet").unlink()
    sweep(tmp_path / "s")
    assert table(tmp_path / "s") == table(whole)
    assert len(list((tmp_path / "s" / "damaged").iterdir())) == 2


@pytest.mark.usefixtures("local_ray")
def test_a_sweep_on_ray_has_the_same_bytes(whole, tmp_path, monkeypatch):
    sweep(tmp_path / "s", address=None)
    assert table(tmp_path / "s") == table(whole)


def test_tables_that_are_asked_for_have_every_run(whole, tmp_path):
    """Whatever the batches are; a sweep that was made without them does its points again."""
    made = []
    for name, max_runs in (("s", 4), ("t", 100)):
        plan = Sweep.parse({**CONTENT, "actors": {"sweep": {"max_runs": max_runs}}})
        folder = tmp_path / name
        sweep_command(plan, "test", folder, IN_PROCESS, Console(file=io.StringIO()), tables=TABLES)
        assert table(folder) == table(whole)
        made.append([(folder / f"{name}.parquet").read_bytes() for name in TABLES])
    assert made[0] == made[1]
    workers, rounds = (pd.read_parquet(tmp_path / "s" / f"{name}.parquet") for name in TABLES)
    point = PLAN.points[5]
    (alone,) = simulate([point.config], load_task(point.config), InProcess())
    for found, expected in ((workers, workers_table(alone)), (rounds, rounds_table(alone))):
        own = found[(found[list(point.swept)] == list(point.swept.values())).all(axis=1)]
        pd.testing.assert_frame_equal(own[expected.columns].reset_index(drop=True), expected)


def test_a_table_that_no_sweep_has_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"--tables = 'outputs': must be of workers, rounds"):
        sweep_command(PLAN, "test", tmp_path / "s", IN_PROCESS, Console(file=io.StringIO()), tables=["outputs"])
    assert not (tmp_path / "s").exists()


@pytest.mark.usefixtures("local_ray")
def test_a_search_on_ray_has_the_bytes_of_one_in_process(tmp_path, monkeypatch):
    pytest.importorskip("optuna")
    monkeypatch.setattr("crowd_sim.report.write_report", lambda folder: folder)
    plan = Search.parse(
        {
            "runs": 10,
            "crowd": {"n_workers": 8},
            "tournament": {"rounds": 2},
            "valuation": {"method": "none"},
            "search": {"metric": "final_distance", "trials": 6, "at_once": 3, "tournament": {"n_groups": [2, 3, 4]}},
        }
    )
    for name, address in (("here", "none"), ("there", None)):
        search(plan, tmp_path / name, "", ray_address=address)
    for table in ("trials.parquet", "best.yaml", "summary.json"):
        assert (tmp_path / "here" / table).read_bytes() == (tmp_path / "there" / table).read_bytes()
