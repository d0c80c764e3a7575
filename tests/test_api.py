"""The Python face: what each command does, from a program; whatever is wrong is one line."""

import inspect
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import crowd_sim
from crowd_sim.errors import ClusterError, InputError
from crowd_sim.valuation import TargetError
from tests.bad_input.command import IN_PROCESS, call, snapshot

SMALL = {"crowd": {"n_workers": 6}, "tournament": {"rounds": 3, "n_groups": 2}, "valuation": {"kernel_shap_budget": 0}}
VECTORS = np.random.default_rng(0).normal(size=(9, 4))
FRAME = pd.DataFrame(VECTORS, index=[f"p{i}" for i in range(9)], columns=list("abcd"))
TABLES = ("rounds.parquet", "workers.parquet", "runs.parquet", "summary.json", "config.yaml")


def tables(folder, names=TABLES):
    return {name: (folder / name).read_bytes() for name in names}


@pytest.fixture
def nothing_is_done(monkeypatch):
    """From where this returns on, no round is played and no game valued."""

    def never(*_, **__):
        raise AssertionError("done again")

    def switch():
        monkeypatch.setattr("crowd_sim.engine.play", never)
        monkeypatch.setattr("crowd_sim.valuing.shapley_many", never)

    return switch


def test_a_configuration_may_be_a_name_or_dictionaries_and_is_changed_by_fields():
    fields = {"runs": np.int64(2), "crowd__n_workers": 6, "tournament__rounds": 3, "tournament__n_groups": 2}
    named = crowd_sim.run("quickstart", valuation__method="none", **fields)
    assert (named.config.runs, named.config.crowd.n_workers, named.history.points.shape) == (2, 6, (2, 6))
    given = crowd_sim.run(SMALL, runs=2)
    again = crowd_sim.run(crowd_sim.RunConfig.parse(SMALL), runs=2)
    assert given.history.points.tobytes() == again.history.points.tobytes()
    assert "runs" not in SMALL


@pytest.mark.parametrize("config", [SMALL, "quickstart"], ids=["dictionaries", "name"])
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            {"crowd__workers": 3},
            r"^crowd\.workers = 3: unknown key; perhaps crowd\.n_workers; allowed here: source, ",
        ),
        ({"n_workers": 3}, r"^n_workers = 3: unknown key; perhaps crowd\.n_workers; allowed here: seed, "),
        ({"ray_adress": "none"}, r"^ray_adress = 'none': is no argument and no field .*; perhaps ray_address$"),
        ({"tournament__score__x": 3}, r"^tournament\.score"),
        ({"runs": object()}, r"^runs.*: (must be a number|must be a valid integer)"),
        ({"tournament__score": "no_such_module:f"}, r"^tournament\.score = 'no_such_module:f': cannot be loaded"),
        ({"out": 5}, r"^out = 5: must be the path of a folder, or None$"),
        ({"progress": 5}, r"^progress = 5: must be True, or a callable"),
        ({"ray_address": 5}, r"^ray_address = 5: must be \"none\", None"),
    ],
)
def test_what_is_wrong_is_one_line(config, arguments, says, tmp_path):
    with pytest.raises(InputError, match=says):
        crowd_sim.run(config, **{"out": tmp_path / "out", **arguments})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("config", [42, None, [SMALL], {1: 2}, {"crowd": 5}, "no such file", "paper_sweep"])
def test_what_is_no_configuration_is_one_line(config):
    with pytest.raises(InputError, match=r"^(config|1|crowd|sweep|configuration)\b"):
        crowd_sim.run(config)
    with pytest.raises(InputError, match=r"^(config|1|crowd|sweep|configuration|sweep\.runs)\b"):
        crowd_sim.sweep(config, grid={"runs": "x"})


def test_an_outcome_prints_what_a_person_can_read():
    said = str(crowd_sim.run(SMALL, runs=2)).splitlines()
    assert said[0] == "2 runs of 6 workers (task vector)"
    assert any(line.startswith("  final_distance") and "±" in line for line in said)
    assert any("unknown  (0 of 2 runs)" in line for line in said)  # Kernel SHAP was left out
    assert "pearson" not in str(crowd_sim.run(SMALL, valuation__method="none"))  # nothing was asked to be known


