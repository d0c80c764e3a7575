"""Workers from GoEmotions: the neighbours of a target comment, dealt to the crowd.

The crowd of experiment L of "Crowd-SFT" (arXiv 2506.04063).
"""

from __future__ import annotations

import os
from pathlib import Path

from crowd_sim.crowd.sources.neighbourhoods import read_neighbourhoods
from crowd_sim.crowd.sources.places import DATA_VARIABLE
from crowd_sim.crowd.texts import Example, TextCrowd
from crowd_sim.errors import InputError

FILE_NAME = "neighbourhoods.parquet"
FOLDER_NAME = "goemotions"
PROMPT = "write a reddit comment."
"""The paper's prompt."""


def read_neighbours(path: Path | None, emotion: str, n_workers: int, prompt: str = PROMPT) -> TextCrowd:
    """The neighbours of one emotion's target comment, dealt one by one in the order of their rank.

    Worker w has the ranks w + 1, w + 1 + n, w + 1 + 2n, …, so that `TextCrowd.in_turn` gives them back nearest first.
    The target comment itself (rank 0) is not dealt. The target texts are all the neighbours;
    those from elsewhere the neighbours of all other emotions.

    Args:
        path: as `find_neighbourhoods` takes it.
        emotion: a name in the file.
        n_workers: n, from 1 to the number of neighbours (100: one each).
        prompt: of every example.

    Raises:
        InputError: no file, an unknown emotion, more workers than neighbours, or what is wrong with the file.
    """
    place = find_neighbourhoods(path)
    by_emotion = {neighbourhood.emotion: neighbourhood for neighbourhood in read_neighbourhoods(place)}
    if emotion not in by_emotion:
        raise InputError("crowd.target", emotion, f"one of {', '.join(by_emotion)}: these are in {place}")
    neighbours = by_emotion[emotion].texts[1:]
    if not 1 <= n_workers <= len(neighbours):
        raise InputError(
            "crowd.n_workers", n_workers, f"1 to {len(neighbours)}: each worker has at least one neighbour"
        )
    if not prompt.strip():
        raise InputError("crowd.prompt", prompt, "a text that is not blank")
    dealt = tuple(tuple(Example(prompt, text) for text in neighbours[w::n_workers]) for w in range(n_workers))
    others = tuple(text for other, its in by_emotion.items() if other != emotion for text in its.texts)
    return TextCrowd(tuple(map(str, range(n_workers))), dealt, neighbours, others)


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
        if candidate.is_file():
            return candidate
    raise InputError(field, here, f"{FILE_NAME}, or a folder that holds it or {FOLDER_NAME}/{FILE_NAME}; {todo}")
