"""Invariant 6: bad input is refused before anything starts, in one line, with exit status 2, and nothing is written."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
import pytest

from crowd_sim import load_config
from crowd_sim.cli.options import Overrides
from crowd_sim.integrity import sealed_yaml
from tests.bad_input.command import CONFIGURATION, IN_PROCESS, SWEEP, call, check_line, snapshot

TOP = "allowed here: seed, runs, crowd, tournament, valuation, actors"
OWN = "or user-defined as package.module:Name"
LISTS = "must list values, for example sweep.crowd.n_workers=[25,75]"
FIELD_VALUE = "must be field=value, for example crowd.n_workers=1000"
INTEGER = "must be a valid integer"
NUMBER = "must be a valid number"
TEXT = "must be a valid string"
AT_LEAST_1 = "must be greater than or equal to 1"


@pytest.fixture
def refused(tmp_path, monkeypatch, capsys) -> Callable[..., None]:
    """Runs a command in an empty working folder and asserts that it is refused as the invariant says."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CROWD_SIM_DATA", raising=False)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setattr(sys, "path", list(sys.path))
    Path("run.yaml").write_text(CONFIGURATION)
    Path("sweep.yaml").write_text(SWEEP)

    def check(*arguments: str, says: tuple[str, ...]) -> None:
        before = snapshot(tmp_path)
        status = call(arguments)
        stderr = capsys.readouterr().err
        assert status == 2, stderr
        check_line(stderr, says)
        assert snapshot(tmp_path) == before

    return check


