"""What people bring: many layouts of the same crowd, and what is refused because it would be taken for another."""

import gzip
import json
import os

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from crowd_sim.config import RunConfig
from crowd_sim.crowd.sources.given import population_of
from crowd_sim.crowd.sources.layout import Layout
from crowd_sim.crowd.sources.layouts import read_table
from crowd_sim.crowd.sources.movielens import load_movielens
from crowd_sim.crowd.sources.ratings import load_ratings
from crowd_sim.crowd.sources.records import read_records
from crowd_sim.crowd.sources.vectors import load_vectors
from crowd_sim.errors import InputError
from crowd_sim.files import fingerprint_of
from crowd_sim.participants import load_population
from crowd_sim.tasks.load import load_task

X = [[0.5, 2.0], [-1.25, 3.0], [1000.5, 4.0]]
NAMES = ["anna", "bob", "007"]
TABLE = pd.DataFrame(X, columns=["x", "y"]).assign(worker=NAMES)


def text(separator=",", decimal=".", ids="worker"):
    rows = [[*(f"{value}".replace(".", decimal) for value in row), name] for row, name in zip(X, NAMES, strict=True)]
    return "".join(separator.join(line) + "\n" for line in [["x", "y", ids], *rows])


def parquet(path, **columns):
    pq.write_table(pa.table(columns), path)