def test_a_folder_ends_as_the_command_leaves_it_and_is_read_when_it_is_given_again(
    tmp_path, monkeypatch, nothing_is_done
):
    monkeypatch.chdir(tmp_path)
    outcome = crowd_sim.run("quickstart", "own", runs=1, crowd__n_workers=6, valuation__budget=100)
    small = ["runs=1", "crowd.n_workers=6", "valuation.budget=100"]
    assert call(["run", "quickstart", *small, "--out", "theirs", *IN_PROCESS]) == 0
    files = [
        {path.relative_to(name) for path in (tmp_path / name).rglob("*")}
        for name in (tmp_path / "own", tmp_path / "theirs")
    ]
    assert files[0] == files[1]
    assert tables(tmp_path / "own") == tables(tmp_path / "theirs")
    nothing_is_done()
    for folder in ("own", "theirs"):
        again = crowd_sim.run("quickstart", folder, runs=1, crowd__n_workers=6, valuation__budget=100)
        assert str(again) == str(outcome)
    with pytest.raises(InputError, match="results of another configuration"):
        crowd_sim.run("quickstart", "theirs", runs=2, crowd__n_workers=6, valuation__budget=100)


def test_an_interrupted_run_goes_on(tmp_path):
    changes = {"tournament__rounds": 12, "valuation__method": "none", "actors__checkpoints__rounds": 1}
    expected = crowd_sim.run(SMALL, tmp_path / "whole", **changes)

    def stop(stage, done, total, note=""):
        del stage, total, note
        if done == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        crowd_sim.run(SMALL, tmp_path / "stopped", progress=stop, **changes)
    told = []
    outcome = crowd_sim.run(SMALL, tmp_path / "stopped", progress=lambda *news: told.append(news[:3]), **changes)
    assert next(news for news in told if news[0] == "rounds") == ("rounds", 7, 12)  # the state that it goes on with
    assert outcome.history.points.tobytes() == expected.history.points.tobytes()
    assert tables(tmp_path / "stopped") == tables(tmp_path / "whole")


def test_progress_is_shown_where_it_is_wanted(capsys):
    crowd_sim.run(SMALL)
    assert capsys.readouterr().out == ""
    crowd_sim.run(SMALL, progress=True)
    assert "rounds: 3 of 3" in capsys.readouterr().out


@pytest.mark.usefixtures("local_ray")
def test_on_ray_a_session_is_used_and_left_and_the_bits_are_the_same(tmp_path):
    import ray

    small = {f"actors__{pool}__cpus": 0.25 for pool in ("crowd", "trainers", "evaluators")}
    job = ray.get_runtime_context().get_job_id()
    alone = crowd_sim.run(SMALL, tmp_path / "alone", crowd=FRAME, **small)
    for address, out in ((None, tmp_path / "ray"), ("auto", None)):
        outcome = crowd_sim.run(SMALL, out, crowd=FRAME, ray_address=address, **small)
        assert outcome.history.points.tobytes() == alone.history.points.tobytes()
        assert outcome.values.tobytes() == alone.values.tobytes()
    assert tables(tmp_path / "ray") == tables(tmp_path / "alone")
    swept = [
        crowd_sim.sweep(
            SMALL, grid={"runs": [1]}, valuation__method="none", actors__sweep__cpus=0.25, ray_address=address
        )
        for address in ("none", None)
    ]
    pd.testing.assert_frame_equal(*(found.points for found in swept))
    assert ray.get_runtime_context().get_job_id() == job


@pytest.mark.parametrize("face", [crowd_sim.run, crowd_sim.sweep])
def test_a_cluster_that_is_not_there_is_one_line(face):
    with pytest.raises(ClusterError, match=r"^no Ray cluster at 127\.0\.0\.1:1: "):
        face(SMALL | ({"sweep": {"runs": [1]}} if face is crowd_sim.sweep else {}), ray_address="127.0.0.1:1")