@pytest.mark.parametrize(
    ("override", "says"),
    [
        # unknown keys, at every level
        ("foo=1", ("foo = 1", "unknown key", TOP)),
        ("workers=3", ("workers = 3", "unknown key; perhaps crowd.n_workers;", TOP)),
        ("crowd.foo=1", ("crowd.foo = 1", "unknown key", "allowed here: source, path, target")),
        ("tournament.foo=x", ("tournament.foo = 'x'", "unknown key", "allowed here: rounds, n_groups")),
        (
            "valuation.foo=[1]",
            ("valuation.foo = [1]", "unknown key", "allowed here: method, budget, kernel_shap_budget"),
        ),
        (
            "actors.foo=1",
            ("actors.foo = 1", "unknown key", "allowed here: crowd, trainers, generators, evaluators, sweep"),
        ),
        (
            "actors.crowd.foo=1",
            ("actors.crowd.foo = 1", "unknown key", "allowed here: number, cpus, gpus"),
        ),
        (
            "actors.sweep.foo=1",
            ("actors.sweep.foo = 1", "unknown key", "allowed here: cpus, gpus, resources, max_runs"),
        ),
        ("sweep.runs=[1,2]", ("configuration = 'run.yaml'", "has a key sweep", "`crowd-sim sweep`")),
        ("1=2", ("1 = 2", "unknown key", TOP)),
        (
            "tournament.nix=1",
            ("tournament.nix = 1: unknown key; allowed here", "rounds"),
        ),  # whose group alone is like it
        ("Tournament.rounds=3", ("Tournament = ", "unknown key; perhaps tournament; allowed here")),
        ("actors.evaluator.cpus=1", ("actors.evaluator = ", "unknown key; perhaps actors.evaluators; allowed here")),
        ("format=2", ("format = '2': must be left out", "folder of results")),
        ("fingerprint=x", ("fingerprint = 'x': must be left out", "folder of results")),
        ("crowd..n_workers=3", ("override = 'crowd..n_workers=3'", FIELD_VALUE)),
        (".seed=3", ("override = '.seed=3'", FIELD_VALUE)),
        ("payment.budget=0", ("payment.budget = 0: must be greater than 1e-100",)),
        # wrong types
        ("runs=abc", ("runs = 'abc'", INTEGER)),
        ("runs=true", ("runs = True", INTEGER)),
        ("runs=2.0", ("runs = 2.0", INTEGER)),
        ("runs='3'", ("runs = '3'", INTEGER)),
        ("runs=[1]", ("runs = [1]", INTEGER)),
        ("runs=010", ("override = 'runs=010'", "must be a decimal number")),
        ("tournament.step=1:30", ("override = 'tournament.step=1:30'", "must be a decimal number")),
        ("runs=null", ("runs: is null", INTEGER)),
        ("runs=", ("runs: is null", INTEGER)),
        ("runs=.inf", ("runs = inf", INTEGER)),
        ("crowd.n_workers.x=1", ("crowd.n_workers = {'x': 1}", INTEGER)),
        ("crowd.source=5", ("crowd.source = 5", TEXT)),
        ("crowd.source=null", ("crowd.source: is null", TEXT)),
        ("crowd.path=5", ("crowd.path = 5", TEXT)),
        ("tournament.step=true", ("tournament.step = True", NUMBER)),
        ("tournament.step='0.1'", ("tournament.step = '0.1'", NUMBER)),
        ("tournament.score=[l1]", ("tournament.score = ['l1']", TEXT)),
        ("crowd=3", ("crowd = 3", "must be a group of fields: source, path, target")),
        ("crowd=null", ("crowd: is null", "must be a group of fields: source, path, target")),
        ("crowd=[1]", ("override = 'crowd=[1]'", "a list cannot take the place of a group of fields")),
        # out of range
        ("crowd.n_workers=0", ("crowd.n_workers = 0", AT_LEAST_1)),
        ("crowd.n_workers=-5", ("crowd.n_workers = -5", AT_LEAST_1)),
        ("crowd.n_workers=100000001", ("crowd.n_workers = 100000001", "less than or equal to 100000000")),
        ("tournament.n_groups=7", ("tournament.n_groups = 7", "must be at most crowd.n_workers, 6")),
        ("tournament.n_groups=0", ("tournament.n_groups = 0", AT_LEAST_1)),
        ("tournament.rounds=0", ("tournament.rounds = 0", AT_LEAST_1)),
        ("tournament.rounds=-3", ("tournament.rounds = -3", AT_LEAST_1)),
        (f"tournament.rounds={10**30}", (f"tournament.rounds = {10**30}", "less than or equal to 1000000")),
        ("runs=0", ("runs = 0", AT_LEAST_1)),
        ("seed=-1", ("seed = -1", "must be greater than or equal to 0")),
        (f"seed={2**63}", (f"seed = {2**63}", f"must be less than {2**63}")),
        (f"crowd.seed={10**60}", (f"crowd.seed = {10**60}", f"must be less than {2**63}")),
        ("seed=" + "9" * 5000, ("override = 'seed=999", "cannot be applied")),
        ("crowd.chunk_size=0", ("crowd.chunk_size = 0", AT_LEAST_1)),
        (f"crowd.chunk_size={2**70}", (f"crowd.chunk_size = {2**70}", "less than or equal to 100000000")),
        ("tournament.step=0", ("tournament.step = 0", "must be greater than 0")),
        ("tournament.step=1.5", ("tournament.step = 1.5", "must be less than or equal to 1")),
        ("tournament.step=.nan", ("tournament.step = nan", "must be a finite number")),
        ("tournament.step=.inf", ("tournament.step = inf", "must be a finite number")),
        ("tournament.mistake_probability=-0.1", ("tournament.mistake_probability = -0.1", "or equal to 0")),
        ("tournament.mistake_probability=1.1", ("tournament.mistake_probability = 1.1", "or equal to 1")),
        ("tournament.convergence_distance=-1", ("tournament.convergence_distance = -1", "or equal to 0")),
        ("tournament.initial_range=[5,0]", ("tournament.initial_range = [5, 0]", "[low, high] with low ≤ high")),
        ("tournament.initial_range=[1]", ("tournament.initial_range = [1]", "must be [low, high]")),
        ("tournament.initial_range=[1,2,3]", ("tournament.initial_range = [1, 2, 3]", "must be [low, high]")),
        ("tournament.initial_range=3", ("tournament.initial_range = 3", "must be [low, high]")),
        ("tournament.initial_range=[0,x]", ("tournament.initial_range.1 = 'x'", NUMBER)),
        ("tournament.initial_range=[0,1e200]", ("tournament.initial_range = [0, 1e+200]", "within ±1e+50")),
        ("actors.crowd.number=0", ("actors.crowd.number = 0", AT_LEAST_1)),
        ("actors.trainers.cpus=-0.5", ("actors.trainers.cpus = -0.5", "must be greater than or equal to 0")),
        ("actors.evaluators.gpus=.nan", ("actors.evaluators.gpus = nan", "must be a finite number")),
        ("actors.trainers.gpus=1.5", ("actors.trainers.gpus = 1.5", "must be a whole number where it is more than 1")),
        ("actors.sweep.gpus=2.5", ("actors.sweep.gpus = 2.5", "must be a whole number where it is more than 1")),
        ("actors.crowd.resources={TPU: 1.5}", ("actors.crowd.resources = {'TPU': 1.5}", "TPU must be a whole number")),
        ("actors.crowd.cpus=0.00001", ("actors.crowd.cpus = 1e-05", "must be 0 or at least 0.0001")),
        ("actors.evaluators.gpus=0.00001", ("evaluators.gpus = 1e-05", "must be 0 or at least 0.0001")),
        ("actors.sweep.resources={x: 0.00001}", ("sweep.resources.x = 1e-05", "must be 0 or at least 0.0001")),
        ("actors.sweep.cpus=0", ("actors.sweep.cpus = 0", "must be greater than 0")),
        ("actors.sweep.max_runs=0", ("actors.sweep.max_runs = 0", AT_LEAST_1)),
        ("valuation.budget=0", ("valuation.budget = 0", AT_LEAST_1)),
        (f"valuation.budget={10**30}", (f"valuation.budget = {10**30}", "or equal to 1000000000000")),
        ("valuation.kernel_shap_budget=-1", ("valuation.kernel_shap_budget = -1", "or equal to 0")),
        # names that do not exist
        ("crowd.selection=best", ("crowd.selection = 'best'", "must be 'first' or 'random'")),
        ("crowd.source=nope", ("crowd.source = 'nope'", "must be one of synthetic, movielens, vectors", OWN)),
        ("tournament.grouping=nope", ("grouping = 'nope'", "one of random, epsilon_greedy, interleaved", OWN)),
        ("tournament.score=nope", ("tournament.score = 'nope'", "must be one of l2, l1, dot, squared_l2", OWN)),
        ("tournament.reward=nope", ("tournament.reward = 'nope'", "must be one of rank", OWN)),
        ("valuation.method=nope", ("valuation.method = 'nope'", "must be one of auto, chains, closed_form, exact")),
        ("valuation.method=a:b", ("valuation.method = 'a:b'", "must be one of auto, chains, closed_form")),
        ("tournament.score=no.such:f", ("tournament.score = 'no.such:f'", "No module named 'no'", "importable")),
        ("tournament.score=numpy:nope", ("tournament.score = 'numpy:nope'", "no attribute 'nope'", "importable")),
        ("tournament.score=numpy:pi", ("tournament.score = 'numpy:pi'", "must name something callable")),
        ("tournament.score=..x:y", ("tournament.score = '..x:y'", "must be package.module:Name")),
        ("tournament.reward=:f", ("tournament.reward = ':f'", "must be package.module:Name")),
        # overrides that are none
        ("nofield", ("override = 'nofield'", FIELD_VALUE)),
        ("=1", ("override = '=1'", FIELD_VALUE)),
        ("seed=???", ("override = 'seed=???'", FIELD_VALUE)),
        ("crowd.n_workers=[1", ("override = 'crowd.n_workers=[1'", "cannot be applied", "expected ',' or ']'")),
        ("crowd.n_workers={", ("override = 'crowd.n_workers={'", "cannot be applied")),
        ("seed=" + "[" * 2000 + "]" * 2000, ("override = 'seed=[[", "cannot be applied")),
        ("seed=${nope}", ("seed", "cannot be resolved", "'nope' not found")),
        ("seed=${seed}", ("seed", "cannot be resolved", "Recursive interpolation")),
        ("seed=${oc.env:NO_SUCH_VARIABLE}", ("seed", "cannot be resolved", "'NO_SUCH_VARIABLE' not found")),
    ],
)
def test_an_override_is_refused(refused, override, says):
    refused("run", "run.yaml", override, *IN_PROCESS, says=says)


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["valuation.method=exact", "crowd.n_workers=21"], ("valuation.method = 'exact'", "at most 20 workers", "21")),
        (
            ["valuation.method=closed_form", "tournament.score=l2"],
            ("valuation.method = 'closed_form'", "needs a score with a closed form: dot, squared_l2"),
        ),
        (
            ["tournament.score=l2", "valuation.budget=19"],
            ("valuation.budget = 19", "at least 20 for stratified with 6 workers"),
        ),
        (
            ["tournament.score=l2", "valuation.budget=5000", "crowd.n_workers=5000"],
            ("valuation.budget = 5000", "at least 5152 for stratified with 5000 workers"),
        ),
        (
            ["valuation.method=permutation", "valuation.budget=11"],
            ("valuation.budget = 11", "at least 12 for permutation with 6 workers"),
        ),
        (
            ["valuation.method=kernel_shap", "valuation.budget=11"],
            ("valuation.budget = 11", "at least 12 for kernel_shap with 6 workers"),
        ),
        (
            ["valuation.kernel_shap_budget=11"],
            ("valuation.kernel_shap_budget = 11", "at least 12 for kernel_shap with 6 workers", "0 leaves"),
        ),
        # two wrong fields: the first one is named
        (["runs=0", "seed=-1"], ("seed = -1",)),
        (["crowd.source=movielens"], ("crowd.path", "ratings.csv and movies.csv", "CROWD_SIM_DATA")),
        (
            ["crowd.source=movielens", "crowd.path=none"],
            ("crowd.path = 'none'", "no folder", "ratings.csv and movies.csv"),
        ),
        (["crowd.source=vectors"], ("crowd.path", "a CSV or Parquet file")),
        (["crowd.path=people.csv"], ("crowd.path = 'people.csv'", "must be left out with crowd.source=synthetic")),
        (["crowd.source=vectors", "crowd.path=none.csv"], ("crowd.path = 'none.csv'", "a file that exists")),
        (["crowd.source=vectors", "crowd.path=run.yaml"], ("crowd.path = 'run.yaml'", "ends in .csv, .tsv, .parquet")),
    ],
)
def test_a_combination_is_refused(refused, overrides, says):
    refused("run", "run.yaml", *overrides, *IN_PROCESS, says=says)


