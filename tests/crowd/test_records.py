"""Records of many kinds: a good file of every layout and format, and a broken row of each, named by its place."""

import csv
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest

from crowd_sim.config import RunConfig
from crowd_sim.crowd.sources.layouts import (
    LAYOUTS,
    Answer,
    Demonstration,
    Judgement,
    Label,
    Pair,
    Prompt,
    Rating,
    read_table,
)
from crowd_sim.crowd.texts import Turn
from crowd_sim.errors import InputError
from crowd_sim.tasks.imitate.participants import load_texts


def turn(role: str, text: str) -> dict[str, str]:
    return {"role": role, "content": text}


def said(who: str, text: str) -> dict[str, str]:
    return {"from": who, "value": text}


Q, SYSTEM = turn("user", "q"), turn("system", "s")
LONG = Prompt("q2", (Turn("system", "s"), Turn("user", "q"), Turn("assistant", "a")))
TURNS = [SYSTEM, Q, turn("assistant", "a"), turn("user", "q2")]

GOOD = [
    ({"messages": [Q, turn("assistant", "r")]}, Demonstration(Prompt("q"), "r")),
    ({"messages": [*TURNS, turn("assistant", "r")]}, Demonstration(LONG, "r")),
    ({"conversations": [said("human", "q"), said("gpt", "r")]}, Demonstration(Prompt("q"), "r")),
    (
        {
            "conversations": [
                said("system", "s"),
                said("human", "q"),
                said("gpt", "a"),
                said("human", "q2"),
                said("gpt", "r"),
            ]
        },
        Demonstration(LONG, "r"),
    ),
    ({"prompt": "q", "response": "r"}, Demonstration(Prompt("q"), "r")),
    ({"prompt": "q", "completion": "r", "system": "s"}, Demonstration(Prompt("q", (Turn("system", "s"),)), "r")),
    ({"prompt": TURNS, "completion": [turn("assistant", "r")]}, Demonstration(LONG, "r")),
    ({"instruction": "q", "output": "r"}, Demonstration(Prompt("q"), "r")),
    ({"instruction": "q", "input": "i", "output": "r"}, Demonstration(Prompt("q\n\ni"), "r")),
    ({"prompt": "q", "chosen": "c", "rejected": "r"}, Pair(Prompt("q"), "c", "r")),
    ({"chosen": [Q, turn("assistant", "c")], "rejected": [Q, turn("assistant", "r")]}, Pair(Prompt("q"), "c", "r")),
    (
        {
            "chosen": "\n\nHuman: q\n\nAssistant: a\n\nHuman: q2\n\nAssistant: c",
            "rejected": "\n\nHuman: q\n\nAssistant: a\n\nHuman: q2\n\nAssistant: r",
        },
        Pair(Prompt("q2", (Turn("user", "q"), Turn("assistant", "a"))), "c", "r"),
    ),
    ({"prompt": "q", "a": "x", "b": "y", "winner": "b"}, Pair(Prompt("q"), "y", "x")),
    ({"prompt": "q", "a": "x", "b": "y", "winner": "model_a"}, Pair(Prompt("q"), "x", "y")),
    ({"prompt": "q", "completion": "r", "label": False}, Judgement(Prompt("q"), "r", good=False)),
    ({"prompt": "q", "response": "r", "rating": 4}, Rating(Prompt("q"), "r", 4.0)),
    ({"text": "t", "label": "joy"}, Label("t", "joy")),
    ({"task": 7, "worker": "w", "label": 1}, Label("7", "1")),
    ({"prompt": "q", "answer": 42}, Answer(Prompt("q"), "42")),
]

