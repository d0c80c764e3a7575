"""Arrays as bytes: everything comes back, equal content is equal bytes, and damage is refused before anything is made of it."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from crowd_sim.arrays import pack, packable, unpack

KINDS = ["?", "i1", "u1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8", "<f2", "<f4", "<f8"]
NAMES = st.text(min_size=1, max_size=5).filter(lambda name: "/" not in name and name != "__metadata__")
ARRAYS = st.sampled_from(KINDS).flatmap(lambda kind: arrays(kind, array_shapes(min_dims=0, max_dims=3, min_side=0)))
TREES = st.recursive(
    st.dictionaries(NAMES, ARRAYS, max_size=3), lambda t: st.dictionaries(NAMES, t, max_size=3), max_leaves=4
)
SAMPLE = pack({"state": {"points": np.arange(3.0), "on": np.array([True, False])}, "n": np.array(7)}, {"round": 3})


def flat(tree, before=()):
    for name, value in sorted(tree.items()):
        if isinstance(value, dict):
            yield from flat(value, (*before, name))
        else:
            yield (*before, name), value.dtype, value.shape, value.tobytes()


def refused(content):
    """Whether it is; a ValueError and no other, and what is read in its stead is as large as its bytes allow."""
    try:
        tree, _ = unpack(content)
    except ValueError:
        return True
    assert sum(len(entry[3]) for entry in flat(tree)) <= len(content)
    return False


@settings(deadline=None, max_examples=200)
@given(TREES, st.dictionaries(st.text(), st.integers() | st.text() | st.none() | st.lists(st.booleans())))
def test_everything_comes_back(tree, header):
    content = pack(tree, header)
    again, said = unpack(content)
    assert list(flat(again)) == list(flat(tree))
    assert said == header
    assert pack(again, dict(reversed(said.items()))) == content


def test_equal_content_is_equal_bytes_however_it_lies_in_memory():
    square = np.arange(9.0).reshape(3, 3)
    shuffled = {"b": np.asfortranarray(square), "a": square.astype(">f8")[:, ::1]}
    assert pack({"a": square, "b": square}) == pack(shuffled)
    assert unpack(SAMPLE)[0]["state"]["points"].flags.writeable


@pytest.mark.parametrize(
    "array",
    [
        np.array(["a"]),
        np.array([object()]),
        np.array([1j]),
        np.zeros(1, "M8[s]"),
        np.zeros(1, "V3"),
        np.zeros(1, "f8,i4"),
    ],
)
def test_other_types_are_not_written(array):
    assert packable(array) is None
    with pytest.raises(ValueError, match="only booleans and numbers"):
        pack({"x": array})


@pytest.mark.parametrize("name", ["", "a/b", "__metadata__", 3])
def test_names_that_cannot_be_read_are_not_written(name):
    with pytest.raises(ValueError, match="cannot name an array"):
        pack({name: np.zeros(1)})


def test_any_cut_and_anything_after_the_end_is_refused():
    assert not refused(SAMPLE)
    assert all(refused(SAMPLE[:stop]) for stop in range(len(SAMPLE)))
    assert refused(SAMPLE + b"\0")


def test_flipped_bits_raise_nothing_but_value_errors():
    for bit in range(8 * len(SAMPLE)):
        content = bytearray(SAMPLE)
        content[bit // 8] ^= 1 << bit % 8
        refused(bytes(content))


@settings(deadline=None, max_examples=500)
@given(st.binary(max_size=200), st.integers(0, len(SAMPLE)), st.integers(0, 60))
def test_bytes_put_in_raise_nothing_but_value_errors(inserted, at, over):
    refused(inserted)
    refused(SAMPLE[:at] + inserted + SAMPLE[at + over :])


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["F64", "U8", "BOOL", "header"]),
    lambda more: (
        st.lists(more, max_size=3) | st.dictionaries(st.sampled_from(["dtype", "shape", "data_offsets", "a"]), more)
    ),
)


def with_head(entries, body=b""):
    head = (
        entries if isinstance(entries, bytes) else json.dumps(entries, separators=(",", ":"), sort_keys=True).encode()
    )
    head += b" " * (-len(head) % 8)
    return len(head).to_bytes(8, "little") + head + body


METADATA = {"format": "1", "header": "{}"}


@settings(deadline=None, max_examples=500)
@given(st.dictionaries(st.text(max_size=3), JSON), JSON, st.binary(max_size=16))
def test_heads_of_anything_raise_nothing_but_value_errors(entries, other, body):
    refused(with_head({**entries, "__metadata__": METADATA}, body))
    refused(with_head({**entries, "__metadata__": other}, body))
    refused(with_head(json.dumps(other).encode(), body))


@pytest.mark.parametrize(
    ("kind", "shape", "offsets", "body"),
    [
        ("F64", [2**60], [0, 2**63], b""),
        ("F64", [2**40, 2**40], [0, 2**83], b""),
        ("F64", [0, 2**60], [0, 0], b""),
        ("F64", [0, 2**40, 2**40], [0, 0], b""),
        ("F64", [-1], [0, 8], b"12345678"),
        ("F64", [1.0], [0, 8], b"12345678"),
        ("F64", [True], [0, 8], b"12345678"),
        ("F64", [1] * 33, [0, 8], b"12345678"),
        ("F64", [1], [8, 16], b"1234567812345678"),
        ("BOOL", [1], [0, 1], b"\2"),
        ("O", [1], [0, 8], b"12345678"),
        ("C128", [1], [0, 16], b"1234567812345678"),
        (["F64"], [1], [0, 8], b"12345678"),
    ],
)
def test_sizes_and_types_are_checked_before_anything_is_allocated(kind, shape, offsets, body):
    entry = {"dtype": kind, "shape": shape, "data_offsets": offsets}
    assert refused(with_head({"__metadata__": METADATA, "x": entry}, body))


@pytest.mark.parametrize(
    "head",
    [
        b"[" * 100_000,
        b'{"__metadata__":' * 30_000,
        b'{"__metadata__":{"format":"2","header":"{}"}}',
        b'{"__metadata__":{"format":"1","header":"{\\"x\\":NaN}"}}',
        b'{"__metadata__":{"format":"1","header":"[]"}}',
        b'{"__metadata__":{"format":"1","header":"{}"},"__metadata__":{"format":"1","header":"{}"}}',
        b'{"__metadata__":{"format":"1","header":"{}"},"x":' + b"9" * 10_000 + b"}",
        b"[]",
        b"null",
        b"\xff",
    ],
)
def test_heads_that_could_do_harm_are_refused(head):
    assert refused(with_head(head))


def test_an_array_cannot_hold_another():
    entries = {name: {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]} for name in ("a", "a/b")}
    assert refused(with_head({"__metadata__": METADATA, **entries}))


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_a_pickle_is_refused_and_not_run(tmp_path):
    assert refused(pickle.dumps(Bomb(tmp_path / "boom")))
    assert refused(with_head(pickle.dumps(Bomb(tmp_path / "boom"))))
    assert not (tmp_path / "boom").exists()


def test_the_layout_is_that_of_safetensors():
    safetensors = pytest.importorskip("safetensors.numpy")
    found = safetensors.load(SAMPLE)
    assert {name: array.tolist() for name, array in found.items()} == {
        "state/points": [0.0, 1.0, 2.0],
        "state/on": [True, False],
        "n": 7,
    }
