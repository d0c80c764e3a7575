"""The model for trying out: a few bytes, the same every time, with a chat template."""

import pytest

from crowd_sim.errors import InputError


def test_the_tiny_model_loads_talks_and_is_the_same_every_time(tmp_path):
    transformers = pytest.importorskip("transformers", reason="needs the extra llm")
    from crowd_sim.models.tiny import make_tiny_model

    assert make_tiny_model(tmp_path / "a") == make_tiny_model(tmp_path / "b") < 50_000
    assert len({(tmp_path / name / "model.safetensors").read_bytes() for name in "ab"}) == 1
    assert sum(path.stat().st_size for path in (tmp_path / "a").iterdir()) < 1_000_000
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "a")
    turns = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Naïve?"}]
    text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    assert text == "<system>Be kind.<end><user>Naïve?<end><assistant>"
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    with pytest.raises(InputError, match="must be a folder that is not there yet"):
        make_tiny_model(tmp_path / "a")