BROKEN = [
    ({"messages": [Q]}, "messages must end with a turn of the user and one of the assistant"),
    ({"messages": [turn("critic", "q"), turn("assistant", "r")]}, "messages.0.role must be one of system, user"),
    ({"messages": [Q, turn("assistant", " ")]}, "messages.1.content must be a text that is not blank"),
    ({"messages": [Q, Q]}, "messages.1.role must be the assistant's"),
    ({"messages": "q"}, "messages must be a list of turns"),
    ({"conversations": [said("human", "q"), {"from": "gpt"}]}, "conversations.1 must have from and value"),
    ({"prompt": "q", "response": None}, "response must be a text that is not blank"),
    ({"prompt": " ", "completion": "r"}, "prompt must be a text that is not blank"),
    ({"prompt": [*TURNS, turn("assistant", "r")], "completion": "r"}, "prompt must end with a turn of the user"),
    ({"prompt": "q", "completion": [Q]}, "completion must be a text or one turn of the assistant"),
    ({"instruction": "q", "input": 3, "output": "r"}, "input must be a text"),
    ({"prompt": "q", "chosen": "c", "rejected": "c"}, "chosen and rejected must differ"),
    ({"chosen": "c", "rejected": "r"}, "a column prompt is needed, or texts with 'Assistant:'"),
    (
        {"chosen": "\n\nHuman: q\n\nAssistant: c", "rejected": "\n\nHuman: p\n\nAssistant: r"},
        "must be the same conversation",
    ),
    ({"prompt": "q", "a": "x", "b": "y", "winner": "c"}, "winner must be a, b, model_a, model_b, or tie"),
    ({"prompt": "q", "completion": "r", "label": "maybe"}, "label must be true or false"),
    ({"prompt": "q", "response": "r", "rating": "high"}, "rating must be a finite number"),
    ({"text": "t", "label": None}, "label must be a text or a whole number"),
    ({"task": "t", "worker": [], "label": "a"}, "worker must be a text or a whole number"),
    ({"prompt": "q", "answer": " "}, "answer must be a text that is not blank"),
]


def jsonl(path: Path, rows) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def other(row: dict) -> dict:
    """A good row of the same columns."""
    return next(good for good, _ in GOOD if set(good) == set(row))


@pytest.mark.parametrize(("row", "wanted"), GOOD)
def test_a_layout_is_told_by_its_columns(tmp_path, row, wanted):
    table = read_table(jsonl(tmp_path / "f.jsonl", [row, row]))
    assert [r.said for r in table.rows] == [wanted, wanted]
    workers = ["w", "w"] if "worker" in row else ["0", "1"]
    assert [r.worker for r in table.rows] == workers


@pytest.mark.parametrize(("row", "says"), BROKEN)
def test_a_broken_row_is_named_by_file_and_line(tmp_path, row, says):
    path = jsonl(tmp_path / "f.jsonl", [other(row), row])
    with pytest.raises(InputError) as refused:
        read_table(path)
    assert refused.value.field == f"{path}:2"
    assert says in refused.value.allowed


def test_every_layout_is_tried():
    for name, layout in LAYOUTS.items():
        for rows in (GOOD, BROKEN):
            assert any(set(row) >= set(layout.needed) for row, _ in rows), name


ROWS = [{"worker": "a", "prompt": "p\n1", "response": "r,1"}, {"worker": "b", "prompt": "p2", "response": 'r "2"'}]


def write(path: Path, rows) -> Path:
    kind = path.suffix
    if kind == ".jsonl":
        return jsonl(path, rows)
    if kind == ".json":
        path.write_text("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n")
    elif kind == ".csv":
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    elif kind == ".parquet":
        pyarrow.parquet.write_table(pa.Table.from_pylist(rows), path)
    else:  # as datasets.save_to_disk leaves it
        path.mkdir()
        (path / "state.json").write_text(json.dumps({"_data_files": [{"filename": "data-0.arrow"}]}))
        table = pa.Table.from_pylist(rows)
        with pa.OSFile(str(path / "data-0.arrow"), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as stream:
            stream.write_table(table)
    return path


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("f.jsonl", "f.jsonl:2"),
        ("f.json", "f.json:1"),
        ("f.csv", "f.csv:4"),
        ("f.parquet", "f.parquet:1"),
        ("f", "f/data-0.arrow:1"),
    ],
)
def test_every_format_holds_the_same_rows(tmp_path, name, place):
    table = read_table(write(tmp_path / name, ROWS))
    assert [(r.worker, r.said.prompt.text, r.said.response) for r in table.rows] == [tuple(r.values()) for r in ROWS]
    assert [r.place for r in table.rows][1] == str(tmp_path / place)
    broken = write(tmp_path / f"broken{Path(name).suffix}", [ROWS[0], ROWS[1] | {"response": " "}])
    with pytest.raises(InputError) as refused:
        read_table(broken)
    assert refused.value.field == str(tmp_path / f"broken{place[1:]}")


