import time

import numpy as np
import pandas as pd
import pytest

from crowd_sim.crowd.sources.movielens import load_movielens
from crowd_sim.errors import InputError

MOVIES = """movieId,title,genres
1,Plain (1995),Comedy|Drama
2,"Commas, and a
line break (1996)",Drama
3,"Quotes ""here"" (1997)",(no genres listed)
"""
RATINGS = """userId,movieId,rating,timestamp
10,1,4.0,1
10,2,3.0,2
9,3,0.5,3
9,2,5.0,4
10,3,1.0,5
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "movies.csv").write_text(MOVIES)
    (tmp_path / "ratings.csv").write_text(RATINGS)
    return tmp_path


def test_vectors_are_mean_ratings_per_genre(folder):
    population = load_movielens(folder)
    assert population.features == ("(no genres listed)", "Comedy", "Drama")
    assert population.ids == ("9", "10")  # in the order of the numbers, not of the text
    np.testing.assert_allclose(population.vectors, [[0.5, 0.0, 5.0], [1.0, 4.0, 3.5]], atol=1e-15)


def test_a_folder_around_it_will_do(folder, tmp_path):
    inner = tmp_path / "around" / "ml-latest-small"
    inner.mkdir(parents=True)
    for name in ("movies.csv", "ratings.csv"):
        (folder / name).rename(inner / name)
    assert load_movielens(tmp_path / "around").ids == ("9", "10")


def test_line_ends_blank_lines_and_byte_order_mark_do_not_matter(folder):
    expected = load_movielens(folder)
    for name, text in (("movies.csv", MOVIES), ("ratings.csv", RATINGS)):
        (folder / name).write_bytes(b"\xef\xbb\xbf" + (text + "\n").replace("\n", "\r\n").encode())
    found = load_movielens(folder)
    assert found.ids == expected.ids
    np.testing.assert_array_equal(found.vectors, expected.vectors)


def broken(folder, name, text):
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError) as caught:
        load_movielens(folder)
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("10,1", "4 fields are needed, there are 2"),
        ("10,1,4.0", "4 fields are needed, there are 3"),
        ("10,1,4.0,9,9", "4 fields are needed, there are 5"),
        ("10,1,good,9", "'good'"),
        ("10,1,,9", "rating must be a number from 0.5 to 5.0, it is ''"),
        ("10,1,nan,9", "'nan'"),
        ("10,1,inf,9", "'inf'"),
        ("10,1,5.5,9", "'5.5'"),
        ("10,1,0,9", "'0'"),
        ("10,1,-1,9", "'-1'"),
        ("ten,1,4.0,9", "userId must be a whole number"),
        (",1,4.0,9", "userId must be a whole number"),
        ("10,1.5,4.0,9", "movieId must be a whole number"),
        ("10,99999999999999999999,4.0,9", "movieId must be a whole number"),
        ("10,77,4.0,9", "movieId 77 is not in movies.csv"),
        ('10,1,4.0,"9', "4 fields|readable line"),
        ("   ", "4 fields are needed, there are 1"),
    ],
)
def test_a_broken_rating_is_named_with_its_line(folder, line, says):
    lines = RATINGS.splitlines()
    # a quoted field over two lines and a blank line before it: the line is the file's, not the table's
    text = "\n".join([*lines[:3], '11,1,4.0,"1\n2"', "", line, *lines[3:], ""])
    error = broken(folder, "ratings.csv", text)
    assert error.field == f"{folder / 'ratings.csv'}:7"
    assert any(option in str(error) for option in says.split("|"))


def test_bytes_that_are_not_utf8_are_named_with_their_line(folder):
    error = broken(folder, "movies.csv", MOVIES.encode().replace(b"Quotes", b"Quotes \xe9"))
    assert error.field == f"{folder / 'movies.csv'}:5"
    assert "UTF-8" in str(error)
    error = broken(folder, "movies.csv", b"\xff\xfe" + MOVIES.encode("utf-16-le"))
    assert error.field == f"{folder / 'movies.csv'}:1"


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("3,", "1,", 5, "movieId 1 stands on an earlier line too"),
        ("3,", "x,", 5, "movieId must be a whole number"),
        ("(no genres listed)", "", 5, "genres"),
        ("Comedy|Drama", "Comedy||Drama", 2, "genres"),
        ('break (1996)"', "break (1996)", 3, "readable line|fields"),
        ("Plain", "Plain, vain", 2, "3 fields are needed, there are 4"),
    ],
)
def test_a_broken_movie_is_named_with_its_line(folder, old, new, line, says):
    error = broken(folder, "movies.csv", MOVIES.replace(old, new, 1))
    assert error.field == f"{folder / 'movies.csv'}:{line}"
    assert any(option in str(error) for option in says.split("|"))


@pytest.mark.parametrize("name", ["movies.csv", "ratings.csv"])
def test_empty_files_and_missing_columns(folder, name):
    text = (folder / name).read_text()
    error = broken(folder, name, "")
    assert error.field == str(folder / name)
    assert "empty" in str(error)
    error = broken(folder, name, text.splitlines()[0] + "\n")
    assert error.field == str(folder / name)
    assert "at least one row" in str(error)
    error = broken(folder, name, text.replace("movieId", "movie"))
    assert error.field == f"{folder / name}:1"
    assert "'movieId' is missing" in str(error)
    error = broken(folder, name, text.replace("movieId", "movieId,movieId", 1))
    assert error.field == f"{folder / name}:1"


@pytest.mark.parametrize("name", ["movies.csv", "ratings.csv"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(InputError) as caught:
        load_movielens(folder)
    assert caught.value.field == str(folder / name)
    assert "a file that exists" in str(caught.value)


def test_a_missing_folder_is_named(tmp_path):
    for folder in (tmp_path / "none", tmp_path):
        with pytest.raises(InputError) as caught:
            load_movielens(folder)
        assert caught.value.field == "crowd.path"
        assert str(folder) in str(caught.value)


def test_the_real_data_agree_with_a_pandas_pivot(data_folder):
    start = time.perf_counter()
    population = load_movielens(data_folder)
    assert time.perf_counter() - start < 3.0  # takes 0.2 s; slack for a busy machine

    folder = data_folder if (data_folder / "ratings.csv").exists() else data_folder / "ml-latest-small"
    movies = pd.read_csv(folder / "movies.csv")
    genres = movies.assign(genre=movies["genres"].str.split("|")).explode("genre")[["movieId", "genre"]]
    rated = pd.read_csv(folder / "ratings.csv").merge(genres, on="movieId")
    pivot = rated.pivot_table(index="userId", columns="genre", values="rating", aggfunc="mean").fillna(0.0)
    assert population.vectors.shape == (610, 20)
    assert population.features == tuple(pivot.columns)
    assert population.ids == tuple(map(str, pivot.index))
    np.testing.assert_allclose(population.vectors, pivot.to_numpy(), rtol=0, atol=1e-12)
