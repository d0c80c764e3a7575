"""Whether outputs are a model's own: a distance alone is also brought down by one good example said over and over."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

_WORDS = 5
"""An output that was cut off counts as a copy from so many words on."""


def distinct(texts: Sequence[str]) -> float:
    """The share of different texts among `texts`, white space aside: 1 where no two are the same."""
    return len({_plain(text) for text in texts}) / len(texts)


def copied(texts: Sequence[str], examples: Iterable[str]) -> float:
    """The share of `texts` that are, white space aside, one of `examples`, or its first words, five at least."""
    whole = {_plain(example) for example in examples}
    return sum(_is_copy(_plain(text), whole) for text in texts) / len(texts)


def _is_copy(text: str, examples: set[str]) -> bool:
    if text in examples:
        return True
    return len(text.split()) >= _WORDS and any(example.startswith(text) for example in examples)


def _plain(text: str) -> str:
    return " ".join(text.split())
