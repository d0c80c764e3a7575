"""What an installed package holds, and that it runs from a folder with packages of any name."""

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from shutil import copy, copytree, ignore_patterns

import pandas as pd
import pytest

from crowd_sim.config.shipped import shipped

ROOT = Path(__file__).parents[1]
SMALL = ["runs=1", "tournament.rounds=3", "crowd.n_workers=8", "valuation.budget=300", "valuation.kernel_shap_budget=0"]
STRATEGY = """
import numpy as np
def f(points, n_groups, draws, rounds):
    print("groups of strat")
    return np.tile(np.arange(points.shape[1]) % n_groups, (len(points), 1))
"""


def checked(*command, cwd, **environment):
    """What a command prints, once it has ended well; without what this process has for finding modules or a Ray."""
    own = {
        k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONSAFEPATH", "RAY_ADDRESS", "VIRTUAL_ENV")
    }
    command = list(map(str, command))
    done = subprocess.run(
        command, cwd=cwd, env=own | environment, capture_output=True, text=True, timeout=400, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A copy of what packages are built of: building writes beside it."""
    folder = tmp_path_factory.mktemp("source")
    for name in ("crowd_sim", "actors", "experiments"):
        copytree(ROOT / name, folder / name, symlinks=True, ignore=ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        copy(ROOT / name, folder)
    return folder


@pytest.fixture(scope="module")
def wheels(source, tmp_path_factory):
    """The sdist, the wheel that is made of it, and the one that is made of the checkout."""
    folder = tmp_path_factory.mktemp("wheels")
    build = f"from setuptools import build_meta; build_meta.build_sdist({str(folder)!r})"
    checked(sys.executable, "-c", build, cwd=source)
    (sdist,) = folder.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    unpacked = folder / sdist.name.removesuffix(".tar.gz")
    pip_wheel = [sys.executable, "-m", "pip", "wheel", "-q", "--no-index", "--no-deps", "--no-build-isolation"]
    for name, of in (("sdist", unpacked), ("checkout", source)):
        checked(*pip_wheel, "-w", folder / name, of, cwd=folder)
    (one,), (other,) = (folder / "sdist").glob("*.whl"), (folder / "checkout").glob("*.whl")
    return sdist, one, other


def environment(folder, *what):
    """A virtual environment that sees the packages of this one, but not the checkout; the folder of its commands."""
    checked(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder.parent)
    (packages,) = folder.glob("lib/python*/site-packages")
    outer = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    (packages / "outer.pth").write_text("\n".join(outer))  # a .pth there, as of an editable install, is not read
    install = ["-m", "pip", "--python", folder / "bin" / "python", "install", "-q", "--no-index", "--no-deps"]
    checked(sys.executable, *install, "--no-build-isolation", *what, cwd=folder.parent)
    return folder / "bin"


@pytest.fixture(scope="module")
def installed(wheels, tmp_path_factory):
    """The commands where the wheel is installed."""
    folder = tmp_path_factory.mktemp("installed") / "venv"
    commands = environment(folder, wheels[1])
    (packages,) = folder.glob("lib/python*/site-packages")
    take_compiled(packages)
    return commands


def take_compiled(packages):
    """Give a copy of the package what numba has compiled of the checkout: to do it again takes minutes."""
    for kept in (ROOT / "crowd_sim").rglob("__pycache__/*.nb[ci]"):
        module = kept.parent.parent / f"{kept.name.partition('.')[0]}.py"
        own, cached = (packages / path.relative_to(ROOT) for path in (module, kept))
        if own.exists():  # else of an older checkout
            cached.parent.mkdir(exist_ok=True)
            copy(kept, cached)
            os.utime(own, ns=(module.stat().st_atime_ns, module.stat().st_mtime_ns))  # which it was compiled of


@pytest.fixture
def trap(tmp_path):
    """A folder that has packages with the names of folders of the checkout."""
    for name in ("actors", "experiments", "tests"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("")
    (tmp_path / "experiments" / "strat.py").write_text(STRATEGY)
    return tmp_path


def shipped_files():
    """Every file that the package must have, by its place in the package."""
    places = {"crowd_sim/actors": ROOT / "actors", "crowd_sim/configs": ROOT / "experiments" / "configs"}
    for place, folder in {"crowd_sim": ROOT / "crowd_sim", **places}.items():
        files = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
        yield from (f"{place}/{path.relative_to(folder).as_posix()}" for path in files)


def test_the_wheel_has_one_package_and_every_file_of_it(wheels):
    wanted = set(shipped_files())
    page = {f"crowd_sim/report/{name}" for name in ("report.html", "report.css", "js/tools.js", "js/compare.js")}
    vendored = {f"crowd_sim/report/vendor/{name}" for name in ("d3.min.js", "plot.min.js")}
    assert {"crowd_sim/actors/round_manager.py", "crowd_sim/py.typed", *page, *vendored} <= wanted
    assert {f"crowd_sim/configs/{name}.yaml" for name in shipped()} <= wanted
    for wheel in wheels[1:]:
        with zipfile.ZipFile(wheel) as archive:
            names = {name for name in archive.namelist() if ".dist-info/" not in name}
        assert names == wanted


def test_the_sdist_has_files_and_no_links(wheels):
    with tarfile.open(wheels[0]) as archive:
        members = archive.getmembers()
    assert {member.name.split("/", 1)[1] for member in members if member.isfile()} >= set(shipped_files())
    assert all(member.isfile() or member.isdir() for member in members)


def test_an_editable_install_has_the_package_alone(source, trap, tmp_path_factory):
    commands = environment(tmp_path_factory.mktemp("editable") / "venv", "-e", source)
    take_compiled(source)
    where = "import crowd_sim.actors.round_manager as m, actors, experiments; print(m.__file__, actors.__file__)"
    ours, own = checked(commands / "python", "-c", where, cwd=trap).split()
    assert Path(ours) == source / "crowd_sim" / "actors" / "round_manager.py"
    assert Path(own) == trap / "actors" / "__init__.py"
    mine = ["tournament.grouping=experiments.strat:f", "--dry-run"]  # which asks the strategy for a round's groups
    assert "groups of strat" in checked(commands / "crowd-sim", "run", "quickstart", *SMALL, *mine, cwd=trap)


def test_a_run_on_ray_from_a_folder_with_packages_of_our_names(installed, trap):
    where = "import crowd_sim; print(crowd_sim.__file__)"
    assert Path(checked(installed / "python", "-P", "-c", where, cwd=trap).strip()).is_relative_to(installed.parent)
    run = [installed / "crowd-sim", "run", "quickstart", *SMALL, "tournament.grouping=experiments.strat:f"]
    said = checked(*run, cwd=trap, PYTHONPATH=".")  # without it: the sweep below
    assert any(line.startswith("(RoundManager pid=") and "groups of strat" in line for line in said.splitlines())
    (on_ray,) = (trap / "runs").iterdir()
    assert on_ray.name.startswith("quickstart-")
    checked(*run, "--out", "alone", "--ray-address", "none", cwd=trap)
    for table in ("rounds.parquet", "workers.parquet"):
        assert (on_ray / table).read_bytes() == (trap / "alone" / table).read_bytes()


def test_a_sweep_on_ray_from_a_folder_with_packages_of_our_names(installed, trap):
    lists = ["sweep.crowd.n_workers=[8]", "sweep.tournament.n_groups=[2,3]", "sweep.tournament.score=[l2]"]
    mine = ["crowd.source=synthetic", "sweep.tournament.grouping=[random,'experiments.strat:f']"]
    small = [override for override in SMALL if not override.startswith("crowd.")]
    checked(installed / "crowd-sim", "sweep", "paper_sweep", *small, *lists, *mine, "--out", "out", cwd=trap)
    assert len(pd.read_parquet(trap / "out" / "points.parquet")) == 4


def test_the_benchmark_from_an_installed_package(installed, trap):
    small = ["runs=1", "tournament.rounds=3", "sweep.crowd.n_workers=[5]", "sweep.tournament.n_groups=[2]"]
    said = checked(installed / "crowd-sim", "bench", "--runs", "1", *small, cwd=trap, COLUMNS="200")
    assert "plain/sweep" in said
