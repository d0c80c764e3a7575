"""A language model small enough for tests: randomly initialised, with a tokenizer of bytes."""

from pathlib import Path

import pytest

TEMPLATE = "<q>{prompt}<a>"


NAMES = {"llama": "Llama", "qwen2": "Qwen2", "mistral": "Mistral", "bloom": "Bloom", "mamba": "Mamba", "mpt": "Mpt"}
"""Of the classes in transformers."""


def make_tiny_llm(folder: Path, kind: str = "llama", **settings: object) -> Path:
    """A model of one of the kinds in `NAMES`; `settings` are of its configuration."""
    torch = pytest.importorskip("torch", reason="needs the extra llm")
    transformers = pytest.importorskip("transformers", reason="needs the extra llm")
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: i for i, token in enumerate(["<end>", "<q>", "<a>", *letters])}
    tokenizer = Tokenizer(models.BPE(vocabulary, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<end>", "<q>", "<a>"])
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>").save_pretrained(folder)
    sizes = {
        "vocab_size": len(vocabulary),
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 128,
        "bos_token_id": None,
        "eos_token_id": 0,
        "pad_token_id": 0,
    }
    make_config, make_model = (getattr(transformers, f"{NAMES[kind]}{part}") for part in ("Config", "ForCausalLM"))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = make_model(make_config(**sizes, **settings))
        with torch.no_grad():  # at its own scale a model as small as this says the same whatever it reads
            for weights in model.parameters():
                weights.mul_(4.0 if weights.ndim > 1 else 1.0)
    model.save_pretrained(folder)
    return folder


def make_tiny_phi(folder: Path) -> Path:
    """The same model as a sentence embedding: for that its tokenizer must know how to pad."""
    make_tiny_llm(folder)
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    tokenizer.pad_token = "<end>"
    tokenizer.save_pretrained(folder)
    return folder


def tiny_tokens(base, text: str) -> tuple[int, ...]:
    """The template's tokens around a prompt."""
    return tuple(base.tokenizer(TEMPLATE.replace("{prompt}", text), add_special_tokens=False)["input_ids"])