def test_a_folder_of_movielens_in_the_environment_is_named(refused, monkeypatch):
    monkeypatch.setenv("CROWD_SIM_DATA", "none")
    says = ("CROWD_SIM_DATA = 'none'", "no folder", "ratings.csv and movies.csv")
    refused("run", "run.yaml", "crowd.source=movielens", *IN_PROCESS, says=says)


@pytest.mark.parametrize(
    ("module", "content", "says"),
    [
        ("raises", "raise RuntimeError('boom\\nagain')", ("RuntimeError: boom again",)),
        ("ends", "import sys; sys.exit(3)", ("SystemExit: 3",)),
        ("is_no_python", "def (", ("SyntaxError",)),
        ("imports_nothing", "import no_such_module_either", ("No module named 'no_such_module_either'",)),
    ],
)
def test_a_strategy_that_cannot_be_imported_is_refused(refused, module, content, says):
    Path(f"bad_input_{module}.py").write_text(content)
    name = f"bad_input_{module}:f"
    says = (f"tournament.score = '{name}'", "cannot be loaded", "must be package.module:Name", *says)
    refused("run", "run.yaml", f"tournament.score={name}", *IN_PROCESS, says=says)


def test_a_source_that_returns_something_else_is_refused(refused):
    Path("bad_input_source.py").write_text("def five(path, n_workers, seed): return 5")
    says = (
        "crowd.source = 'bad_input_source:five'",
        "returned int; must return a crowd_sim.crowd.population.Population",
    )
    refused("run", "run.yaml", "crowd.source=bad_input_source:five", *IN_PROCESS, says=says)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", ("configuration = 'x.yaml'", "must be a mapping of fields to values")),
        (b"# nothing\n", ("configuration = 'x.yaml'", "must be a mapping of fields to values")),
        (b"- 1\n", ("configuration = 'x.yaml'", "must be a mapping of fields to values")),
        (b"3\n", ("configuration = 'x.yaml'", "must be a mapping of fields to values")),
        (b"abc\n", ("abc", "unknown key", TOP)),
        (b"seed: 0\nruns: [1\n", ("x.yaml:3", "is not YAML")),
        (b"seed: 0\n\truns: 1\n", ("x.yaml:2", "is not YAML", "tab")),
        (b"seed: 0\nseed: 1\n", ("x.yaml:2", "is not YAML", "duplicate key seed")),
        (b"seed: 0\n---\nseed: 1\n", ("x.yaml:2", "is not YAML", "another document")),
        (b"seed: !!python/object:os.system x\n", ("x.yaml:1", "is not YAML", "os.system")),
        (b"seed: 0\nruns: \xff\n", ("x.yaml:2", "must be text in UTF-8")),
        (CONFIGURATION.encode("utf-16"), ("x.yaml:1", "must be text in UTF-8")),
        (b"\x00\x01\x02", ("x.yaml", "is not YAML", "control characters")),
        (b"x: " + b"[" * 2000 + b"]" * 2000, ("x.yaml", "is not YAML")),
        (b"seed: " + b"9" * 5000, ("x.yaml", "is not YAML")),
        (b"seed: ${\n", ("x.yaml", "is not YAML")),
        (b"seed: 0\r\nruns: x\r\n", ("runs = 'x'", INTEGER)),
        (b"\xef\xbb\xbfruns: x\n", ("runs = 'x'", INTEGER)),
        (
            b"crowd.n_workers: 3\n",
            (
                "crowd.n_workers = 3",
                "unknown key; perhaps n_workers in the group crowd, as in crowd: {n_workers: …}",
                TOP,
            ),
        ),
        (
            b"a: &a [x, x, x, x, x, x, x, x, x, x]\n"
            + b"".join(b"%c: &%c [%s]\n" % (c + 1, c + 1, b", ".join([b"*%c" % c] * 10)) for c in range(97, 101)),
            ("x.yaml", "is not YAML: its aliases stand for too many values"),
        ),
        (b"runs: 010\n", ("x.yaml:1 = '010'", "must be a decimal number (YAML takes it for one of base 8)")),
        (b"seed: 0\nruns: 1:30\n", ("x.yaml:2 = '1:30'", "must be a decimal number", "base 60")),
        (b"format: 99\nseed: 0\n", ("format = 99", "must be left out: it is what a folder of results says")),
        (b"versions: {ray: '9'}\nseed: 0\n", ("versions", "must be left out")),
        (b"format: 99\nfingerprint: abc\nseed: 0\n", ("format = 99", "must be at most 3")),
        (b"crowd: [1]\n", ("crowd = [1]", "must be a group of fields")),
        (b"crowd: {path: ${nope}x}\n", ("x.yaml:1", "is not YAML")),
        (b"crowd: {path: '${nope}x'}\n", ("crowd.path", "cannot be resolved", "'nope' not found")),
    ],
)
def test_a_configuration_file_is_refused(refused, content, says):
    Path("x.yaml").write_bytes(content)
    refused("run", "x.yaml", *IN_PROCESS, says=says)


