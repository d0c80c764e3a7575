"""Folders and files that were handed over: what they name is data until the command says that it may run."""

import functools
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import crowd_sim
from crowd_sim.errors import InputError
from crowd_sim.user_defined import check_users, load_object
from tests.bad_input.command import CONFIGURATION, IN_PROCESS, SWEEP, call, check_line, reseal, snapshot

# what it names leaves a trace as soon as it is imported
EVIL = """
from pathlib import Path
Path(__file__).with_name("imported").touch()
def run(x, target):
    Path(__file__).with_name("called").touch()
    return (x * target).sum(-1)
def source(path, n_workers, seed):
    from crowd_sim.crowd.sources.synthetic import draw_population
    return draw_population(n_workers + 1, seed)
def grouping(points, n_groups, draws, rounds):
    from crowd_sim.tournament.grouping import random
    return random(points, n_groups, draws, rounds)
def behaviour(worker):
    return worker.vector
def reward(points, memory, played):
    return points, memory
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a finished run."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "run.yaml").write_text(CONFIGURATION)
    assert call(["run", str(folder / "run.yaml"), "--out", str(folder / "out"), *IN_PROCESS]) == 0
    return folder / "out"


@pytest.fixture
def evil(tmp_path, monkeypatch, finished):
    """Works in a folder with a finished run, `out`, and a module of this name that leaves a trace."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    name = f"evil_{abs(hash(tmp_path))}"
    Path("run.yaml").write_text(CONFIGURATION)
    Path("sweep.yaml").write_text(SWEEP)
    shutil.copytree(finished, "out")
    Path(f"{name}.py").write_text(EVIL)
    yield name
    sys.modules.pop(name, None)


def craft(folder, field, value):
    """Have a folder's config.yaml name something."""
    path = Path(folder, "config.yaml")
    content = yaml.safe_load(path.read_text())
    *parents, leaf = field.split(".")
    node = content
    for parent in parents:
        node = node.setdefault(parent, {})
    node[leaf] = value
    reseal(path, content)


FIELDS = {
    "crowd.source": "source",
    "crowd.behaviour": "behaviour",
    "tournament.grouping": "grouping",
    "tournament.score": "run",
    "tournament.reward": "reward",
}


@pytest.mark.parametrize("with_fingerprint", [True, False])
@pytest.mark.parametrize(("field", "function"), FIELDS.items())
def test_a_resumed_folder_runs_nothing(evil, capsys, field, function, with_fingerprint):
    craft("out", field, f"{evil}:{function}")
    if not with_fingerprint:
        path = Path("out", "config.yaml")
        content = yaml.safe_load(path.read_text())
        del content["fingerprint"]
        reseal(path, content)
    shutil.copy(f"{evil}.py", "out")
    before = snapshot(Path())
    capsys.readouterr()
    assert call(["run", "--resume", "out", *IN_PROCESS]) == 2
    check_line(capsys.readouterr().err, (f"{field} = '{evil}:{function}'", "name it on the command line", "--trust"))
    assert evil not in sys.modules
    assert snapshot(Path()) == before


@pytest.mark.parametrize("allowed", ["--trust", "tournament.score={}:run"])
def test_a_folder_that_is_trusted_or_named_again_goes_on(evil, capsys, allowed):
    own = [f"tournament.score={evil}:run", "--out", "mine", *IN_PROCESS]
    assert call(["run", "run.yaml", *own]) == 0
    capsys.readouterr()
    assert call(["run", "--resume", "mine", "tournament.rounds=3", *IN_PROCESS]) == 2
    check_line(capsys.readouterr().err, (f"tournament.score = '{evil}:run'", "--trust"))
    assert call(["run", "--resume", "mine", f"tournament.grouping={evil}:run", *IN_PROCESS]) == 2  # another field
    assert call(["run", "--resume", "mine", allowed.format(evil), *IN_PROCESS]) == 0
    assert (
        call(["run", "mine/config.yaml", "--out", "mine", *IN_PROCESS]) == 2
    )  # it is the folder's wherever it is named
    with pytest.raises(InputError, match="--trust"):
        crowd_sim.load_config("mine/config.yaml")
    assert crowd_sim.load_config("mine/config.yaml", trust=True).tournament.score == f"{evil}:run"