LAYOUTS = {
    "comma.csv": lambda path: path.write_text(text()),
    "semicolon.csv": lambda path: path.write_text(text(";")),
    "german.csv": lambda path: path.write_text(text(";", ",")),
    "tab.csv": lambda path: path.write_text(text("\t")),
    "tab.tsv": lambda path: path.write_text(text("\t", ",")),
    "quoted.csv": lambda path: path.write_text('x,y,worker\n"0,5",2,anna\n"-1,25",3,bob\n"1000,5",4,007\n'),
    "packed.csv.gz": lambda path: path.write_bytes(gzip.compress(text(";", ",").encode(), mtime=0)),
    "packed.tsv.gz": lambda path: path.write_bytes(gzip.compress(text("\t").encode(), mtime=0)),
    "marked.csv": lambda path: path.write_bytes(b"\xef\xbb\xbf" + text().replace("\n", "\r\n").encode()),
    "table.parquet": TABLE.to_parquet,
    "records.json": lambda path: TABLE.to_json(path, orient="records"),
    "lines.jsonl": lambda path: TABLE.to_json(path, orient="records", lines=True),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_many_layouts_are_the_same_crowd(tmp_path, name):
    LAYOUTS[name](tmp_path / name)
    population = load_vectors(tmp_path / name)
    assert population.ids == tuple(NAMES)
    assert population.features == ("x", "y")
    np.testing.assert_array_equal(population.vectors, X)


@pytest.mark.parametrize("dtype", ["<f8", ">f4", "<i2", "<u1"])
def test_an_array_has_numbered_workers(tmp_path, dtype):
    np.save(tmp_path / "a.npy", np.arange(6).reshape(3, 2).astype(dtype))
    population = load_vectors(tmp_path / "a.npy")
    assert population.ids == ("0", "1", "2")
    np.testing.assert_array_equal(population.vectors, [[0, 1], [2, 3], [4, 5]])


def test_a_broken_number_of_an_array_is_said_as_a_file_would(tmp_path):
    np.save(tmp_path / "a.npy", [[1.0, 2.0], [3.0, np.nan]])
    with pytest.raises(InputError, match=r"a\.npy:1: column 1 must be a finite number, it is nan$"):
        load_vectors(tmp_path / "a.npy")


def test_lists_of_numbers_are_an_array(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(X))
    np.testing.assert_array_equal(load_vectors(tmp_path / "a.json").vectors, X)


def test_lists_of_embeddings_become_a_feature_each(tmp_path):
    made = {"worker": NAMES, "e": X}
    parquet(tmp_path / "list.parquet", **made)
    parquet(tmp_path / "fixed.parquet", worker=NAMES, e=pa.array(X, pa.list_(pa.float32(), 2)))
    pd.DataFrame(made).to_json(tmp_path / "e.json", orient="records")
    for name in ("list.parquet", "fixed.parquet", "e.json"):
        population = load_vectors(tmp_path / name)
        assert population.features == ("e[0]", "e[1]")
        np.testing.assert_array_equal(population.vectors, X)
    assert population_of(pd.DataFrame(made)).features == ("e[0]", "e[1]")


def test_what_is_named_counts(tmp_path):
    (tmp_path / "a.csv").write_text("who|x|worker\na|1,234|5\nb|2,000|6\n")
    population = load_vectors(tmp_path / "a.csv", Layout("who", "|", ","))
    assert population.ids == ("a", "b")
    assert population.features == ("x", "worker")
    np.testing.assert_array_equal(population.vectors, [[1.234, 5], [2, 6]])


REFUSED = [
    ("a.csv", ",x,y\n0,1,2\n1,3,4\n", ":1", "column 1 has none; is it pandas' index?"),
    ("a.csv", "x,,\n0,1,2\n", ":1", "column 2 has none"),
    ("a.csv", "Unnamed: 0,x\n0,1\n", ":1", "is it pandas' index?"),
    ("a.csv", "1,2,3\n4,5,6\n7,8,9\n", ":1", "it has numbers only: a header is missing"),
    ("a.csv", "0.5;1.5\n4;5\n", ":1", "it has numbers only"),
    (
        "a.csv",
        "anna,1,2\nbob,3,4\n",
        ":2",
        "anna must be a finite number, it is 'bob'; if anna names the workers: call it worker, or crowd.id_column=",
    ),
    ("a.csv", "name,x\nanna,3\n", ":1", "crowd.id_column=name, if it names the workers"),
    ("a.csv", "user_id,x\n5,3\n", ":1", "crowd.id_column=user_id, if it names the workers"),
    ("a.csv", "Worker,x\n5,3\n", ":1", "crowd.id_column=Worker, if it names the workers"),
    ("a.csv", "who,x\nanna,3\n", ":2", "crowd.id_column=who"),
    ("a.csv", "a;b,c\n1;2,3\n", ":1", "crowd.separator names it"),
    ("a.csv", "x;y\n1,234;2\n3,456;4\n", "", "crowd.decimal=','"),
    ("a.csv", "x;y\n1.234,5;2\n", ":2", "x must be a finite number, it is '1.234,5'"),
    ("a.csv", "worker,x\n \t,1\n", ":2", "a name must not be blank"),
    ("a.csv", f"worker,x\n{'w' * 201},1\n", ":2", "at most 200 characters"),
    ("a.json", "{}", "", "a list of objects"),
    ("a.json", "[]", "", "a list of objects"),
    ("a.json", "[1, 2]", "", "a list of objects"),
    ("a.json", "[[1, 2], [3]]", ":1", "must be a list of 2 numbers"),
    ("a.json", '[{"x": 1}, {"y": 1}]', ":1", "an object with the keys of row 0"),
    ("a.json", '[{"x": 1}, {"x": true}]', ":1", "x must be a finite number, it is True"),
    ("a.json", '[{"x": 1}, {"x": NaN}]', ":1", "x must be a finite number, it is nan"),
    ("a.json", '[{"x": 1}, {"x": 1' + "0" * 400 + "}]", ":1", "x must be a finite number"),
    ("a.json", '[{"x": 1, "x": 2}]', "", "a key must come only once"),
    ("a.json", '[{"e": [1]}, {"e": [null]}]', ":1", "e must hold finite numbers, it has None"),
    ("a.json", "[" * 100_000, "", "JSON is needed"),
    ("a.json", b'\xff"', "", "text in UTF-8"),
    (
        "a.npy",
        b"\x93NUMPY\x01\x00\x76\x00{'descr': '<f8', 'fortran_order': False, 'shape': (9999999999999, 9)}",
        "",
        ".npy",
    ),
    ("a.csv.gz", b"\x1f\x8b torn", "", "compressed by gzip"),
    ("a.csv.gz", gzip.compress(text().encode(), mtime=0)[:-9], "", "compressed by gzip"),
    ("a.xlsx", b"", None, "a file that ends in .csv, .tsv, .parquet, .npy, .json"),
]


@pytest.mark.parametrize(("name", "content", "where", "says"), REFUSED)
def test_what_would_be_another_crowd_is_refused(tmp_path, name, content, where, says):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError) as caught:
        load_vectors(path)
    assert caught.value.field == ("crowd.path" if where is None else f"{path}{where}")
    assert says in str(caught.value)
    assert len(str(caught.value)) <= 300


