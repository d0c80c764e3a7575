import json

import pandas as pd
import pytest

from crowd_sim.crowd.sources.feedback import EXAMPLE_TARGETS, example_feedback, read_feedback, read_target_texts
from crowd_sim.crowd.texts import Example
from crowd_sim.errors import InputError

ROWS = [
    {"worker": "b", "prompt": "p", "response": "one"},
    {"worker": 7, "prompt": "q", "response": "two"},
    {"worker": "b", "prompt": "q", "response": "three\u2028lines"},
]
GOOD = '{"worker": "a", "prompt": "p", "response": "r"}'


@pytest.fixture
def target(tmp_path):
    path = tmp_path / "target.txt"
    path.write_text("\ufefffirst\r\n\n  second \n", encoding="utf-8")
    return path


def jsonl(path, rows):
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n", encoding="utf-8")
    return path


def test_workers_in_order_of_appearance_from_jsonl_and_parquet(tmp_path, target):
    found = read_feedback(jsonl(tmp_path / "f.jsonl", ROWS), target)
    assert found.ids == ("b", "7")
    assert found.examples == ((Example("p", "one"), Example("q", "three\u2028lines")), (Example("q", "two"),))
    assert found.target_texts == ("first", "second")
    frame = pd.DataFrame([row | {"worker": str(row["worker"])} for row in ROWS], index=[5, 6, 7])
    frame.to_parquet(tmp_path / "f.parquet")
    assert read_feedback(tmp_path / "f.parquet", target) == found


def test_byte_order_mark_blank_lines_and_windows_line_ends_do_not_matter(tmp_path, target):
    path = tmp_path / "f.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.encode() + b"\r\n\r\n" + GOOD.encode())
    assert read_feedback(path, target).examples == ((Example("p", "r"), Example("p", "r")),)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "a JSON object is needed"),
        ("[1]", "a JSON object is needed, it is [1]"),
        ("[" * 100_000, "a JSON object is needed"),
        ('{"worker": ' + "9" * 5000 + ', "prompt": "p", "response": "r"}', "a JSON object is needed"),
        ('{"worker": "a", "prompt": "p"}', "key 'response' is missing; there are: worker, prompt"),
        ("{}", "key 'worker' is missing; there are: none"),
        ('{"worker": "a", "prompt": "p", "response": "r", "rating": 5}', "'rating': unknown key; allowed here: worker"),
        ('{"worker": "a", "worker": "b", "prompt": "p", "response": "r"}', "'worker': a key must come only once"),
        ('{"worker": "a", "prompt": "p", "response": " "}', "response must be a text that is not blank, it is ' '"),
        ('{"worker": "a", "prompt": "p", "response": null}', "response must be a text that is not blank, it is None"),
        ('{"worker": "a", "prompt": 5, "response": "r"}', "prompt must be a text that is not blank, it is 5"),
        ('{"worker": "", "prompt": "p", "response": "r"}', "worker must be a text that is not blank"),
        ('{"worker": true, "prompt": "p", "response": "r"}', "worker must be a text or a whole number, it is True"),
        ('{"worker": 1.5, "prompt": "p", "response": "r"}', "worker must be a text or a whole number, it is 1.5"),
        ('{"worker": "a", "prompt": "p", "response": "\\ud83d"}', "response must be a text that is not blank of whole"),
        (b"\xff", "text in UTF-8 is needed"),
    ],
)
def test_a_broken_line_is_named(tmp_path, target, line, says):
    path = tmp_path / "f.jsonl"
    data = line if isinstance(line, bytes) else line.encode()
    path.write_bytes(b"\n".join([GOOD.encode(), b"", data, GOOD.encode()]))
    with pytest.raises(InputError) as caught:
        read_feedback(path, target)
    assert caught.value.field == f"{path}:3"
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "field", "says"),
    [
        (lambda f: f.drop(columns="prompt"), "", "column 'prompt' is missing; there are: worker, response"),
        (lambda f: f.assign(rating=1), "", "'rating': unknown column; allowed here: worker, prompt, response"),
        (lambda f: f[:0], "", "at least one record of worker, prompt, response is needed"),
        (lambda f: f.assign(response=[1, 2]), ":0", "response must be a text that is not blank, it is 1"),
        (lambda f: f.assign(response=["r", None]), ":1", "response must be a text that is not blank, it is None"),
        (lambda f: f.assign(worker=[0.5, 1]), ":0", "worker must be a text or a whole number, it is 0.5"),
    ],
)
def test_a_broken_table_is_named(tmp_path, target, change, field, says):
    path = tmp_path / "f.parquet"
    change(pd.DataFrame([json.loads(GOOD)] * 2)).to_parquet(path)
    with pytest.raises(InputError) as caught:
        read_feedback(path, target)
    assert caught.value.field == f"{path}{field}"
    assert says in str(caught.value)


def test_files_that_are_none(tmp_path, target):
    for name, data, says in (
        ("f.csv", b"worker", "a file that ends in .jsonl or .parquet"),
        ("missing.jsonl", None, "a file that exists"),
        ("empty.jsonl", b"\n", "at least one record"),
        ("f.parquet", b"PAR1", "a readable Parquet file is needed"),
    ):
        if data is not None:
            (tmp_path / name).write_bytes(data)
        with pytest.raises(InputError, match=says):
            read_feedback(tmp_path / name, target)


def test_target_texts_from_each_kind_of_file(tmp_path):
    rows = [{"text": "first"}, {"text": "second"}]
    pd.DataFrame(rows).to_parquet(tmp_path / "t.parquet")
    assert read_target_texts(tmp_path / "t.parquet") == ("first", "second")
    assert read_target_texts(jsonl(tmp_path / "t.jsonl", rows)) == ("first", "second")


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("t.csv", b"text", "ends in .txt, .jsonl or .parquet"),
        ("t.txt", b" \n\n", "at least one text is needed"),
        ("t.txt", b"ok\n\xff\n", "t.txt:2: text in UTF-8"),
        ("t.jsonl", b'{"text": "a"}\n{"text": 5}', "t.jsonl:2: text must be a text"),
        ("none.txt", None, "crowd.target"),
    ],
)
def test_a_target_that_is_none(tmp_path, name, data, says):
    if data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=says):
        read_target_texts(tmp_path / name)


def test_the_packaged_crowd_has_two_styles_and_a_target_of_each():
    crowds = {target: example_feedback(target) for target in EXAMPLE_TARGETS}
    for crowd in crowds.values():
        assert crowd.ids == tuple(f"{style}-{i}" for style in ("warm", "terse") for i in range(1, 5))
        assert [len(own) for own in crowd.examples] == [8] * 8
        assert len(crowd.target_texts) == 20
        # a target that held the crowd's own words would reward learning by heart
        assert not {example.response for own in crowd.examples for example in own} & set(crowd.target_texts)
    assert crowds["warm"].examples == crowds["terse"].examples
    assert not set(crowds["warm"].target_texts) & set(crowds["terse"].target_texts)
    with pytest.raises(InputError, match="one of warm, terse"):
        example_feedback("loud")