def test_reading_a_folder_loads_nothing(evil, capsys):
    for field in FIELDS:
        craft("out", field, f"{evil}:run")
    for command in (["report", "out"], ["status", "out"]):
        assert call(command) == 0
    assert call(["value", "out", *IN_PROCESS]) == 2
    assert f"crowd.source = '{evil}:run', tournament.score = '{evil}:run'" in capsys.readouterr().err
    assert evil not in sys.modules


def test_values_need_the_source_and_the_score_alone(evil, capsys):
    behaviour, score = f"crowd.behaviour={evil}:behaviour", f"tournament.score={evil}:run"
    assert call(["run", "run.yaml", behaviour, "--out", "lazy", *IN_PROCESS]) == 0
    del sys.modules[evil]
    assert call(["value", "lazy", *IN_PROCESS]) == 0
    assert evil not in sys.modules
    assert call(["run", "run.yaml", score, "--out", "mine", *IN_PROCESS]) == 0
    capsys.readouterr()
    assert call(["value", "mine", *IN_PROCESS]) == 2
    check_line(capsys.readouterr().err, (f"tournament.score = '{evil}:run'", "--trust"))
    assert call(["value", "mine", "--trust", *IN_PROCESS]) == 0


def test_a_sweeps_folder_runs_nothing(evil, capsys):
    lists = f"sweep.tournament.score=[dot,'{evil}:run']"
    assert call(["sweep", "sweep.yaml", lists, "--out", "swept", *IN_PROCESS]) == 0
    del sys.modules[evil]
    again = ["sweep", "swept/config.yaml", "--out", "again", *IN_PROCESS]
    capsys.readouterr()
    assert call(again) == 2
    check_line(capsys.readouterr().err, (f"sweep.tournament.score = '{evil}:run'", "--trust"))
    for command in (["status", "swept"], ["report", "swept"], ["merge", "merged", "swept"]):
        assert call(command) == 0
    assert evil not in sys.modules
    assert not Path("again").exists()
    for allowed in ("--trust", lists):
        assert call([*again, allowed]) == 0


@pytest.mark.parametrize(
    "name", ["pty:spawn", "os:system", "subprocess:run", "builtins:eval", "importlib.util:find_spec"]
)
def test_nothing_of_pythons_library_is_a_strategy(evil, capsys, name):
    """A program to be run, as a source of people; nor is it with --trust."""
    Path("payload.sh").write_text("#!/bin/sh\ntouch ran\n")
    Path("payload.sh").chmod(0o755)
    Path("given.yaml").write_text(CONFIGURATION.replace("{n_workers: 6}", f"{{source: '{name}', path: ./payload.sh}}"))
    craft("out", "crowd.source", name)
    craft("out", "crowd.path", "./payload.sh")
    commands = [["run", "given.yaml"], ["run", "--resume", "out"], ["run", "run.yaml", f"crowd.source={name}"]]
    for command in [*commands, ["value", "out"]]:
        for trust in ([], ["--trust"]):
            capsys.readouterr()
            assert call([*command, *trust, *IN_PROCESS]) == 2
            says = (f"crowd.source = '{name}'", "must not be of Python's standard library")
            check_line(capsys.readouterr().err, says)
    assert not Path("ran").exists()


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Writes a module into the folder one works in, or into an installed package; its name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    made = []

    def write(content, installed=False):
        place = tmp_path / "venv" / "lib" / "site-packages" if installed else tmp_path
        place.mkdir(parents=True, exist_ok=True)
        monkeypatch.syspath_prepend(place)
        made.append(f"module_{abs(hash((tmp_path, content)))}")
        (place / f"{made[-1]}.py").write_text(content)
        return made[-1]

    yield write
    for name in made:
        sys.modules.pop(name, None)


FUNCTION = "def f(x, target):\n    return (x * target).sum(-1)\n"


@pytest.mark.parametrize(
    "content",
    [
        FUNCTION,
        f"import functools\n{FUNCTION}f = functools.partial(f)\n",
        f"import functools\n{FUNCTION}f = functools.cache(f)\n",
        "class F:\n    def __call__(self, x, target):\n        return 0\nf = F()\n",
        "class F:\n    def g(self, x, target):\n        return 0\nf = F().g\n",
        "f = lambda x, target: 0\n",
    ],
)
def test_what_is_defined_in_the_folder_one_works_in_may_be_named(module, content):
    check_users(f"{module(content)}:f")