ODD = [1.5, True, None, b"raw", [1], {"a": 1}, pd.Timestamp("2026-01-01")]


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: type(odd).__name__)
def test_odd_identifiers_are_refused_by_row(tmp_path, odd):
    pq.write_table(pa.table({"worker": pa.array([odd, odd]), "x": [1.0, 2.0]}), tmp_path / "a.parquet")
    with pytest.raises(InputError, match=r"a\.parquet:0: worker must be a text or a whole number, it is"):
        load_vectors(tmp_path / "a.parquet")
    frame = pd.DataFrame({"worker": pd.Series(["a", odd], dtype=object), "x": [1.0, 2.0]})
    with pytest.raises(InputError, match="worker"):
        population_of(frame)
    if not isinstance(odd, bytes | pd.Timestamp):
        (tmp_path / "a.json").write_text(json.dumps([{"worker": "a", "x": 1}, {"worker": odd, "x": 1}]))
        with pytest.raises(InputError, match=r"a\.json:1: worker must be a text or a whole number"):
            load_vectors(tmp_path / "a.json")


def test_a_date_index_is_no_name(tmp_path):
    frame = pd.DataFrame({"x": [1.0, 2.0]}, index=pd.date_range("2026-01-01", periods=2))
    with pytest.raises(InputError, match="crowd: row 0: worker must be a text or a whole number"):
        population_of(frame)


def test_the_column_of_names_is_one_of_the_file(tmp_path):
    (tmp_path / "a.csv").write_text("x,y\n1,2\n")
    with pytest.raises(InputError, match=r"crowd\.id_column = 'who': must be a column of .*; there are: x, y"):
        load_vectors(tmp_path / "a.csv", Layout("who"))


def test_a_wide_header_is_read(tmp_path):
    names = [f"feature {i}" for i in range(20_000)]
    (tmp_path / "a.csv").write_text(",".join(names) + "\n" + (",".join(["1.5"] * len(names)) + "\n") * 3)
    assert load_vectors(tmp_path / "a.csv").n_features == len(names)  # it took 16 s once
    (tmp_path / "a.csv").write_text(",".join([*names, names[-1]]) + "\n1\n")
    with pytest.raises(InputError, match="only once"):
        load_vectors(tmp_path / "a.csv")


@pytest.mark.parametrize("ending", [".csv", ".parquet", ".npy", ".json", ".jsonl"])
def test_a_fifo_is_refused_at_once(tmp_path, ending):
    path = tmp_path / f"a{ending}"
    os.mkfifo(path)
    readers = [load_vectors] if ending == ".npy" else [load_vectors, lambda path: read_records(path, ("x",))]
    for read in readers[: 1 if ending in (".csv", ".json") else 2]:
        with pytest.raises(InputError, match="a FIFO, a socket or a device"):
            read(path)


def test_a_fifo_in_a_folder_of_movies_is_refused_at_once(tmp_path):
    (tmp_path / "movies.csv").write_text("movieId,genres\n1,Drama\n")
    os.mkfifo(tmp_path / "ratings.csv")
    with pytest.raises(InputError, match="a FIFO, a socket or a device"):
        load_movielens(tmp_path)


def test_a_damaged_parquet_file_is_one_line(tmp_path):
    TABLE.to_parquet(tmp_path / "whole.parquet")
    whole = (tmp_path / "whole.parquet").read_bytes()
    expected, path = load_vectors(tmp_path / "whole.parquet"), tmp_path / "a.parquet"
    rng = np.random.default_rng(0)
    refused = 0
    for place in rng.integers(len(whole), size=400):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << rng.integers(8)
        path.write_bytes(damaged)
        try:
            load_vectors(path)
        except InputError as error:
            assert "\n" not in str(error)  # noqa: PT017
            refused += 1
    assert refused > 100
    assert expected.n_workers == 3


RATINGS = "worker,item,rating\nb,i,1\na,i,4\na,j,2\nc,j,5\n"


def test_ratings_become_vectors(tmp_path):
    (tmp_path / "r.csv").write_text(RATINGS)
    population = load_ratings(tmp_path / "r.csv")
    assert population.ids == ("b", "a", "c")
    assert population.features == ("i", "j")
    np.testing.assert_array_equal(population.vectors, [[1, 3.5], [4, 2], [2.5, 5]])  # an item's mean where nothing is
    pd.read_csv(tmp_path / "r.csv").to_parquet(tmp_path / "r.parquet")
    (tmp_path / "s.csv").write_text(RATINGS.replace(",", ";").replace("worker", "who").replace("5", "5,0"))
    for other, layout in (("r.parquet", Layout()), ("s.csv", Layout("who"))):
        np.testing.assert_array_equal(load_ratings(tmp_path / other, layout).vectors, population.vectors)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (RATINGS + "a,i,4\n", "r.csv:6: worker 'a' rates item 'i' on an earlier line, too"),
        (RATINGS + "a,k,\n", "r.csv:6: rating must be a finite number, it is ''"),
        (RATINGS + ",k,3\n", "r.csv:6: worker must be a name, it is ''"),
        (RATINGS + "a ,k,3\n", "r.csv:6: worker must be a name, it is 'a ': a name must not begin or end with a blank"),
        (RATINGS + "NA,k,3\n", "r.csv:6: worker must be a name, it is 'NA': this stands for a missing one"),
        (RATINGS.replace("item", "thing"), "r.csv:1: a column for the item is needed: none of item, movieId"),
        (RATINGS.replace("worker", "who"), "crowd.id_column names the workers'"),
        (RATINGS.replace("item", "user"), "more than one of worker, userId"),
    ],
)
def test_ratings_are_refused(tmp_path, content, says):
    (tmp_path / "r.csv").write_text(content)
    with pytest.raises(InputError) as caught:
        load_ratings(tmp_path / "r.csv")
    assert says in str(caught.value)


