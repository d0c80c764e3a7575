"""Workers from GoEmotions: the neighbours of a target comment, dealt to the crowd.

The crowd of experiment L of "Crowd-SFT" (arXiv 2506.04063).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from crowd_sim.crowd.sources.neighbourhoods import read_neighbourhoods
from crowd_sim.crowd.sources.places import DATA_VARIABLE
from crowd_sim.crowd.texts import Example, TextCrowd
from crowd_sim.errors import InputError
from crowd_sim.paths import is_file

FILE_NAME = "neighbourhoods.parquet"
FOLDER_NAME = "goemotions"
PROMPT = "write a reddit comment."
"""The paper's prompt."""


def read_neighbours(path: Path | None, emotion: str, n_workers: int) -> TextCrowd:
    """The neighbours of one emotion's target comment, dealt one by one in the order of their rank.

    Worker w has the ranks w + 1, w + 1 + n, w + 1 + 2n, …, so that `TextCrowd.in_turn` gives them back nearest first.
    The target comment itself (rank 0) is not dealt. The target texts are all the neighbours;
    those from elsewhere the neighbours of all other emotions.

    Args:
        path: as `find_neighbourhoods` takes it.
        emotion: a name in the file.
        n_workers: n, from 1 to the number of neighbours (100: one each).

    Raises:
        InputError: no file, an unknown emotion, more workers than neighbours, or what is wrong with the file.
    """
    neighbours, others = _of(path, emotion)
    if not 1 <= n_workers <= len(neighbours):
        raise InputError(
            "crowd.n_workers", n_workers, f"must be 1 to {len(neighbours)}: each worker has at least one neighbour"
        )
    return _dealt(neighbours, n_workers, neighbours, others)


def draw_neighbours(
    path: Path | None, emotion: str, n_workers: int, each: int, max_words: int | None, draws: np.random.Generator
) -> TextCrowd:
    """Neighbours of one emotion, so many of each worker, drawn without repetition; else as `read_neighbours`.

    Args:
        path: as `find_neighbourhoods` takes it.
        emotion: a name in the file.
        n_workers: n.
        each: comments of a worker.
        max_words: the longest that are drawn; None: any. The target texts are all neighbours, whatever their length.
        draws: of the run.

    Raises:
        InputError: no file, an unknown emotion, too few such neighbours, or what is wrong with the file.
    """
    neighbours, others = _of(path, emotion)
    short = [text for text in neighbours if max_words is None or len(text.split()) <= max_words]
    if n_workers * each > len(short):
        bound = "" if max_words is None else f" of at most {max_words} words"
        allowed = f"must be at most {len(short) // each}: {emotion} has {len(short)} neighbours{bound}, {each} for each worker"
        raise InputError("crowd.n_workers", n_workers, allowed)
    drawn = draws.permutation(len(short))[: n_workers * each]
    return _dealt([short[i] for i in drawn], n_workers, neighbours, others)


def _of(path: Path | None, emotion: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """An emotion's neighbours without its target comment, and the texts of all other emotions."""
    place = find_neighbourhoods(path)
    by_emotion = {neighbourhood.emotion: neighbourhood for neighbourhood in read_neighbourhoods(place)}
    if emotion not in by_emotion:
        raise InputError("crowd.target", emotion, f"must be one of {', '.join(by_emotion)}: these are in {place}")
    others = tuple(text for other, its in by_emotion.items() if other != emotion for text in its.texts)
    return tuple(by_emotion[emotion].texts[1:]), others


def _dealt(texts: Sequence[str], n_workers: int, target: tuple[str, ...], others: tuple[str, ...]) -> TextCrowd:
    dealt = tuple(tuple(Example(PROMPT, text) for text in texts[w::n_workers]) for w in range(n_workers))
    return TextCrowd(tuple(map(str, range(n_workers))), dealt, target, others)


def find_neighbourhoods(path: Path | None) -> Path:
    """The file: ``path`` itself, or neighbourhoods.parquet in that folder or in its goemotions/.

    Args:
        path: a file or folder; ``None`` is the folder in the environment's CROWD_SIM_DATA.

    Raises:
        InputError: there is none.
    """
    field = "crowd.path" if path else DATA_VARIABLE
    here = path or (Path(os.environ[DATA_VARIABLE]) if os.environ.get(DATA_VARIABLE) else None)
    todo = "`crowd-sim data goemotions` makes it"
    if here is None:
        raise InputError("crowd.path", None, f"{FILE_NAME}, here or in the environment's {DATA_VARIABLE}; {todo}")
    for candidate in (here, here / FILE_NAME, here / FOLDER_NAME / FILE_NAME):
        if is_file(candidate):
            return candidate
    raise InputError(field, here, f"{FILE_NAME}, or a folder that holds it or {FOLDER_NAME}/{FILE_NAME}; {todo}")