def test_a_configuration_that_is_not_there_or_a_folder_is_refused(refused):
    refused("run", "quickstar", *IN_PROCESS, says=("'quickstar': is no file, perhaps quickstart; must be",))
    for command in ("run", "sweep"):
        for name in ("no.yaml", "no"):
            refused(
                command,
                name,
                *IN_PROCESS,
                says=(f"configuration = '{name}'", "is no file", "`crowd-sim configs` lists"),
            )
    refused("run", "a/no.yaml", *IN_PROCESS, says=("configuration = 'a/no.yaml'", "cannot be read", "No such file"))
    refused("run", "x" * 300, *IN_PROCESS, says=("configuration = 'xxx", "is no file; must be a YAML file"))
    Path("folder.yaml").mkdir()
    refused("run", "folder.yaml", *IN_PROCESS, says=("configuration = 'folder.yaml'", "cannot be read", "directory"))


MOVIES = "movieId,title,genres\n1,A,Drama\n2,B,Comedy|Drama\n"
RATINGS = "userId,movieId,rating,timestamp\n" + "".join(f"{u},{1 + u % 2},{1 + u % 4}.5,1\n" for u in range(1, 12))
BROKEN = "rating must be a number from 0.5 to 5.0"


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"ratings.csv": None}, ("ml/ratings.csv", "must be a file that exists")),
        ({"movies.csv": None}, ("ml/movies.csv", "must be a file that exists")),
        ({"ratings.csv": RATINGS + "5,1,abc,1\n"}, ("ml/ratings.csv:13", BROKEN, "it is 'abc'")),
        ({"ratings.csv": RATINGS + "5,1,9,1\n"}, ("ml/ratings.csv:13", BROKEN, "it is '9'")),
        ({"ratings.csv": RATINGS + "5,1,nan,1\n"}, ("ml/ratings.csv:13", BROKEN, "it is 'nan'")),
        ({"ratings.csv": RATINGS + "5,1\n"}, ("ml/ratings.csv:13", "4 fields are needed, there are 2")),
        ({"ratings.csv": RATINGS + "x,1,1,1\n"}, ("ml/ratings.csv:13", "userId must be a whole number, it is 'x'")),
        ({"ratings.csv": RATINGS + "5,99,1,1\n"}, ("ml/ratings.csv:13", "movieId 99 is not in movies.csv")),
        ({"ratings.csv": RATINGS + '5,1,"3,1\n'}, ("ml/ratings.csv:13", "a readable line of CSV")),
        (
            {"ratings.csv": RATINGS.replace("rating,", "stars,")},
            ("ml/ratings.csv:1", "column 'rating' is missing", "stars"),
        ),
        ({"ratings.csv": ""}, ("ml/ratings.csv", "a header line and at least one row", "empty")),
        ({"ratings.csv": RATINGS.splitlines()[0] + "\n"}, ("ml/ratings.csv", "at least one row below the header")),
        ({"movies.csv": ""}, ("ml/movies.csv", "a header line and at least one row")),
        ({"movies.csv": MOVIES + "x,C,Drama\n"}, ("ml/movies.csv:4", "movieId", "'x'")),
        ({"movies.csv": MOVIES + "1,C,Drama\n"}, ("ml/movies.csv:4", "earlier line")),
    ],
)
def test_movielens_is_refused(refused, files, says):
    folder = Path("ml")
    folder.mkdir()
    for name, text in ({"movies.csv": MOVIES, "ratings.csv": RATINGS} | files).items():
        if text is not None:
            (folder / name).write_text(text)
    refused("run", "run.yaml", "crowd.source=movielens", "crowd.path=ml", *IN_PROCESS, says=says)


