"""A stage is read back as it was, or made again."""

import numpy as np
import pytest

pytest.importorskip("safetensors", reason="needs the extra llm")

from crowd_sim.llm.checkpoints import FolderMemo, _read

ADAPTER = {"b.lora_A": np.arange(6, dtype=np.float32).reshape(2, 3), "a.lora_B": np.ones((1, 2), np.float32)}
RECORD = {"x": [1, 0.1, 1e-300, None], "text": "ünïcode\n"}


def no_stage():
    raise AssertionError("must not be made again")


@pytest.mark.parametrize("adapter", [ADAPTER, None])
def test_a_stage_is_made_once(tmp_path, adapter):
    memo = FolderMemo(tmp_path)
    made = memo("first", lambda: (RECORD, adapter))
    assert [path.name for path in tmp_path.iterdir()] == ["first.safetensors"]
    for record, found in (made, memo("first", no_stage)):
        assert record == RECORD
        assert (found is None) == (adapter is None)
        for name, weights in (adapter or {}).items():
            assert found[name].tobytes() == weights.tobytes()
            assert found[name].shape == weights.shape


def test_stages_are_told_apart(tmp_path):
    memo = FolderMemo(tmp_path)
    memo("first", lambda: ({"n": 1}, None))
    assert memo("second", lambda: ({"n": 2}, None))[0] == {"n": 2}
    assert memo("first", no_stage)[0] == {"n": 1}


@pytest.mark.parametrize("adapter", [ADAPTER, None])
def test_no_damage_is_taken_for_a_stage(tmp_path, adapter):
    """Whatever byte is lost or bit flipped: the stage is what it was, or counts as not there."""
    FolderMemo(tmp_path)("stage", lambda: (RECORD, adapter))
    path = tmp_path / "stage.safetensors"
    whole = path.read_bytes()
    outcomes = {"there": 0, "gone": 0}

    def check(content: bytes) -> None:
        path.write_bytes(content)
        stage = _read(path)
        if stage is None:
            outcomes["gone"] += 1
            return
        outcomes["there"] += 1
        record, found = stage
        assert record == RECORD
        for name, weights in (adapter or {}).items():
            assert found[name].dtype == weights.dtype
            assert np.array_equal(found[name], weights)

    for length in range(len(whole)):
        check(whole[:length])
    assert outcomes == {"there": 0, "gone": len(whole)}
    for i in range(len(whole)):
        check(whole[:i] + bytes([whole[i] ^ (1 << i % 8)]) + whole[i + 1 :])
    assert outcomes["gone"] > 1.9 * len(whole)


def test_a_damaged_stage_is_made_again(tmp_path):
    memo = FolderMemo(tmp_path)
    memo("stage", lambda: (RECORD, ADAPTER))
    path = tmp_path / "stage.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[:-3])
    assert memo("stage", lambda: ({"again": True}, ADAPTER))[0] == {"again": True}
    assert memo("stage", no_stage)[0] == {"again": True}
