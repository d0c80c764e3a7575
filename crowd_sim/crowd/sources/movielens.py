"""Workers from MovieLens: a worker's vector is its mean rating per genre.

Data: ml-latest-small of GroupLens, https://grouplens.org/datasets/movielens/latest/ (Harper and Konstan, "The MovieLens
Datasets: History and Context", ACM TiiS 5(4), 2015). Its licence forbids shipping it with this project.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from crowd_sim.crowd.population import Population, first_duplicate
from crowd_sim.crowd.sources.contents import content_of
from crowd_sim.crowd.sources.csvtable import Check, is_integer, is_number, open_csv
from crowd_sim.crowd.sources.places import MOVIELENS_FOLDER
from crowd_sim.errors import InputError
from crowd_sim.paths import exists, is_folder

LOWEST_RATING, HIGHEST_RATING = 0.5, 5.0


def find_movielens(folder: Path, field: str = "crowd.path") -> Path:
    """The folder that holds MovieLens: ``folder`` itself, or ml-latest-small, ml-1m or ml-100k in it.

    Args:
        folder: where to look.
        field: where the folder's name comes from, for the error.

    Raises:
        InputError: none of them holds one of the files.
    """
    for candidate in (folder, *(folder / name for name in (MOVIELENS_FOLDER, "ml-1m", "ml-100k"))):
        if _layout_of(candidate) is not None:
            return candidate
    missing = "" if is_folder(folder) else ", and this is no folder"
    wanted = (
        f"a folder that holds ratings.csv and movies.csv (or u.data, or ratings.dat), or {MOVIELENS_FOLDER}/ with both"
    )
    raise InputError(field, folder, f"{wanted}{missing}; `crowd-sim data movielens` downloads them")


def load_movielens(folder: Path) -> Population:
    """Everyone who has rated a movie, in the order of the number of the user.

    Args:
        folder: of ml-latest-small and the like (ratings.csv, movies.csv), of ml-1m (ratings.dat, movies.dat) or of ml-100k
            (u.data, u.item, u.genre), or a folder that holds one.

    Returns:
        A `Population` with a row per user and a column per genre of the movies, "(no genres listed)" among them,
        sorted by name (610 × 20 for the file of 2018-09). In stars, 0.5 to 5; 0 where no movie of the genre was rated.

    Raises:
        InputError: a file or column is missing, or ``file:line`` of the first broken line, a movie that a user rates for the
            second time among them.
    """
    folder = find_movielens(folder)
    movies, (users, rated, ratings) = _LAYOUTS[_layout_of(folder) or "csv"](folder)
    column = pd.Index(movies.ids).get_indexer(pd.Index(rated))
    ids, row = np.unique(users, return_inverse=True)
    vectors = np.zeros((len(ids), len(movies.genres)))
    for g in range(len(movies.genres)):
        of_genre = movies.has_genre[column, g]
        count = np.bincount(row[of_genre], minlength=len(ids))
        # stars are halves, so the sums are exact in any order
        total = np.bincount(row[of_genre], weights=ratings[of_genre], minlength=len(ids))
        np.divide(total, count, out=vectors[:, g], where=count > 0)
    return Population(vectors, tuple(map(str, ids.tolist())), movies.genres)


_Ratings = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]
"""Users, movies and stars, m each."""


def _layout_of(folder: Path) -> str | None:
    """Which of `_LAYOUTS` a folder has; None where it has none."""
    files = {"csv": ("ratings.csv", "movies.csv"), "dat": ("ratings.dat", "movies.dat"), "u": ("u.data", "u.item")}
    return next((name for name, own in files.items() if any(exists(folder / file) for file in own)), None)


def _of_csv(folder: Path) -> tuple[_Movies, _Ratings]:
    """ml-latest-small, and the others of its kind."""
    movies = _read_movies(folder / "movies.csv")
    file = open_csv(folder / "ratings.csv", ",", str(folder / "ratings.csv"))
    types = {"userId": pa.int64(), "movieId": pa.int64(), "rating": pa.float64()}
    table = file.columns(types, _rating_check(movies))
    users, rated, ratings = (table[name].to_numpy() for name in types)
    known = np.isin(rated, movies.ids).all()
    once = len(np.unique(np.stack([users, rated]), axis=1).T) == len(users)
    # written so that NaN fails it
    if not (known and once and ((ratings >= LOWEST_RATING) & (ratings <= HIGHEST_RATING)).all()):
        raise file.broken_line(_rating_check(movies), "a broken line is in it")
    return movies, (users, rated, ratings)


def _of_dat(folder: Path) -> tuple[_Movies, _Ratings]:
    """ml-1m."""
    records = _split(folder / "movies.dat", "::", ("movieId", "title", "genres"))
    movies = _movies_of((place, record["movieId"], record["genres"].split("|")) for place, record in records)
    return movies, _ratings_of(_split(folder / "ratings.dat", "::", _RATED), movies)


def _of_u(folder: Path) -> tuple[_Movies, _Ratings]:
    """ml-100k, whose movies have a flag for every genre."""
    genres = [record["genre"] for _, record in _split(folder / "u.genre", "|", ("genre", "number"))]
    about = ("movieId", "title", "released", "video", "url")
    records = _split(folder / "u.item", "|", (*about, *genres))
    movies = _movies_of(
        (place, record["movieId"], [genre for genre in genres if record[genre] == "1"]) for place, record in records
    )
    return movies, _ratings_of(_split(folder / "u.data", "\t", _RATED), movies)


_LAYOUTS: dict[str, Callable[[Path], tuple[_Movies, _Ratings]]] = {"csv": _of_csv, "dat": _of_dat, "u": _of_u}
_RATED = ("userId", "movieId", "rating", "timestamp")


def _split(path: Path, separator: str, names: Sequence[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """(``file:line``, fields by name) of each line; the older editions are in Latin-1 and have no header."""
    for number, line in enumerate(content_of(path, str(path)).decode("latin-1").split("\n"), start=1):
        if not line.strip():
            continue
        fields = line.removesuffix("\r").split(separator)
        if len(fields) != len(names):
            allowed = f"{len(names)} fields are needed, there are {len(fields)}"
            raise InputError(f"{path}:{number}", None, allowed)
        yield f"{path}:{number}", dict(zip(names, fields, strict=True))


def _movies_of(records: Iterable[tuple[str, str, list[str]]]) -> _Movies:
    check, ids, of_movie = _movie_check(), [], []
    for place, movie, genres in records:
        found = genres or ["(no genres listed)"]
        complaint = check({"movieId": movie, "genres": "|".join(found)})
        if complaint is not None:
            raise InputError(place, None, complaint)
        ids.append(int(movie))
        of_movie.append(found)
    return _with_genres(np.array(ids, dtype=np.int64), of_movie)


def _ratings_of(records: Iterable[tuple[str, dict[str, str]]], movies: _Movies) -> _Ratings:
    check = _rating_check(movies)
    found: tuple[list[int], list[int], list[float]] = ([], [], [])
    last = ""
    for place, record in records:
        complaint = check(record)
        if complaint is not None:
            raise InputError(place, None, complaint)
        for values, name in zip(found[:2], _RATED, strict=False):
            values.append(int(record[name]))
        found[2].append(float(record["rating"]))
        last = place
    if not last:
        raise InputError("ratings", None, "at least one rating is needed, there is none")
    return np.array(found[0], np.int64), np.array(found[1], np.int64), np.array(found[2], np.float64)


class _Movies(NamedTuple):
    ids: NDArray[np.int64]  # [m]
    has_genre: NDArray[np.bool_]  # [m, n_genres]
    genres: tuple[str, ...]


def _read_movies(path: Path) -> _Movies:
    file = open_csv(path, ",", str(path))
    table = file.columns({"movieId": pa.int64(), "genres": pa.string()}, _movie_check())
    ids = table["movieId"].to_numpy()
    of_movie = [text.split("|") for text in table["genres"].to_pylist()]
    if first_duplicate(tuple(ids.tolist())) is not None or any("" in genres for genres in of_movie):
        raise file.broken_line(_movie_check(), "a broken line is in it")
    return _with_genres(ids, of_movie)


def _with_genres(ids: NDArray[np.int64], of_movie: Sequence[Sequence[str]]) -> _Movies:
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
    seen: set[tuple[str, str]] = set()

    def check(record: dict[str, str]) -> str | None:
        for name in ("userId", "movieId"):
            if not is_integer(record[name]):
                return f"{name} must be a whole number, it is {record[name]!r}"
        if int(record["movieId"]) not in known:
            return f"movieId {record['movieId']} is not in movies.csv"
        rating = record["rating"]
        if not is_number(rating) or not LOWEST_RATING <= float(rating) <= HIGHEST_RATING:
            return f"rating must be a number from {LOWEST_RATING} to {HIGHEST_RATING}, it is {rating!r}"
        pair = record["userId"].strip(), record["movieId"].strip()
        if pair in seen:
            return f"userId {pair[0]} rates movieId {pair[1]} on an earlier line, too"
        seen.add(pair)
        return None

    return check
