import numpy as np
import pytest

from crowd_sim.crowd.sources.by_name import SOURCES, read_source
from crowd_sim.crowd.sources.synthetic import draw_population
from crowd_sim.errors import InputError


@pytest.fixture
def movielens(tmp_path):
    (tmp_path / "movies.csv").write_text("movieId,title,genres\n1,A,Drama\n")
    (tmp_path / "ratings.csv").write_text("userId,movieId,rating,timestamp\n1,1,4.0,1\n2,1,3.0,1\n")
    return tmp_path


def test_the_sources_have_their_names():
    assert set(SOURCES) == {"synthetic", "movielens", "vectors", "ratings"}


def test_synthetic_draws_the_target_too():
    population = read_source("synthetic", None, 25, 7)
    assert population.n_workers == 26
    np.testing.assert_array_equal(population.vectors, draw_population(26, 7).vectors)


def test_movielens_is_found_by_path_before_the_environment(movielens, tmp_path, monkeypatch):
    monkeypatch.setenv("CROWD_SIM_DATA", str(tmp_path / "none"))
    assert read_source("movielens", str(movielens), 1, 0).n_workers == 2
    monkeypatch.setenv("CROWD_SIM_DATA", str(movielens))
    assert read_source("movielens", None, 1, 0).n_workers == 2


def test_vectors(tmp_path):
    (tmp_path / "people.csv").write_text("x\n1\n2\n")
    assert read_source("vectors", str(tmp_path / "people.csv"), 1, 0).ids == ("0", "1")


@pytest.mark.parametrize(
    ("source", "path", "n_workers", "variable", "field", "says"),
    [
        ("movielens", None, 5, None, "crowd.path", "CROWD_SIM_DATA"),
        ("movielens", "", 5, "", "crowd.path", "CROWD_SIM_DATA"),
        ("movielens", None, 5, "/nowhere/at/all", "CROWD_SIM_DATA", "/nowhere/at/all"),
        ("movielens", "/nowhere/at/all", 5, None, "crowd.path", "/nowhere/at/all"),
        ("vectors", None, 5, None, "crowd.path", "CSV or Parquet"),
        ("synthetic", None, 0, None, "crowd.n_workers", "at least 1"),
        ("netflix", None, 5, None, "crowd.source", "synthetic, movielens, vectors, ratings"),
    ],
)
def test_what_cannot_be_loaded_is_named(monkeypatch, source, path, n_workers, variable, field, says):
    monkeypatch.delenv("CROWD_SIM_DATA", raising=False)
    if variable is not None:
        monkeypatch.setenv("CROWD_SIM_DATA", variable)
    with pytest.raises(InputError) as caught:
        read_source(source, path, n_workers, 0)
    assert caught.value.field == field
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
