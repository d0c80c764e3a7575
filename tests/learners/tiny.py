"""Small models with random weights and a tokenizer of letters, in a folder as a hub would give them."""

import json
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertConfig, BertForSequenceClassification, BertModel, PreTrainedTokenizerFast

LETTERS = "abcdefghijklmnopqrstuvwxyz !?."


def save_tokenizer(folder: Path, special: bool = True, padding: bool = True) -> None:
    """A token per letter; with special ones around them, or none."""
    vocabulary = {token: i for i, token in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *LETTERS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    if special:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
        )
    pad = {"pad_token": "[PAD]"} if padding else {}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="[UNK]", **pad).save_pretrained(folder)


def save_model(folder: Path, kind: type = BertModel, **settings) -> Path:
    """A BERT of two layers of 16 units for texts of at most 40 tokens."""
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=4 + len(LETTERS),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=40,
        initializer_range=0.5,
        **settings,
    )
    kind(config).save_pretrained(folder)
    return folder


def save_encoder(folder: Path, pooling: str = "mean_tokens", normalised: bool = True, special: bool = True) -> Path:
    """A sentence encoder as sentence-transformers saves it."""
    save_model(folder)
    save_tokenizer(folder, special)
    kinds = ["Transformer", "Pooling"] + ["Normalize"] * normalised
    modules = [{"path": f"{i}_{kind}", "type": f"sentence_transformers.models.{kind}"} for i, kind in enumerate(kinds)]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir()
    modes = {f"pooling_mode_{mode}": mode == pooling for mode in ("cls_token", "mean_tokens", "max_tokens")}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"word_embedding_dimension": 16} | modes))
    return folder


def save_classifier(folder: Path, problem_type: str | None = "multi_label_classification") -> Path:
    """A classifier of four emotions."""
    labels = dict(enumerate(("joy", "fear", "love", "neutral")))
    save_model(folder, BertForSequenceClassification, id2label=labels, problem_type=problem_type)
    save_tokenizer(folder)
    return folder