def test_a_crowd_may_be_an_array_or_a_frame_or_a_file_of_the_same(tmp_path):
    FRAME.rename_axis("worker").reset_index().to_csv(tmp_path / "crowd.csv", index=False, float_format="%.17g")
    file = {"crowd__source": "vectors", "crowd__path": tmp_path / "crowd.csv"}
    outcomes = [
        crowd_sim.run(SMALL, crowd=VECTORS),
        crowd_sim.run(SMALL, crowd=VECTORS.tolist()),
        crowd_sim.run(SMALL, crowd=FRAME),
        crowd_sim.run(SMALL, crowd=FRAME.rename_axis("worker").reset_index().convert_dtypes()),
        crowd_sim.run(SMALL, **file),
    ]
    assert len({outcome.history.points.tobytes() + outcome.values.tobytes() for outcome in outcomes}) == 1
    names = [[outcome.ids[row] for row in outcome.workers[0]] for outcome in outcomes]
    assert names[0] == names[1] == [name.removeprefix("p") for name in names[2]]
    assert names[2] == names[3] == names[4]
    everyone = crowd_sim.run({}, crowd=VECTORS, tournament__rounds=1, valuation__method="none")
    assert everyone.config.crowd.n_workers == 8  # and the ninth is the target


@pytest.mark.parametrize(
    ("crowd", "says"),
    [
        (VECTORS[0], r"^crowd: must be an array \[workers, features\] .* not ndarray of shape \(4,\)"),
        (VECTORS[:, :0], r"^crowd: must have a row per worker and a column per feature; its shape is \(9, 0\)$"),
        (VECTORS[:0], r"its shape is \(0, 4\)$"),
        (VECTORS[:1], r"^tournament\.n_groups|^crowd\.n_workers"),
        (VECTORS[:3], r"^crowd\.n_workers = 6: must be 1 to 2: there are 3 people and one of them is the target$"),
        (VECTORS * np.nan, r"^crowd: worker '0', 0 = nan: must be a finite number$"),
        (VECTORS * 1e300, r"^crowd: worker '0', 0 = .*: must be within"),
        (VECTORS.astype(object), r"^crowd: must be an array .* of shape \(9, 4\) and type object"),
        (VECTORS > 0, r"^crowd: must be an array .* and type bool"),
        ([[1, 2], [3]], r"^crowd: must be an array "),
        (
            "crowd.csv",
            r"^crowd: must be an array .* not str .* a file is named by crowd.source=vectors and crowd.path$",
        ),
        ({"n_workers": 3}, r"^crowd: must be an array .* not dict"),
        (FRAME.set_axis(["x"] * 9), r"^crowd = 'x': must be the name of a worker only once$"),
        (FRAME.assign(worker="y"), r"^crowd = 'y': must be the name of a worker only once$"),
        (FRAME.set_axis([*"abca"], axis=1), r"^crowd = 'a': must be the name of a column only once$"),
        (FRAME.assign(worker=None), r"^crowd: must have a name for every worker"),
        (
            FRAME.set_index(["a", "b"]),
            r"^crowd: must have a name for every worker, in one column worker or an index of",
        ),
        (FRAME.assign(e="x"), r"^crowd: must have columns of numbers; 'e' holds "),
        (FRAME.where(FRAME > -1), r"^crowd: worker 'p\d', [abcd] = nan: must be a finite number$"),
        (FRAME.convert_dtypes().where(FRAME > -1), r"^crowd: worker 'p\d', [abcd] = nan: must be a finite number$"),
        (FRAME[[]], r"its shape is \(9, 0\)$"),
    ],
)
def test_a_crowd_that_cannot_be_used_is_one_line(crowd, says, tmp_path):
    with pytest.raises(InputError, match=says):
        crowd_sim.run(SMALL, tmp_path / "out", crowd=crowd)
    assert not list(tmp_path.iterdir())


