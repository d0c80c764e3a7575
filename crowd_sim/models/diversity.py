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


def ngrams(text: str, n: int) -> list[tuple[str, ...]]:
    """Every n words in a row."""
    words = text.split()
    return [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]


def copied_ngrams(texts: Sequence[str], examples: Iterable[str], n: int = _WORDS) -> float:
    """The share of the n-grams of `texts` that stand in one of `examples`; 0 where the texts are too short to have any."""
    known = {gram for example in examples for gram in ngrams(example, n)}
    own = [gram for text in texts for gram in ngrams(text, n)]
    return sum(gram in known for gram in own) / len(own) if own else 0.0


def repetition(texts: Sequence[str], n: int = 3) -> float:
    """The mean, over texts, of the share of a text's n-grams that have come before in it; 0 for one too short to have any."""
    shares = [1 - len(set(grams)) / len(grams) if (grams := ngrams(text, n)) else 0.0 for text in texts]
    return sum(shares) / len(shares)


def _is_copy(text: str, examples: set[str]) -> bool:
    if text in examples:
        return True
    return len(text.split()) >= _WORDS and any(example.startswith(text) for example in examples)


def _plain(text: str) -> str:
    return " ".join(text.split())
