"""Examples packed into one row: each prompt once, all its responses behind it, none of which sees another.

Tokens of a response attend to their prompt and to themselves up to now, and count their positions on from the prompt; so each
is seen by the model just as if it stood alone behind its prompt, and the prompt is computed once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_NOBODY = -1


@dataclass(frozen=True)
class Tokens:
    """An example in tokens.

    Attributes:
        prompt: of at least one token.
        response: with the end-of-sequence token.
        n_trained: how many of the response's tokens, from its start, are learnt from.
    """

    prompt: tuple[int, ...]
    response: tuple[int, ...]
    n_trained: int


@dataclass(frozen=True, eq=False)
class Packed:
    """Examples of one candidate as a row of T tokens, of which M are predicted.

    Attributes:
        ids: int64[T].
        positions: int64[T], restarted with each prompt, continued by each of its responses.
        prompts: int64[T], the number of the prompt a token belongs to.
        responses: int64[T], the number of the response, −1 for a prompt's own tokens.
        sources: int64[M], the place whose output predicts a token; a prompt's last place predicts the first of each response.
        targets: int64[M], the tokens predicted.
        owners: int64[M], the number of the example whose response a predicted token is of.
        n_examples: how many there are.
    """

    ids: NDArray[np.int64]
    positions: NDArray[np.int64]
    prompts: NDArray[np.int64]
    responses: NDArray[np.int64]
    sources: NDArray[np.int64]
    targets: NDArray[np.int64]
    owners: NDArray[np.int64]
    n_examples: int


def pack(examples: Sequence[Tokens]) -> Packed:
    """Pack examples into one row, those of equal prompts behind one prompt."""
    ids: list[int] = []
    positions: list[int] = []
    prompts: list[int] = []
    responses: list[int] = []
    sources: list[int] = []
    targets: list[int] = []
    owners: list[int] = []
    number = 0
    for p, prompt in enumerate(dict.fromkeys(example.prompt for example in examples)):
        ids += prompt
        positions += range(len(prompt))
        prompts += [p] * len(prompt)
        responses += [_NOBODY] * len(prompt)
        last_of_prompt = len(ids) - 1
        for owner, example in enumerate(examples):
            if example.prompt != prompt:
                continue
            # the last token that is learnt predicts nothing, so the model need not see it
            seen = example.response[: example.n_trained - 1]
            first = len(ids)
            sources += [last_of_prompt, *range(first, first + len(seen))]
            targets += example.response[: example.n_trained]
            owners += [owner] * example.n_trained
            ids += seen
            positions += range(len(prompt), len(prompt) + len(seen))
            prompts += [p] * len(seen)
            responses += [number] * len(seen)
            number += 1
    lists = (ids, positions, prompts, responses, sources, targets, owners)
    a, b, c, d, e, f, g = (np.array(part, dtype=np.int64) for part in lists)
    return Packed(a, b, c, d, e, f, g, len(examples))


def rows_of(examples: Sequence[Tokens], trained: int, row_tokens: int) -> list[list[int]]:
    """Numbers of the examples of each row, see `rows_of_units`."""
    return rows_of_units([(example,) for example in examples], trained, row_tokens)


def rows_of_units(units: Sequence[tuple[Tokens, ...]], trained: int, row_tokens: int) -> list[list[int]]:
    """Numbers of the units of each row, in their order; a unit is examples that must stand in one row.

    A row is full when one more unit would bring it above `trained` predicted tokens or above `row_tokens` tokens, prompts
    included: an attention mask grows with the square of a row. A unit that is longer has a row of its own.
    """
    found: list[list[int]] = [[]]
    n_trained = n_tokens = 0
    prompts: set[tuple[int, ...]] = set()
    for i, unit in enumerate(units):
        more = sum(example.n_trained for example in unit)
        here = {example.prompt for example in unit}
        own = more - len(unit) + sum(map(len, here - prompts))
        if found[-1] and (n_trained + more > trained or n_tokens + own > row_tokens):
            found.append([])
            n_trained = n_tokens = 0
            prompts = set()
            own = more - len(unit) + sum(map(len, here))
        found[-1].append(i)
        prompts |= here
        n_trained += more
        n_tokens += own
    return found


def attention(packed: Packed, width: int) -> NDArray[np.bool_]:
    """Who may look at whom: bool[T, T] with T = `width`, the row padded; padding looks at itself alone."""
    n = len(packed.ids)
    order = np.arange(n)
    same = packed.prompts[:, None] == packed.prompts
    own = (packed.responses == _NOBODY) | (packed.responses[:, None] == packed.responses)
    allowed = np.eye(width, dtype=bool)
    allowed[:n, :n] = same & own & (order[:, None] >= order)
    return allowed