def test_a_given_crowd_is_kept_in_the_folder_which_goes_on_with_it_alone(
    tmp_path, monkeypatch, capsys, nothing_is_done
):
    monkeypatch.chdir(tmp_path)
    outcome = crowd_sim.run(SMALL, "out", crowd=FRAME)
    pd.testing.assert_frame_equal(
        pd.read_parquet("out/crowd.parquet").set_index("worker"), FRAME, check_names=False, check_index_type=False
    )
    before = tables(tmp_path / "out")
    assert b"source: vectors" in before["config.yaml"]
    assert b"path: crowd.parquet" in before["config.yaml"]
    assert call(["value", "out", "--out", "values", *IN_PROCESS]) == 0
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").rename(tmp_path / "elsewhere" / "moved")
    monkeypatch.chdir(tmp_path / "elsewhere")
    nothing_is_done()
    assert call(["run", "--resume", "moved", *IN_PROCESS]) == 0
    for again in (crowd_sim.run("moved/config.yaml", "moved"), crowd_sim.run(SMALL, "moved", crowd=FRAME)):
        assert str(again) == str(outcome)
    assert tables(tmp_path / "elsewhere" / "moved") == before
    capsys.readouterr()
    untouched = snapshot(tmp_path)
    for other in (2 * FRAME, VECTORS):
        for accept in (False, True):
            with pytest.raises(
                InputError, match=r"^crowd: must be the one that the folder was begun with, moved/crowd\.parquet"
            ):
                crowd_sim.run(SMALL, "moved", crowd=other, accept_changes=accept)
    with pytest.raises(InputError, match="results of another configuration"):
        crowd_sim.run(SMALL, "moved")
    assert snapshot(tmp_path) == untouched


def test_a_sweep_is_the_commands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    grid = {"crowd.n_workers": (5, 6), "tournament__score": ["l2", "dot"], "seed": range(2)}
    told = []
    swept = crowd_sim.sweep(SMALL, "own", grid, progress=lambda *news: told.append(news[:3]), runs=2)
    assert [news for news in told if news[0] == "points"][-1] == ("points", 8, 8)
    assert told[-1] == ("report", 2, 2)
    assert list(swept.points.columns[:3]) == ["crowd.n_workers", "tournament.score", "seed"]
    assert (len(swept.points), len(swept.runs), len(swept.failures), str(swept.out)) == (8, 16, 0, "own")
    assert (tmp_path / "own" / "report.html").exists()
    said = str(swept).splitlines()
    assert said[0] == "8 points, 16 runs"
    assert len(said) == 10
    assert "final_distance_mean" in said[1]

    (tmp_path / "sweep.yaml").write_text(
        "runs: 2\ncrowd: {n_workers: 6}\ntournament: {rounds: 3, n_groups: 2}\nvaluation: {kernel_shap_budget: 0}\n"
        "sweep: {crowd: {n_workers: [5, 6]}, tournament: {score: [l2, dot]}, seed: [0, 1]}\n"
    )
    assert call(["sweep", "sweep.yaml", "--out", "theirs", *IN_PROCESS]) == 0
    names = ("points.parquet", "runs.parquet", "workers_sample.parquet")
    assert tables(tmp_path / "own", names) == tables(tmp_path / "theirs", names)

    monkeypatch.setattr("crowd_sim.commands.batches.run_batch", None)  # nothing is computed again
    for config in ("sweep.yaml", tmp_path / "sweep.yaml"):
        again = crowd_sim.sweep(config, "theirs")
        pd.testing.assert_frame_equal(again.points, swept.points)
    with pytest.raises(InputError, match="results of another configuration"):
        crowd_sim.sweep("sweep.yaml", "theirs", grid={"seed": [0, 1, 2]})


def test_a_sweep_without_a_folder_leaves_none_and_names_points_that_failed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    swept = crowd_sim.sweep(SMALL, grid={"tournament.score": ["l2", "tests.test_api:fails"]}, valuation__method="none")
    assert swept.points["tournament.score"].tolist() == ["l2"]
    assert swept.failures["tournament.score"].tolist() == ["tests.test_api:fails"]
    assert str(swept).splitlines()[-1].startswith("1 points failed; the first: StrategyError: ")
    assert swept.out is None
    assert not list(tmp_path.iterdir())


def fails(x, target):
    raise ValueError(x, target)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({}, r"^sweep: must list values"),
        ({"grid": [1]}, r"^grid = \[1\]: must be lists of values by field"),
        ({"grid": {"runs": 3}}, r"^sweep\.runs = 3: must list values"),
        ({"grid": {"runs": [1, "x"]}}, r"^sweep\.runs = 'x'"),
        ({"grid": {"crowd.workers": [3]}}, r"^sweep\.crowd\.workers = 3: unknown key; perhaps crowd\.n_workers; "),
        ({"grid": {"runs": [1]}, "retry_faild": True}, r"; perhaps retry_failed$"),
        ({"grid": {"runs": [1]}, "out": {"runs": [1]}}, r"^out = .*: must be the path of a folder, or None$"),
    ],
)
def test_a_sweep_that_is_wrong_is_one_line(arguments, says):
    with pytest.raises(InputError, match=says):
        crowd_sim.sweep(SMALL, **arguments)