def test_double_ratings_of_parquet_are_said(tmp_path):
    parquet(tmp_path / "r.parquet", worker=["a", "a"], item=["i", "i"], rating=[1, 2])
    with pytest.raises(InputError, match=r"r\.parquet:1: worker 'a' rates item 'i' in an earlier row, too"):
        load_ratings(tmp_path / "r.parquet")


SMALL = {
    "latest": {
        "movies.csv": "movieId,title,genres\n1,A,Drama\n2,B,Comedy|Drama\n",
        "ratings.csv": "userId,movieId,rating,timestamp\n1,1,4,9\n2,1,3,9\n2,2,5,9\n",
    },
    "ml-1m": {
        "movies.dat": "1::Café (1995)::Drama\n2::B::Comedy|Drama\n",
        "ratings.dat": "1::1::4::9\n2::1::3::9\n2::2::5::9\n",
    },
    "ml-100k": {
        "u.genre": "Comedy|0\nDrama|1\n\n",
        "u.item": "1|Café (1995)|01-Jan-1995||http|0|1\n2|B|01-Jan-1995||http|1|1\n",
        "u.data": "1\t1\t4\t9\n2\t1\t3\t9\n2\t2\t5\t9\n",
    },
}


def movielens(folder, layout, **changes):
    folder.mkdir()
    for name, content in {**SMALL[layout], **changes}.items():
        (folder / name).write_bytes(content.encode("utf-8" if layout == "latest" else "latin-1"))
    return folder


@pytest.mark.parametrize("layout", SMALL)
def test_editions_of_movielens_are_the_same(tmp_path, layout):
    population = load_movielens(movielens(tmp_path / layout, layout))
    assert population.features == ("Comedy", "Drama")
    np.testing.assert_array_equal(population.vectors, [[0, 4], [5, 4]])
    if layout != "latest":
        assert load_movielens(tmp_path).ids == ("1", "2")


@pytest.mark.parametrize(
    ("layout", "name", "content", "says"),
    [
        (
            "latest",
            "ratings.csv",
            "userId,movieId,rating\n1,1,4\n1,1,5\n",
            "ratings.csv:3: userId 1 rates movieId 1 on an earlier",
        ),
        (
            "ml-1m",
            "ratings.dat",
            "1::1::4::9\n1::1::4::9\n",
            "ratings.dat:2: userId 1 rates movieId 1 on an earlier line, too",
        ),
        ("ml-1m", "ratings.dat", "1::1::4\n", "ratings.dat:1: 4 fields are needed, there are 3"),
        ("ml-1m", "movies.dat", "x::A::Drama\n", "movies.dat:1: movieId must be a whole number, it is 'x'"),
        ("ml-100k", "u.data", "1\t7\t4\t9\n", "u.data:1: movieId 7 is not"),
        ("ml-100k", "u.data", "1\t1\t6\t9\n", "u.data:1: rating must be a number from 0.5 to 5.0, it is '6'"),
        ("ml-100k", "u.data", "\n", "at least one rating is needed"),
    ],
)
def test_broken_editions_of_movielens_are_refused(tmp_path, layout, name, content, says):
    folder = movielens(tmp_path / layout, layout, **{name: content})
    with pytest.raises(InputError) as caught:
        load_movielens(folder)
    assert says in str(caught.value)