def test_a_folder_that_datasets_has_saved(tmp_path):
    datasets = pytest.importorskip("datasets", reason="needs datasets")
    own = datasets.Dataset.from_list(ROWS)
    own.save_to_disk(tmp_path / "one")
    datasets.DatasetDict({"train": own, "test": own.select([0])}).save_to_disk(tmp_path / "several")
    for name in ("one", "several"):
        assert [r.worker for r in read_table(tmp_path / name).rows] == ["a", "b"]


@pytest.mark.parametrize(
    ("name", "content", "place", "says"),
    [
        ("f.jsonl", '{"prompt": "p", "response": "r"}\n{', ":2", "a JSON object is needed"),
        ("f.jsonl", '{"prompt": "p", "response": "r"}\n{"prompt": "p"}', ":2", "column 'response' is missing"),
        (
            "f.jsonl",
            '{"prompt": "p", "response": "r"}\n{"prompt": "p", "response": "r", "x": 1}',
            ":2",
            "unknown column",
        ),
        ("f.jsonl", '{"prompt": "p", "prompt": "q"}', ":1", "a key must come only once"),
        ("f.jsonl", '{"text": "p"}', ":1", "the columns text are of no layout"),
        ("f.json", '{"prompt": "p"}', "", "an array of JSON objects is needed"),
        ("f.json", '[\n{"prompt": "p", "response": "r"},\n3]', ":1", "a JSON object is needed"),
        ("f.json", '[\n{"prompt": "p", "response": "r"}\n{}]', ":0", "a comma or the end of the array"),
        ("f.json", "[{}]\n[]", "", "nothing may follow"),
        ("f.csv", "prompt,response\np,r\np\n", ":3", "2 values are needed as in line 1, there are 1"),
        ("f.csv", "prompt,prompt\np,r\n", ":1", "a column must come only once"),
        ("f.csv", 'prompt,response\np,r\n"p,r\n', ":3", "CSV is needed"),
        ("f.jsonl", "", "", "at least one row is needed"),
        ("f.parquet", "no", "", "a readable Parquet file is needed"),
    ],
)
def test_a_file_that_cannot_be_read_says_where(tmp_path, name, content, place, says):
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(InputError) as refused:
        read_table(path)
    assert refused.value.field == f"{path}{place}"
    assert says in refused.value.allowed


@pytest.mark.parametrize(
    ("state", "says"),
    [
        (None, "with a state.json"),
        ({"_data_files": [{"filename": "../f.arrow"}]}, "must name files of its own"),
        ({"_data_files": [], "_indices_data_files": [{"filename": "i"}]}, "flatten_indices"),
    ],
)
def test_a_folder_that_is_no_data_set_is_refused(tmp_path, state, says):
    if state is not None:
        (tmp_path / "state.json").write_text(json.dumps(state))
    with pytest.raises(InputError, match=says):
        read_table(tmp_path)