def test_values_are_the_commands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    FRAME.rename_axis("worker").reset_index().to_parquet("crowd.parquet", index=False)
    pd.DataFrame(VECTORS[3:4], columns=list("abcd")).to_parquet("goal.parquet", index=False)
    crowd_sim.run(SMALL, "out", crowd=FRAME, runs=2)
    options = ["--method", "permutation", "--budget", "40"]
    chosen = {"method": "permutation", "budget": 40}
    for number, (command, given) in enumerate(
        (
            (["out", "--run", "1"], {"crowd": "out", "run": 1}),
            (["crowd.parquet", "--target", "p3", "--seed", "5"], {"crowd": FRAME, "target": "p3", "seed": 5}),
            (["crowd.parquet", "--target", "goal.parquet"], {"crowd": FRAME, "target": VECTORS[3]}),
            (
                ["crowd.parquet", "--target", "p3", "--score", "l1"],
                {"crowd": tmp_path / "crowd.parquet", "target": "p3", "score": "l1"},
            ),
        )
    ):
        own, theirs = f"own{number}", f"theirs{number}"
        assert call(["value", *command, *options, "--out", theirs, *IN_PROCESS]) == 0
        values = crowd_sim.value(**given, **chosen, out=own)
        assert Path(own, "values.png").read_bytes() == Path(theirs, "values.png").read_bytes()
        for folder in (own, theirs):  # byte by byte, they also say what the target was called
            pd.testing.assert_frame_equal(values.table, pd.read_parquet(f"{folder}/values.parquet"))
        assert values.result.method == "permutation"
    lines = str(values).splitlines()
    assert lines[0].startswith("Shapley values by permutation, ")
    assert lines[2].split()[0] == values.table["worker"][0]
    early = crowd_sim.value(VECTORS, VECTORS[3] + 1, method="permutation", budget=400, stop=TargetError(relative=0.9))
    assert early.result.n_evaluations < 400
    for own in ({"target": VECTORS[3]}, {"score": "l1"}, {"seed": 5}):
        with pytest.raises(InputError, match=r"^(target|score|seed) = .*: must be left out with a run's folder"):
            crowd_sim.value("out", **own)
    assert call(["value", "out", "--target", "p3", *IN_PROCESS]) == 2


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({}, r"target: is needed"),
        ({"target": "nobody"}, r"target = 'nobody': must be a worker of the crowd by name"),
        ({"target": 5}, r"^target = 5: must be a worker by name, a file, or a vector of 4 finite numbers$"),
        ({"target": VECTORS[0][:2]}, r"a vector of 4 finite numbers$"),
        ({"target": VECTORS[0] * np.nan}, r"a vector of 4 finite numbers$"),
        ({"target": "p1", "score": 3}, r"^score = 3: must be one of"),
        ({"target": "p1", "method": "magic"}, r"^method = 'magic': must be one of"),
        ({"target": "p1", "budget": "x"}, r"^budget = 'x': must be an integer"),
        ({"target": "p1", "stop": 3}, r"^stop = 3: must be a rule"),
        ({"crowd": "nowhere.csv", "target": "p1"}, r"nowhere\.csv"),
        ({"crowd": FRAME * np.nan, "target": "p1"}, r"^crowd: worker 'p0', a = nan: must be a finite number$"),
    ],
)
def test_values_that_cannot_be_had_are_one_line(arguments, says):
    with pytest.raises(InputError, match=says):
        crowd_sim.value(**{"crowd": FRAME, **arguments})