def test_a_configuration_says_how_its_file_is_laid_out(tmp_path):
    (tmp_path / "a.csv").write_text("who;x\na;1,234\nb;2,000\n")
    crowd = {"source": "vectors", "path": str(tmp_path / "a.csv"), "n_workers": 1, "id_column": "who", "decimal": ","}
    config = RunConfig.parse({"crowd": crowd, "tournament": {"n_groups": 1}})
    assert load_population(config.crowd).ids == ("a", "b")
    assert fingerprint_of(config.determinants(), load_task(config).identity())
    (tmp_path / "r.csv").write_text(RATINGS)
    crowd = {"source": "ratings", "path": str(tmp_path / "r.csv"), "n_workers": 1}
    assert load_population(RunConfig.parse({"crowd": crowd, "tournament": {"n_groups": 1}}).crowd).ids == (
        "b",
        "a",
        "c",
    )
    for field, value, sources in (
        ("id_column", "x", "vectors and ratings"),
        ("separator", ";", "vectors, ratings and records"),
        ("decimal", ",", "vectors and ratings"),
    ):
        with pytest.raises(InputError, match=rf"crowd\.{field} = .*: applies to crowd\.source={sources} only"):
            RunConfig.parse({"crowd": {field: value}})


def test_the_fingerprint_knows_shapes_and_separators():
    prints = set()
    for ids in (("a\nb", "c"), ("a", "b", "c")):
        vectors = np.arange(6.0).reshape(len(ids), -1)
        frame = pd.DataFrame(vectors, index=list(ids))
        prints.add(fingerprint_of({}, population_of(frame).identity()))
    assert len(prints) == 2
    assert fingerprint_of({}, [b"a", b"bc"]) != fingerprint_of({}, [b"ab", b"c"])


@pytest.mark.parametrize("length", [10, 400, 5_000])
def test_no_message_is_longer_than_300_characters(length):
    for error in (
        InputError("f" * length, "v" * length, "allowed" * length),
        InputError("f" * length, None, "must be a file"),
        InputError("field", [1] * length, "x, " * length),
    ):
        assert len(str(error)) <= 300
    assert str(InputError("p" * length, None, "must be a file")).endswith("must be a file")


COLUMNS = [
    "id",
    "person_id",
    "Person ID",
    "SUBJECT_ID",
    "userId",
    "workerID",
    "participant",
    "Rater",
    "names",
    "person",
]


@pytest.mark.parametrize("column", COLUMNS)
def test_a_column_that_looks_like_identifiers_is_no_coordinate(tmp_path, column):
    (tmp_path / "v.csv").write_text(f"{column},x\n1,2\n2,3\n")
    with pytest.raises(InputError, match=r"looks like identifiers: call it worker, or crowd\.id_column="):
        load_vectors(tmp_path / "v.csv")
    with pytest.raises(InputError, match="looks like identifiers: call it worker"):
        population_of(pd.DataFrame({column: [1, 2], "x": [2, 3]}))


def test_columns_that_are_like_them_are_coordinates(tmp_path):
    (tmp_path / "v.csv").write_text("humid,grid,GRID,acid,idea,named\n1,2,3,4,5,6\n")
    assert load_vectors(tmp_path / "v.csv").n_features == 6


@pytest.mark.parametrize("name", ["anna ", " anna", "anna\u200b", "an\0na", "NA", "nan", "null", "None"])
def test_a_name_that_is_none_or_another_s_is_refused_with_its_row(tmp_path, name):
    (tmp_path / "v.csv").write_text(f"worker,x\nanna,1\n{name},2\n")
    parquet(tmp_path / "v.parquet", worker=["anna", name], x=[1, 2])
    said = {"worker": name, "prompt": "p", "response": "r"}
    (tmp_path / "t.jsonl").write_text(json.dumps(said | {"worker": "anna"}) + "\n" + json.dumps(said) + "\n")
    for read, place in ((load_vectors, "v.csv:3"), (load_vectors, "v.parquet:1"), (read_table, "t.jsonl:2")):
        with pytest.raises(
            InputError,
            match=f"{place}: worker must be .*(begin or end with a blank|cannot be seen|a NUL|a missing one)",
        ):
            read(tmp_path / place.partition(":")[0])


def test_a_text_file_s_names_are_text(tmp_path):
    (tmp_path / "v.csv").write_text("worker,x\n1.5,1\n2024-01-01,2\nTrue,3\n")
    assert load_vectors(tmp_path / "v.csv").ids == ("1.5", "2024-01-01", "True")


def test_an_author_s_column_is_offered(tmp_path):
    (tmp_path / "t.jsonl").write_text(json.dumps({"author": "anna", "prompt": "p", "response": "r"}) + "\n")
    with pytest.raises(InputError, match=r"crowd\.records\.worker=author"):
        read_table(tmp_path / "t.jsonl")