def test_more_workers_than_the_source_has_are_refused(refused):
    Path("movies.csv").write_text(MOVIES)
    Path("ratings.csv").write_text(RATINGS)
    arguments = ("run", "run.yaml", "crowd.source=movielens", "crowd.path=.", "crowd.n_workers=11", *IN_PROCESS)
    refused(
        *arguments, says=("crowd.n_workers = 11: must be 1 to 10: there are 11 people", "one of them is the target")
    )


VECTORS = "worker,a,b\n" + "".join(f"w{i},{i},{i * i % 7}\n" for i in range(8))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (VECTORS + "x,nan,1\n", ("v.csv:10", "a must be a finite number, it is 'nan'")),
        (VECTORS + "x,1,inf\n", ("v.csv:10", "b must be a finite number, it is 'inf'")),
        (VECTORS + "x,1e999,1\n", ("v.csv:10", "a must be a finite number, it is '1e999'")),
        (VECTORS + "x,much,1\n", ("v.csv:10", "a must be a finite number, it is 'much'")),
        (VECTORS + "x,,1\n", ("v.csv:10", "a must be a finite number, it is ''")),
        (VECTORS + "x,1\n", ("v.csv:10", "3 fields are needed, there are 2")),
        (VECTORS + "x,1,2,3\n", ("v.csv:10", "3 fields are needed, there are 4")),
        (VECTORS + "w1,1,1\n", ("v.csv:10", "worker must be a name that comes only once, it is 'w1'")),
        (VECTORS + ",1,1\n", ("v.csv:10", "worker must be a name that comes only once, it is ''")),
        (VECTORS + "x,1e60,1\n", ("v.csv: worker 'x', a = 1e+60", "must be within ±1e+50")),
        ("worker,a,b\n", ("v.csv", "at least one row below the header is needed")),
        ("", ("v.csv", "a header line and at least one row are needed")),
        ("worker\nx\n", ("v.csv", "at least one feature column is needed")),
        ("a,a\n1,2\n", ("v.csv:1 = 'a'", "must come only once")),
        ("worker,a\nx,1\n", ("crowd.n_workers = 6", "at least 2 people are needed", "there are 1")),
        (VECTORS.replace("w1,", "w1;"), ("v.csv:3", "3 fields are needed, there are 2")),
    ],
)
def test_vectors_are_refused(refused, content, says):
    Path("v.csv").write_text(content)
    refused("run", "run.yaml", "crowd.source=vectors", "crowd.path=v.csv", *IN_PROCESS, says=says)