@pytest.mark.parametrize(
    "content",
    [
        "from subprocess import Popen as f\n",
        "from os import system as f\n",
        "from functools import partial\nfrom os import system\nf = partial(system)\n",
        "f = [].append\n",
        "f = eval\n",
        "from operator import itemgetter\nf = itemgetter(0)\n",
    ],
)
def test_what_is_only_imported_from_pythons_library_may_not(module, content):
    for refuse in (load_object, check_users):
        with pytest.raises(ValueError, match=r"standard library: it is imported from"):
            refuse(f"{module(content)}:f")


def test_what_is_installed_must_be_marked_or_named_by_the_user(module, capsys):
    installed = module(FUNCTION, installed=True)
    again = module(f"from {installed} import f\n")
    marked = module("from crowd_sim import strategy\n" + FUNCTION.replace("def", "@strategy\ndef"), installed=True)
    check_users(f"{marked}:f")
    for name in (f"{installed}:f", f"{again}:f", "pandas:read_pickle", "numpy:load", "crowd_sim.files:write_bytes"):
        load_object(name)
        with pytest.raises(ValueError, match=r"must be marked by crowd_sim\.strategy, or be named on the command line"):
            check_users(name)
    Path("c.yaml").write_text(CONFIGURATION.replace("score: dot", f"score: '{installed}:f'"))
    assert call(["run", "c.yaml", "--out", "out", *IN_PROCESS]) == 2
    check_line(capsys.readouterr().err, (f"tournament.score = '{installed}:f'", "must be marked"))
    assert call(["run", "c.yaml", f"tournament.score={installed}:f", "--out", "out", *IN_PROCESS]) == 0


def test_a_configuration_is_parsed_without_importing_anything(module):
    name = module("raise AssertionError\n")
    content = {"crowd": {"behaviour": f"{name}:f"}, "tournament": {"score": f"{name}:f"}}
    assert crowd_sim.RunConfig.parse(content).tournament.score == f"{name}:f"
    assert name not in sys.modules


@pytest.mark.parametrize(
    ("content", "status", "says"),
    [
        ("def f(*_):\n    return {}['nobody']\n", 1, ("crowd.source = '{}:f' failed: KeyError('nobody')",)),
        ("def f(*_):\n    return 5\n", 2, ("crowd.source = '{}:f': returned int; must return a crowd_sim",)),
        (
            "from crowd_sim.crowd.population import Population\n"
            "def f(*_):\n    return Population([[1, float('nan')]], 'a', 'bc')\n",
            2,
            ("crowd.source = '{}:f': vectors[0, 1]", "a finite number"),
        ),
    ],
)
@pytest.mark.parametrize("command", ["run", "sweep"])
def test_a_source_that_fails_is_named(module, capsys, content, status, says, command):
    name = module(content)
    Path("c.yaml").write_text(SWEEP if command == "sweep" else CONFIGURATION)
    assert call([command, "c.yaml", f"crowd.source={name}:f", *IN_PROCESS]) == status
    *trace, line = capsys.readouterr().err.splitlines()
    for said in says:
        assert said.format(name) in line
    assert bool(trace) == (status == 1)
    if trace:
        assert trace[-1] == "KeyError: 'nobody'"


@functools.cache
def vectors():
    from crowd_sim.crowd.sources.synthetic import draw_population

    people = draw_population(9, 0)
    lines = [",".join(people.features), *(",".join(map(str, row)) for row in people.vectors.tolist())]
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def begun_in(tmp_path_factory):
    """The folder that a run was begun in, with its people's file and its folder, `runs/out`."""
    folder = tmp_path_factory.mktemp("begun")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        Path("people.csv").write_text(vectors())
        Path("run.yaml").write_text(CONFIGURATION)
        vectors_of = ["crowd.source=vectors", "crowd.path=people.csv"]
        assert call(["run", "run.yaml", *vectors_of, "--out", "runs/out", *IN_PROCESS]) == 0
    return folder


@pytest.fixture
def vector_run(tmp_path, monkeypatch, begun_in):
    """A finished run whose people are in a file of the folder that it was begun in, `a`; works in another folder, `b`."""
    shutil.copytree(begun_in, tmp_path / "a")
    (tmp_path / "b").mkdir()
    monkeypatch.chdir(tmp_path / "b")
    return Path("..", "a", "runs", "out")


