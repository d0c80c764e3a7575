"""A language model of random weights, for trying out: small, offline, and of no use for anything else."""

from __future__ import annotations

from pathlib import Path

from crowd_sim.errors import InputError
from crowd_sim.models.load_weights import only_errors
from crowd_sim.models.model_hub import require
from crowd_sim.paths import exists

_TEMPLATE = (
    "{% for message in messages %}<{{ message['role'] }}>{{ message['content'] }}<end>{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
_MARKS = ("<end>", "<system>", "<user>", "<assistant>")
_POSITIONS = 2048


def make_tiny_model(folder: Path) -> int:
    """A Llama of two layers with a tokenizer of bytes and a chat template, the same every time; how many weights it has.

    Raises:
        InputError: the folder is there, or a package of the extra `llm` is not.
    """
    if exists(folder):
        raise InputError("--out", str(folder), "must be a folder that is not there yet")
    torch, transformers = (require(name, "--out", str(folder)) for name in ("torch", "transformers"))
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    vocabulary = {token: i for i, token in enumerate([*_MARKS, *sorted(pre_tokenizers.ByteLevel.alphabet())])}
    bytes_of = Tokenizer(models.BPE(vocabulary, []))
    bytes_of.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytes_of.decoder = decoders.ByteLevel()
    bytes_of.add_special_tokens(list(_MARKS))
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=bytes_of, eos_token=_MARKS[0], pad_token=_MARKS[0]
    )
    tokenizer.chat_template = _TEMPLATE
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = transformers.LlamaConfig(
        vocab_size=len(vocabulary),
        num_key_value_heads=2,
        max_position_embeddings=_POSITIONS,
        tie_word_embeddings=True,
        initializer_range=0.2,  # at the usual scale a model as small as this says the same whatever it reads
        bos_token_id=None,
        eos_token_id=0,
        pad_token_id=0,
        **sizes,
    )
    with torch.random.fork_rng(devices=[]), only_errors():
        torch.manual_seed(0)
        model = transformers.LlamaForCausalLM(config)
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return int(sum(weights.numel() for weights in model.parameters()))