def test_vectors_in_parquet_are_refused(refused):
    arguments = ("run", "run.yaml", "crowd.source=vectors", "crowd.path=v.parquet", *IN_PROCESS)
    pd.DataFrame({"a": [1.0, np.nan, 3.0]}).to_parquet("v.parquet")
    refused(*arguments, says=("v.parquet:1", "a must be a finite number"))
    pd.DataFrame({"a": ["x", "y"]}).to_parquet("v.parquet")
    refused(*arguments, says=("v.parquet", "column 'a' must hold numbers"))
    Path("v.parquet").write_bytes(Path("v.parquet").read_bytes()[:-30])
    refused(*arguments, says=("v.parquet", "a readable Parquet file is needed"))


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["sweep=null"], ("sweep", LISTS)),
        (["sweep=3"], ("sweep = 3", LISTS)),
        (["sweep=[]"], ("override = 'sweep=[]'", "a list cannot take the place of a group of fields")),
        (["sweep.crowd.n_workers=[]"], ("sweep.crowd.n_workers = []", LISTS)),
        (["sweep.crowd.n_workers=5"], ("sweep.crowd.n_workers = 5", LISTS)),
        (["sweep.crowd.n_workers=[4,4]"], ("sweep.crowd.n_workers = [4, 4]", "must not list a value twice")),
        (["sweep.nope=[1,2]"], ("sweep.nope = 1", "unknown key", TOP)),
        (["sweep.crowd.nope=[1,2]"], ("sweep.crowd.nope = 1", "unknown key", "allowed here: source, path")),
        (["sweep.sweep.runs=[1]"], ("sweep.sweep = {'runs': 1}", "unknown key", TOP)),
        (["sweep.crowd.n_workers=[4,x]"], ("sweep.crowd.n_workers = 'x'", INTEGER)),
        (["sweep.crowd.n_workers=[4,0]"], ("sweep.crowd.n_workers = 0", AT_LEAST_1)),
        (["sweep.seed=[1,-1]"], ("sweep.seed = -1", "must be greater than or equal to 0")),
        (["sweep.tournament.step=[0.1,.nan]"], ("sweep.tournament.step = nan", "must be a finite number")),
        (["sweep.seed.x=[1]"], ("sweep.seed.x = 1", "cannot be swept", "seed is not a group of fields")),
        (["sweep.actors.crowd.number=[1,2]"], ("sweep.actors.crowd.number", "cannot be swept")),
        (["sweep.tournament.n_groups=[2,5]"], ("sweep.tournament.n_groups = 5", "at most crowd.n_workers, 4")),
        (["sweep.crowd.n_workers=[1]"], ("tournament.n_groups = 2", "at most crowd.n_workers, 1")),
        (["sweep.valuation.method=[auto,nope]"], ("sweep.valuation.method = 'nope'", "must be one of auto")),
        (["valuation.method=closed_form"], ("valuation.method = 'closed_form'", "closed form: dot, squared_l2")),
        (
            ["sweep.valuation.kernel_shap_budget=[0,100,11]"],
            ("sweep.valuation.kernel_shap_budget = 11", "at least 12 for kernel_shap with 6 workers"),
        ),
        (
            ["sweep.crowd.n_workers=[4,5000]", "valuation.budget=5000"],
            ("valuation.budget = 5000", "at least 5152 for stratified with 5000 workers"),
        ),
        (["sweep.crowd.source=[synthetic,movielens]"], ("crowd.path", "CROWD_SIM_DATA")),
        (["foo=1"], ("foo = 1", "unknown key", TOP)),
        (["runs=0"], ("runs = 0", AT_LEAST_1)),
        (
            [
                f"sweep.{field}={list(range(1, 501))}"
                for field in ("seed", "crowd.seed", "tournament.convergence_distance")
            ],
            ("sweep", "500,000,000 points", "at most 100,000,000"),
        ),
    ],
)
def test_a_sweep_is_refused(refused, overrides, says):
    refused("sweep", "sweep.yaml", *overrides, *IN_PROCESS, says=says)


def test_a_run_s_configuration_is_no_sweep(refused):
    refused("sweep", "run.yaml", *IN_PROCESS, says=("sweep", LISTS, "is for `crowd-sim run`"))
    refused("sweep", "quickstart", *IN_PROCESS, says=("sweep", LISTS, "is for `crowd-sim run`"))