def test_a_relative_path_is_found_from_another_folder(vector_run):
    before = {name: (vector_run / name).read_bytes() for name in ("config.yaml", "summary.json", "rounds.parquet")}
    assert "working_folder: ../..\n" in before["config.yaml"].decode()
    assert "path: people.csv\n" in before["config.yaml"].decode()
    (vector_run / "summary.json").unlink()
    assert call(["run", "--resume", str(vector_run), *IN_PROCESS]) == 0
    assert call(["value", str(vector_run), *IN_PROCESS]) == 0
    assert before == {name: (vector_run / name).read_bytes() for name in before}


def test_a_sweep_s_relative_path_is_found_from_another_folder(tmp_path, monkeypatch, capsys):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    monkeypatch.chdir(tmp_path / "a")
    Path("people.csv").write_text(vectors())
    Path("sweep.yaml").write_text(SWEEP)
    vectors_of = ["crowd.source=vectors", "crowd.path=people.csv"]
    assert call(["sweep", "sweep.yaml", *vectors_of, "--out", "s", *IN_PROCESS]) == 0
    before = {name: Path("s", name).read_bytes() for name in ("config.yaml", "points.parquet")}
    assert "working_folder: ..\n" in before["config.yaml"].decode()
    assert "path: people.csv\n" in before["config.yaml"].decode()
    monkeypatch.chdir(tmp_path / "b")
    Path("../a/s/points.parquet").unlink()
    assert call(["sweep", "../a/s/config.yaml", "--out", "../a/s", *IN_PROCESS]) == 0
    assert call(["merge", "merged", "../a/s"]) == 0
    assert before == {name: Path("../a/s", name).read_bytes() for name in before}
    assert Path("merged/points.parquet").read_bytes() == before["points.parquet"]
    again = crowd_sim.sweep("../a/s/config.yaml", "../a/s")
    assert len(again.points) == 4


def test_a_moved_project_or_file_is_found(vector_run, tmp_path):
    (tmp_path / "a").rename(tmp_path / "c")
    moved = tmp_path / "c" / "runs" / "out"
    assert call(["value", str(moved), *IN_PROCESS]) == 0
    (tmp_path / "c" / "people.csv").rename("people.csv")  # into the folder one works in
    assert call(["value", str(moved), *IN_PROCESS]) == 0
    assert call(["run", "--resume", str(moved), *IN_PROCESS]) == 0
    assert "working_folder: ../../../b\n" in (moved / "config.yaml").read_text()


@pytest.mark.parametrize("place", ["nowhere", "a\0b", 5, ["x"], None])
def test_a_place_that_is_none_is_passed_over(vector_run, place):
    path = vector_run / "config.yaml"
    reseal(path, yaml.safe_load(path.read_text()) | {"working_folder": place})
    Path("people.csv").write_text(vectors())
    assert call(["value", str(vector_run), *IN_PROCESS]) == 0


def test_a_path_that_the_command_gives_is_of_the_folder_one_works_in(vector_run, capsys):
    assert call(["run", "--resume", str(vector_run), "crowd.path=people.csv", *IN_PROCESS]) == 2
    check_line(capsys.readouterr().err, ("crowd.path = 'people.csv'", "a file that exists"))


def test_other_people_at_that_place_are_refused(vector_run, capsys):
    (vector_run / ".." / ".." / "people.csv").write_text(vectors().replace("1", "2"))
    for command in (["value"], ["run", "--resume"]):
        capsys.readouterr()
        assert call([*command, str(vector_run), *IN_PROCESS]) == 2


def test_a_program_starts_no_program(tmp_path):
    """The whole of it, as it was found."""
    (tmp_path / "payload.sh").write_text("#!/bin/sh\ntouch ran\n")
    (tmp_path / "payload.sh").chmod(0o755)
    (tmp_path / "c.yaml").write_text('crowd: {source: "pty:spawn", path: ./payload.sh}\n')
    command = [sys.executable, "-m", "crowd_sim.cli.app", "run", "c.yaml", *IN_PROCESS]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 2
    check_line(done.stderr, ("crowd.source = 'pty:spawn'",))
    assert not (tmp_path / "ran").exists()