def test_columns_are_mapped_and_others_kept_or_left_out(tmp_path):
    rows = [{"question": "q", "reply": "r", "who": 3, "at": "noon"}]
    path = jsonl(tmp_path / "f.jsonl", rows)
    names = {"prompt": "question", "response": "reply"}
    for others, kept in (("keep", {"at": "noon"}), ("ignore", {})):
        (row,) = read_table(path, names, "who", others).rows
        assert (row.worker, row.said, row.others) == ("3", Demonstration(Prompt("q"), "r"), kept)
    with pytest.raises(InputError, match="unknown column"):
        read_table(path, names, "who")
    with pytest.raises(InputError, match=r"^crowd\.records\.columns\.prompt = 'asked'"):
        read_table(path, {"prompt": "asked"})
    with pytest.raises(InputError, match=r"^crowd\.records\.worker = 'owner'"):
        read_table(path, names, "owner")


def configuration(path: Path, **crowd) -> RunConfig:
    crowd = {"source": "records", "path": str(path), "n_workers": 2, **crowd}
    return RunConfig.parse(
        {"crowd": crowd, "tournament": {"n_groups": 2}, "task": {"kind": "imitate"}, "valuation": {"method": "none"}}
    )


def test_a_crowd_of_records_has_its_own_texts_for_a_target(tmp_path):
    rows = [{"worker": w, "messages": [*TURNS, turn("assistant", f"{w}{i}")]} for i in range(2) for w in "ab"]
    path = jsonl(tmp_path / "f.jsonl", rows)
    crowd = load_texts(configuration(path))
    assert crowd.ids == ("a", "b")
    assert [e.response for e in crowd.examples[0]] == ["a0", "a1"]
    assert crowd.examples[0][0].before == LONG.before
    assert crowd.target_texts == ("a0", "a1", "b0", "b1")
    assert crowd.prompts == ()  # all have earlier turns
    target = tmp_path / "t.txt"
    target.write_text("wanted\n")
    assert load_texts(configuration(path, target=str(target))).target_texts == ("wanted",)


def test_records_of_another_kind_are_refused(tmp_path):
    path = jsonl(tmp_path / "f.jsonl", [{"text": "t", "label": "a"}] * 2)
    with pytest.raises(InputError, match=r"must hold prompts and responses with task\.kind=imitate, not labels"):
        load_texts(configuration(path))
    with pytest.raises(InputError, match=r"crowd\.records = .* must be left out"):
        RunConfig.parse(
            {
                "crowd": {"source": "example_feedback", "target": "warm", "n_workers": 8, "records": {"worker": "w"}},
                "task": {"kind": "imitate"},
                "valuation": {"method": "none"},
            }
        )


@pytest.mark.parametrize(("separator", "named"), [(";", None), ("\t", None), ("|", "|")])
def test_a_separator_is_recognised_or_named(tmp_path, separator, named):
    path = tmp_path / "f.csv"
    path.write_text(f"worker{separator}text{separator}label\na{separator}one two{separator}x\n")
    (row,) = read_table(path, separator=named).rows
    assert (row.worker, row.said) == ("a", Label("one two", "x"))
    if named:
        with pytest.raises(
            InputError, match=r"f\.csv:2: the columns worker\|text\|label are of no layout .crowd\.separator"
        ):
            read_table(path)


def test_ties_are_left_out_and_counted(tmp_path):
    tie = {"prompt": "q", "a": "x", "b": "y", "winner": "tie"}
    table = read_table(
        write(tmp_path / "f.jsonl", [tie, tie | {"winner": "model_b"}, tie | {"winner": "tie (bothbad)"}])
    )
    assert ([row.said.chosen for row in table.rows], table.ties) == (["y"], 2)
    with pytest.raises(InputError, match="no tie is needed, there are 1 ties"):
        read_table(write(tmp_path / "g.jsonl", [tie]))


def test_a_column_of_no_layout_is_named(tmp_path):
    with pytest.raises(
        InputError, match=r"^crowd\.records\.columns\.foo = 'prompt': 'foo' is a column of no layout; .*worker$"
    ):
        read_table(write(tmp_path / "f.jsonl", ROWS), {"foo": "prompt"})