@pytest.mark.parametrize("configuration", ["sweep.yaml", "paper_sweep"])
def test_a_sweep_is_no_run_s_configuration(refused, configuration):
    says = (f"configuration = '{configuration}'", "has a key sweep", "`crowd-sim sweep`")
    refused("run", configuration, *IN_PROCESS, says=says)


def a_file(path: Path) -> Path:
    path.write_text("mine")
    return path


def a_foreign_folder(path: Path) -> Path:
    path.mkdir()
    a_file(path / "notes.txt")
    return path


def a_broken_one(content: str) -> Callable[[Path], Path]:
    def make(path: Path) -> Path:
        path.mkdir()
        (path / "config.yaml").write_text(content)
        return path

    return make


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (a_file, ("--out = ", "out'", "must be a folder that can be written", "File exists")),
        (lambda path: a_file(path) / "below", ("out/below'", "must be a folder that can be written")),
        (lambda path: Path("/proc/nowhere/at/all"), ("'/proc/nowhere/at/all'", "must be a folder that can be written")),
        (lambda path: path.with_name("n" * 300), ("must be a folder that can be written", "name too long")),
        (a_foreign_folder, ("out'", "must be a new or empty folder, or one this configuration has made")),
        (a_broken_one(sealed_yaml("fingerprint: abc\n")), ("out'", "another configuration (fingerprint abc)")),
        (a_broken_one("seed: 1"), ("out'", "must be a new or empty folder, or one this configuration has made")),
        (a_broken_one("[1"), ("out'", "no config.yaml that can be read")),
        (lambda path: Path("s3://bucket/out"), ("--out = 's3:/bucket/out'", "must be a folder of this machine")),
        (lambda path: Path("out\udcff"), ("--out = 'out\\udcff'", "must be a name in UTF-8")),
    ],
)
@pytest.mark.parametrize("command", ["run", "sweep"])
def test_a_folder_that_cannot_be_used_is_refused(refused, tmp_path, command, make, says):
    out = make(tmp_path / "out")
    refused(command, f"{command}.yaml", "--out", str(out), *IN_PROCESS, says=says)


@pytest.mark.parametrize("name", ["n" * 300, "n\0n", "circle"], ids=["long", "nul", "circle"])
def test_a_path_that_can_be_none_is_refused_wherever_one_is_given(tmp_path, monkeypatch, capsys, name):
    monkeypatch.chdir(tmp_path)
    Path("run.yaml").write_text(CONFIGURATION)
    for ending in ("", ".csv", ".jsonl", ".txt"):
        Path(f"circle{ending}").symlink_to(f"circle{ending}")
    texts = ("run", "llm_quickstart", "crowd.target=null", "task.prompt_template=null", *IN_PROCESS)
    for command in (
        ("run", "run.yaml", "crowd.source=vectors", f'crowd.path="{name}.csv"'.replace("\0", "\\0"), *IN_PROCESS),
        ("run", "run.yaml", "crowd.source=movielens", f'crowd.path="{name}"'.replace("\0", "\\0"), *IN_PROCESS),
        (*texts, "crowd.source=records", f'crowd.path="{name}.jsonl"'.replace("\0", "\\0")),
        ("run", f"{name}/run.yaml"),
        ("run", "--resume", name),
        ("run", "run.yaml", "--out", name, *IN_PROCESS),
        ("sweep", f"{name}/run.yaml"),
        ("status", name),
        ("verify", name),
        ("report", name),
        ("compare", name, f"{name}2"),
        ("list", name),
        ("watch", name),
        ("value", f"{name}.csv", "--target", "a", *IN_PROCESS),
        ("value", name, *IN_PROCESS),
    ):
        assert call(command) == 2, command
        check_line("\n".join(capsys.readouterr().err.splitlines()[-1:]) + "\n", ("crowd-sim: ",))


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Mapping[str, Path]:
    """A run's and a sweep's folder."""
    base = tmp_path_factory.mktemp("finished")
    folders = {}
    for command, text in (("run", CONFIGURATION), ("sweep", SWEEP)):
        path = base / f"{command}.yaml"
        path.write_text(text)
        folders[command] = base / command
        assert call([command, str(path), "--out", str(folders[command]), *IN_PROCESS]) == 0
    return folders


@pytest.mark.parametrize(("command", "other"), [("run", "sweep"), ("sweep", "run")])
def test_a_folder_of_another_configuration_is_refused(refused, finished, tmp_path, command, other):
    for made_by, override in ((command, "seed=5"), (other, "seed=0")):
        out = tmp_path / made_by
        shutil.copytree(finished[made_by], out)
        says = ("--out = ", f"{made_by}'", "another configuration", "fingerprint")
        refused(command, f"{command}.yaml", override, "--out", str(out), *IN_PROCESS, says=says)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), ("a command is needed", "`crowd-sim --help`")),
        (("nope",), ("No such command 'nope'", "`crowd-sim --help`")),
        (("data",), ("a command is needed", "`crowd-sim data --help`")),
        (("run",), ("Missing argument", "`crowd-sim run --help`")),
        (("sweep",), ("Missing argument", "`crowd-sim sweep --help`")),
        (("report",), ("Missing argument", "`crowd-sim report --help`")),
        (("run", "run.yaml", "--nope"), ("No such option: --nope", "`crowd-sim run --help`")),
        (("run", "run.yaml", "--out"), ("'--out' requires an argument",)),
        (("report", "a", "b"), ("unexpected extra argument", "b")),
        (("bench", "--runs", "0"), ("--runs", "greater than or equal to 1")),
        (("bench", "--runs", "x"), ("--runs", "valid integer")),
        (("bench", "nofield"), ("override = 'nofield'", FIELD_VALUE)),
        (("bench", "runs=0"), ("runs = 0", AT_LEAST_1)),
        (("data", "movielens", "run.yaml"), ("run.yaml", "a folder that can be written")),
    ],
)
def test_a_command_line_is_refused(refused, arguments, says):
    refused(*arguments, says=says)


