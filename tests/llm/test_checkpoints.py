"""A checkpoint is read back as it was, or set aside: whatever byte is lost or bit flipped."""

from crowd_sim.store.checkpoint import Checkpoint, Checkpoints

KEPT = Checkpoint(3, bytes(range(256)) + "ünïcode\n".encode())


def test_no_damage_is_taken_for_a_checkpoint(tmp_path):
    kept = Checkpoints(tmp_path, "f" * 64)
    kept.write(KEPT)
    path = tmp_path / "checkpoints" / "round-00000003.checkpoint"
    whole = path.read_bytes()
    assert kept.last() == KEPT
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert kept.last() is None
    for i in range(len(whole)):
        path.write_bytes(whole[:i] + bytes([whole[i] ^ (1 << i % 8)]) + whole[i + 1 :])
        assert kept.last() is None
    assert list(kept.read()) == []
    assert path.with_suffix(".damaged").exists()
    kept.write(KEPT)
    assert list(kept.read()) == [KEPT]
