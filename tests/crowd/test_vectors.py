from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from crowd_sim.crowd.sources.vectors import load_vectors
from crowd_sim.errors import InputError


def refused(path):
    with pytest.raises(InputError) as caught:
        load_vectors(path)
    assert "\n" not in str(caught.value)
    return caught.value


def csv_file(folder, text):
    path = folder / "people.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def parquet_file(folder, frame, **options):
    path = folder / "people.parquet"
    frame.to_parquet(path, **options)
    return path


def test_csv_with_ids(tmp_path):
    population = load_vectors(csv_file(tmp_path, 'x,worker,y\n1,"b, jr",2.5\n-1e-3,007,.5\n'))
    assert population.ids == ("b, jr", "007")
    assert population.features == ("x", "y")
    np.testing.assert_array_equal(population.vectors, [[1, 2.5], [-0.001, 0.5]])


def test_csv_without_ids_numbers_its_rows(tmp_path):
    assert load_vectors(csv_file(tmp_path, "x\n3\n4\n")).ids == ("0", "1")


def test_csv_and_parquet_agree_bit_for_bit(tmp_path):
    vectors = np.random.default_rng(0).standard_normal((5000, 7))
    frame = pd.DataFrame(vectors, columns=list("abcdefg"))
    frame.insert(3, "worker", [f"w{i}" for i in range(len(frame))])
    frame.to_csv(tmp_path / "people.csv", index=False)
    frame.to_parquet(tmp_path / "people.PARQUET")
    for name in ("people.csv", "people.PARQUET"):
        population = load_vectors(tmp_path / name)
        np.testing.assert_array_equal(population.vectors, vectors)
        assert population.ids == tuple(frame["worker"])
        assert population.features == tuple("abcdefg")


def test_a_late_fraction_in_a_column_of_whole_numbers(tmp_path):
    # type inference by the first block would stumble here
    text = "x\n" + "1\n" * 1_000_000 + "1.5\n"
    assert load_vectors(csv_file(tmp_path, text)).vectors[-1, 0] == 1.5


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("worker,x,y\na,1,2\nb,3\n", 3, "3 fields are needed, there are 2"),
        ("worker,x,y\na,1,2,3\nb,3,4\n", 2, "3 fields are needed, there are 4"),
        ("worker,x,y\na,1,2\nb,nan,4\n", 3, "x must be a finite number, it is 'nan'"),
        ("worker,x,y\na,1,2\nb,1,inf\n", 3, "y must be a finite number, it is 'inf'"),
        ("worker,x,y\na,1,2\nb,1,1e999\n", 3, "y must be a finite number, it is '1e999'"),
        ("worker,x,y\na,1,\n", 2, "y must be a finite number, it is ''"),
        ("worker,x,y\na,one,2\n", 2, "x must be a finite number, it is 'one'"),
        ("worker,x,y\na,1_0,2\n", 2, "x must be a finite number, it is '1_0'"),
        ("worker,x,y\na,١,2\n", 2, "x must be a finite number"),
        ('worker,x\n"a\nb",1\n\na,2\n"a\nb",3\n', 6, "worker must be a name that comes only once"),
        ("worker,x\n,1\n", 2, "worker must be a name that comes only once, it is ''"),
        ("x,y,x\n1,2,3\n", 1, "only once"),
        (b"x\n1\n2\n\xff\n", 4, "UTF-8"),
        ('x,y\n1,2\n"3,4\n5,6\n', 3, "fields|readable line"),
    ],
)
def test_a_broken_line_of_csv_is_named(tmp_path, text, line, says):
    path = csv_file(tmp_path, text)
    error = refused(path)
    assert error.field == f"{path}:{line}"
    assert any(option in str(error) for option in says.split("|"))


@pytest.mark.parametrize(
    ("text", "says"),
    [("", "empty"), ("\n\n", "empty"), ("x,y\n", "at least one row"), ("worker\na\n", "at least one feature column")],
)
def test_a_csv_with_nothing_in_it(tmp_path, text, says):
    path = csv_file(tmp_path, text)
    error = refused(path)
    assert error.field == str(path)
    assert says in str(error)


def test_parquet_takes_every_kind_of_number(tmp_path):
    frame = pd.DataFrame({"i": np.array([1, 2], np.int8), "f": np.array([0.5, 1], np.float32), "worker": [8, 9]})
    frame["d"] = [Decimal("1.25"), Decimal("2.50")]
    population = load_vectors(parquet_file(tmp_path, frame))
    assert population.ids == ("8", "9")
    assert population.features == ("i", "f", "d")
    np.testing.assert_array_equal(population.vectors, [[1, 0.5, 1.25], [2, 1, 2.5]])


def test_a_saved_index_is_no_feature(tmp_path):
    frame = pd.DataFrame({"x": [1.0, 2.0]}, index=[5, 3])
    assert load_vectors(parquet_file(tmp_path, frame)).features == ("x",)
    population = load_vectors(parquet_file(tmp_path, frame.rename_axis("worker")))
    assert population.features == ("x",)
    assert population.ids == ("5", "3")


@pytest.mark.parametrize(
    ("columns", "row", "says"),
    [
        ({"x": [1.0, float("nan")]}, 1, "x must be a finite number"),
        ({"x": [1.0, 2.0, float("-inf")]}, 2, "x must be a finite number, it is -inf"),
        ({"x": pd.array([1, None], dtype="Int64")}, 1, "x must be a finite number, it is None"),
        ({"worker": ["a", "b", "a"], "x": [1, 2, 3]}, 2, "worker must be a name that comes only once, it is 'a'"),
        ({"worker": ["a", None], "x": [1, 2]}, 1, "worker must be a text or a whole number, it is None"),
        ({"worker": ["a", ""], "x": [1, 2]}, 1, "worker must be a name that comes only once, it is ''"),
    ],
)
def test_a_broken_row_of_parquet_is_named(tmp_path, columns, row, says):
    path = parquet_file(tmp_path, pd.DataFrame(columns))
    error = refused(path)
    assert error.field == f"{path}:{row}"
    assert says in str(error)


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"x": ["1", "2"]}, "column 'x' must hold numbers"),
        ({"x": [True, False]}, "column 'x' must hold numbers, it holds bool"),
        ({"x": [{"a": 1.0}, {"a": 2.0}]}, "column 'x' must hold numbers"),
        ({"worker": ["a", "b"]}, "at least one feature column"),
        ({"x": np.empty(0)}, "at least one row"),
    ],
)
def test_a_parquet_file_of_something_else(tmp_path, columns, says):
    path = parquet_file(tmp_path, pd.DataFrame(columns))
    error = refused(path)
    assert error.field == str(path)
    assert says in str(error)


def test_a_parquet_file_with_two_columns_of_a_name(tmp_path):
    path = tmp_path / "people.parquet"
    pq.write_table(pa.Table.from_arrays([pa.array([1.0]), pa.array([2.0])], names=["x", "x"]), path)
    assert "only once" in str(refused(path))


def test_a_parquet_file_that_is_none(tmp_path):
    path = tmp_path / "people.parquet"
    path.write_bytes(b"PAR1 torn off")
    assert refused(path).field == str(path)


def test_missing_files_folders_and_other_endings(tmp_path):
    assert "a file that exists" in str(refused(tmp_path / "none.csv"))
    (tmp_path / "folder.parquet").mkdir()
    assert "a file that exists" in str(refused(tmp_path / "folder.parquet"))
    assert ".csv, .tsv, .parquet" in str(refused(tmp_path / "people.xlsx"))
    assert refused(tmp_path / "none").field == "crowd.path"