@pytest.mark.parametrize(
    ("made_by", "lost", "says"),
    [
        ("run", "config.yaml", ("folder = ", "must hold config.yaml")),
        ("run", "summary.json", ("folder = ", "must hold summary.json")),
        ("run", "workers.parquet", ("folder = ", "must hold workers.parquet")),
        ("run", "rounds.parquet", ("folder = ", "the folder of a run (with rounds.parquet) or of a sweep")),
        ("sweep", "points.parquet", ("folder = ", "the folder of a run (with rounds.parquet) or of a sweep")),
        ("sweep", "config.yaml", ("folder = ", "must hold config.yaml")),
    ],
)
def test_a_report_of_half_a_folder_is_refused(refused, finished, made_by, lost, says):
    shutil.copytree(finished[made_by], "half")
    Path("half", lost).unlink()
    refused("report", "half", says=says)


@pytest.mark.parametrize(
    ("made_by", "broken", "says"),
    [
        ("run", "rounds.parquet", ("half/rounds.parquet", "is damaged")),
        ("run", "summary.json", ("half/summary.json", "must be JSON")),
        ("sweep", "points.parquet", ("half/points.parquet", "is damaged")),
    ],
)
def test_a_report_of_a_damaged_folder_is_refused(refused, finished, made_by, broken, says):
    shutil.copytree(finished[made_by], "half")
    path = Path("half", broken)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    refused("report", "half", says=says)


def test_a_report_of_a_foreign_folder_is_refused(refused, tmp_path):
    allowed = "the folder of a run (with rounds.parquet) or of a sweep (with points.parquet)"
    refused("report", "nowhere", says=("folder = 'nowhere'", "no such folder", allowed))
    a_foreign_folder(tmp_path / "foreign")
    refused("report", "foreign", says=("folder = 'foreign'", allowed))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            ("crowd_sim.cli.app", "run", "run.yaml", "tournament.rounds=-3"),
            ("crowd-sim: tournament.rounds = -3", AT_LEAST_1),
        ),
        (("crowd_sim.cli.app", "sweep", b"\xff.yaml"), ("crowd-sim: configuration = '\\udcff.yaml'", "is no file")),
        (
            ("experiments.paper.compare_vector", "nowhere"),
            ("compare_vector: folder = 'nowhere'", "must hold points.parquet"),
        ),
    ],
)
def test_a_process_is_refused(tmp_path, arguments, says):
    (tmp_path / "run.yaml").write_text(CONFIGURATION)
    before = snapshot(tmp_path)
    command = [sys.executable, "-m", *arguments]
    # `experiments` is of the checkout: an installed package has none
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 2, done.stderr
    assert done.stdout in ("", "load: modules and input\n")
    check_line(done.stderr, says)
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            ["run", "quickstart", "crowd.bad.share=0.3"],
            "crowd-sim: crowd.bad.behaviour: must be given: what they contribute (docs/attacks_behaviours.md): `honest`",
        ),
        (
            ["equilibrium", "quickstart", "--errors", "x"],
            "crowd-sim: Invalid value for '--errors': 'x' is not one of 'own', 'random'; "
            "`crowd-sim equilibrium --help` shows what is allowed\n",
        ),
    ],
)
def test_what_is_missing_or_no_choice_is_named_by_itself(arguments, says, capsys):
    assert call(arguments) == 2
    assert capsys.readouterr().err.startswith(says)


def test_numbers_that_are_none_are_refused_with_the_bounds_of_their_field(refused):
    for given in ("runs=x", "runs=2.5"):
        refused("run", "quickstart", given, says=(f"{INTEGER}, ≥ 1, ≤ 1,000,000",))
    refused(
        "run", "quickstart", "crowd.bad=[{behaviour: noise, start: x}]", says=("crowd.bad.0.start", f"{INTEGER}, ≥ 1")
    )


def test_of_an_override_given_twice_the_last_counts_as_in_hydra():
    """So a script's own overrides are changed by those that are appended to them, as `crowd-sim bench` does."""
    given = ["crowd.n_workers=10", "runs=3", "crowd.n_workers=20"]
    assert load_config("quickstart", given).crowd.n_workers == 20
    assert "of one given twice the last counts" in get_args(Overrides)[1].help