def test_a_folder_that_was_handed_over_runs_nothing_without_trust(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "handed_over.py").write_text("def f(x, target):\n    return (x * target).sum(-1)\n")
    name = "handed_over:f"
    crowd_sim.run(SMALL, "out", crowd=FRAME, tournament__score=name)
    crowd_sim.sweep(SMALL, "swept", {"tournament.score": [name]}, valuation__method="none")
    del sys.modules["handed_over"]
    for face, folder in ((crowd_sim.run, "out"), (crowd_sim.sweep, "swept")):
        with pytest.raises(InputError, match=r"^(sweep\.)?tournament\.score = 'handed_over:f': is code .* trust=True"):
            face(f"{folder}/config.yaml", folder)
    with pytest.raises(InputError, match=r"^tournament\.score = 'handed_over:f': is code .* trust=True"):
        crowd_sim.value("out")
    assert "handed_over" not in sys.modules
    crowd_sim.run("out/config.yaml", "out", trust=True)
    crowd_sim.run("out/config.yaml", "out", tournament__score=name)
    crowd_sim.sweep("swept/config.yaml", "swept", trust=True)
    assert len(crowd_sim.value("out", trust=True).table) == 6


@pytest.mark.parametrize("face", [crowd_sim.run, crowd_sim.sweep, crowd_sim.value, crowd_sim.shapley])
def test_help_tells_all_arguments(face):
    said = inspect.getdoc(face)
    for name in inspect.signature(face).parameters:
        assert f"\n    {name}: " in said
    assert "\nRaises:\n    " in said


def test_the_package_is_light_and_a_run_in_this_process_needs_no_ray():
    code = (
        "import sys, crowd_sim\n"
        "heavy = ('ray', 'torch', 'pandas', 'pydantic', 'numba', 'crowd_sim.api')\n"
        "assert not [name for name in heavy if name in sys.modules]\n"
        "print(crowd_sim.run('quickstart', runs=1, tournament__rounds=2, valuation__method='none'))\n"
        "assert callable(crowd_sim.sweep) and callable(crowd_sim.value) and callable(crowd_sim.shapley)\n"
        "late = ('ray', 'torch', 'pandas', 'pyarrow', 'matplotlib')\n"  # the last three for tables and figures
        "assert not [name for name in late if name in sys.modules]\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("1 run of 75 workers (task vector)\n")


class TestSweepOfAGivenCrowd:
    @pytest.fixture(autouse=True)
    def _here(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)

    def test_it_goes_on_with_the_crowd_and_with_no_other(self):
        crowd = np.random.default_rng(0).uniform(0, 5, size=(12, 3))
        grid = {"crowd.n_workers": [5, 11]}
        swept = crowd_sim.sweep(SMALL, "own", grid, crowd=crowd)
        alone = crowd_sim.run(SMALL, crowd=crowd, crowd__n_workers=11)
        assert swept.points["final_distance_mean"].iloc[1] == alone.metrics["final_distance"].mean()
        again = crowd_sim.sweep(SMALL, "own", grid, crowd=crowd)
        pd.testing.assert_frame_equal(again.points, swept.points)
        with pytest.raises(InputError, match="must be the one that the folder was begun with"):
            crowd_sim.sweep(SMALL, "own", grid, crowd=crowd + 1)

    def test_a_folder_of_something_else_is_left_as_it_is(self):
        Path("else").mkdir()
        Path("else/notes.txt").write_text("mine")
        with pytest.raises(InputError, match="new or empty folder"):
            crowd_sim.sweep(SMALL, "else", {"seed": [0, 1]}, crowd=np.ones((3, 2)), crowd__n_workers=2)
        assert [path.name for path in Path("else").iterdir()] == ["notes.txt"]

    def test_without_a_folder(self):
        crowd = np.random.default_rng(1).uniform(0, 5, size=(9, 2))
        swept = crowd_sim.sweep(SMALL, grid={"tournament.step": [0.1, 0.2]}, crowd=crowd)
        assert len(swept.points) == 2


def test_errors_name_arguments_and_not_options(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    for face, given in ((crowd_sim.run, SMALL), (crowd_sim.sweep, SMALL | {"sweep": {"seed": [0, 1]}})):
        with pytest.raises(InputError, match=r"^out = "):
            face(given, tmp_path)
    with pytest.raises(InputError, match=r"^target"):
        crowd_sim.value(VECTORS, "nobody")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"crowd": np.ma.masked_greater(VECTORS, 1.0)}, "must be a finite number"),
        ({"ray_address": ""}, r'^ray_address.*must be "none", None'),
    ],
)
def test_what_is_hidden_or_empty_is_refused(arguments, said):
    with pytest.raises(InputError, match=said):
        crowd_sim.run(SMALL, **arguments)
