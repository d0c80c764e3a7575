"""Workers from MovieLens: a worker's vector is its mean rating per genre.

Data: ml-latest-small of GroupLens, https://grouplens.org/datasets/movielens/latest/ (Harper and Konstan, "The MovieLens
Datasets: History and Context", ACM TiiS 5(4), 2015). Its licence forbids shipping it with this project.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from crowd_sim.crowd.population import Population, first_duplicate
from crowd_sim.crowd.sources.csvtable import Check, broken_line, is_integer, is_number, read_columns
from crowd_sim.crowd.sources.places import MOVIELENS_FOLDER
from crowd_sim.errors import InputError

LOWEST_RATING, HIGHEST_RATING = 0.5, 5.0


def find_movielens(folder: Path, field: str = "crowd.path") -> Path:
    """The folder that holds ratings.csv and movies.csv: ``folder`` itself or ``folder/ml-latest-small``.

    Args:
        folder: where to look.
        field: where the folder's name comes from, for the error.

    Raises:
        InputError: if neither holds ratings.csv or movies.csv.
    """
    for candidate in (folder, folder / MOVIELENS_FOLDER):
        if (candidate / "ratings.csv").exists() or (candidate / "movies.csv").exists():
            return candidate
    missing = "" if folder.is_dir() else ", and this is no folder"
    wanted = f"a folder that holds ratings.csv and movies.csv, or {MOVIELENS_FOLDER}/ with both{missing}"
    raise InputError(field, folder, f"{wanted}; `crowd-sim data movielens` downloads them")


def load_movielens(folder: Path) -> Population:
    """Everyone in ratings.csv, in the order of the number userId.

    Args:
        folder: ml-latest-small, or a folder that holds it.

    Returns:
        A `Population` with a row per userId and a column per genre of movies.csv, "(no genres listed)" among them,
        sorted by name (610 × 20 for the file of 2018-09). In stars, 0.5 to 5; 0 where no movie of the genre was rated.

    Raises:
        InputError: a file or column is missing, or ``file:line`` of the first broken line.
    """
    folder = find_movielens(folder)
    movies = _read_movies(folder / "movies.csv")
    path = folder / "ratings.csv"
    types = {"userId": pa.int64(), "movieId": pa.int64(), "rating": pa.float64()}
    table = read_columns(path, types, _rating_check(movies))
    ratings = table["rating"].to_numpy()
    column = pd.Index(movies.ids).get_indexer(table["movieId"].to_numpy())
    # written so that NaN fails it
    if not ((ratings >= LOWEST_RATING) & (ratings <= HIGHEST_RATING)).all() or (column < 0).any():
        raise broken_line(path, _rating_check(movies), "a broken line is in it")
    ids, row = np.unique(table["userId"].to_numpy(), return_inverse=True)
    vectors = np.zeros((len(ids), len(movies.genres)))
    for g in range(len(movies.genres)):
        of_genre = movies.has_genre[column, g]
        count = np.bincount(row[of_genre], minlength=len(ids))
        # stars are halves, so the sums are exact in any order
        total = np.bincount(row[of_genre], weights=ratings[of_genre], minlength=len(ids))
        np.divide(total, count, out=vectors[:, g], where=count > 0)
    return Population(vectors, tuple(map(str, ids.tolist())), movies.genres)


class _Movies(NamedTuple):
    ids: NDArray[np.int64]  # [m]
    has_genre: NDArray[np.bool_]  # [m, n_genres]
    genres: tuple[str, ...]


def _read_movies(path: Path) -> _Movies:
    table = read_columns(path, {"movieId": pa.int64(), "genres": pa.string()}, _movie_check())
    ids = table["movieId"].to_numpy()
    of_movie = [text.split("|") for text in table["genres"].to_pylist()]
    if first_duplicate(tuple(ids.tolist())) is not None or any("" in genres for genres in of_movie):
        raise broken_line(path, _movie_check(), "a broken line is in it")
    genres = tuple(sorted({genre for of_one in of_movie for genre in of_one}))
    column = {genre: g for g, genre in enumerate(genres)}
    has_genre = np.zeros((len(ids), len(genres)), dtype=np.bool_)
    for movie, of_one in enumerate(of_movie):
        has_genre[movie, [column[genre] for genre in of_one]] = True
    return _Movies(ids, has_genre, genres)


def _movie_check() -> Check:
    seen: set[int] = set()

    def check(record: dict[str, str]) -> str | None:
        movie, genres = record["movieId"], record["genres"]
        if not is_integer(movie):
            return f"movieId must be a whole number, it is {movie!r}"
        if int(movie) in seen:
            return f"movieId {movie} stands on an earlier line too"
        seen.add(int(movie))
        if "" in genres.split("|"):
            return f"genres must be names with | between them, they are {genres!r}"
        return None

    return check


def _rating_check(movies: _Movies) -> Check:
    known = set(movies.ids.tolist())

    def check(record: dict[str, str]) -> str | None:
        for name in ("userId", "movieId"):
            if not is_integer(record[name]):
                return f"{name} must be a whole number, it is {record[name]!r}"
        if int(record["movieId"]) not in known:
            return f"movieId {record['movieId']} is not in movies.csv"
        rating = record["rating"]
        if not is_number(rating) or not LOWEST_RATING <= float(rating) <= HIGHEST_RATING:
            return f"rating must be a number from {LOWEST_RATING} to {HIGHEST_RATING}, it is {rating!r}"
        return None

    return check
