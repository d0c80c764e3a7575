"""A neighbourhood: the comment that shows an emotion best, and the comments whose probabilities Φ are nearest to its own.

The material of experiment L of "Crowd-SFT" (arXiv 2506.04063), there of GoEmotions (Demszky and others, ACL 2020).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from crowd_sim.crowd.sources.records import read_records
from crowd_sim.errors import InputError

if TYPE_CHECKING:  # imported late: a run of another source should not wait for it
    import pandas as pd

N_NEIGHBOURS = 100


@dataclass(frozen=True)
class Neighbourhood:
    """An emotion's comments by rank: the target comment at 0, then its neighbours, the nearest first.

    Attributes:
        emotion: the name.
        texts: [1 + n].
        scores: probabilities of the labels, float64[1 + n, n_labels].
    """

    emotion: str
    texts: tuple[str, ...]
    scores: NDArray[np.float64]


def read_neighbourhoods(path: Path, field: str = "crowd.path") -> tuple[Neighbourhood, ...]:
    """All neighbourhoods of a file, in the order in which the emotions first come.

    Args:
        path: Parquet with ``emotion``, ``rank`` (of each emotion 0 to n, each once), ``text`` and ``scores`` (a list of
            probabilities, as many in each row).
        field: where the path comes from, for the error if there is no such file.

    Raises:
        InputError: a column is missing or holds something else; the file or the row that is broken.
    """
    if path.suffix.lower() != ".parquet":
        raise InputError(field, path, "must be a file that ends in .parquet")
    rows: dict[str, dict[int, tuple[str, list[float]]]] = {}
    length = None
    for record in read_records(path, ("emotion", "rank", "text", "scores"), others=True, field=field):
        scores = record.probabilities("scores", length)
        length = len(scores)
        of_emotion = rows.setdefault(record.text("emotion"), {})
        rank = record.values["rank"]
        if isinstance(rank, bool) or not isinstance(rank, int) or rank < 0 or rank in of_emotion:
            raise InputError(record.place, None, f"rank must be a whole number that no other row has, it is {rank!r}")
        of_emotion[rank] = (record.text("text"), scores)
    return tuple(_ordered(path, emotion, of_emotion) for emotion, of_emotion in rows.items())


def build_neighbourhood(
    emotion: str, texts: Sequence[str], scores: NDArray[np.float64], labels: Sequence[str], n: int = N_NEIGHBOURS
) -> Neighbourhood:
    """The comment with the highest probability of an emotion, and the n others whose scores are nearest to its own.

    Nearest by Euclidean distance; of equals the earlier comes first.

    Args:
        emotion: one of ``labels``.
        texts: [m], m > n.
        scores: probabilities of the labels, float64[m, n_labels].
        labels: names of the columns of ``scores``.
        n: neighbours.

    Raises:
        InputError: an unknown emotion, or too few texts.
    """
    if emotion not in labels:
        raise InputError("--emotion", emotion, f"must be one of {', '.join(labels)}")
    if len(texts) <= n:
        raise InputError("texts", len(texts), f"more than {n} are needed for a comment and its {n} neighbours")
    target = int(scores[:, list(labels).index(emotion)].argmax())
    distance = np.sqrt(((scores - scores[target]) ** 2).sum(axis=1))
    distance[target] = -1.0  # itself first, also before its doubles
    rows = np.argsort(distance, kind="stable")[: n + 1]
    return Neighbourhood(emotion, tuple(texts[r] for r in rows), scores[rows])


def neighbourhoods_table(neighbourhoods: Sequence[Neighbourhood]) -> pd.DataFrame:
    """The table that `read_neighbourhoods` reads: a row per comment, ``emotion``, ``rank``, ``text`` and ``scores``."""
    import pandas as pd

    return pd.DataFrame(
        [
            {"emotion": one.emotion, "rank": rank, "text": text, "scores": one.scores[rank].tolist()}
            for one in neighbourhoods
            for rank, text in enumerate(one.texts)
        ]
    )


def _ordered(path: Path, emotion: str, rows: dict[int, tuple[str, list[float]]]) -> Neighbourhood:
    missing = next((rank for rank in range(len(rows)) if rank not in rows), None)
    if missing is not None or len(rows) < 2:
        allowed = f"ranks from 0 (the comment itself) on are needed for {emotion!r}, {missing or len(rows)} is missing"
        raise InputError(str(path), None, allowed)
    ordered = [rows[rank] for rank in range(len(rows))]
    return Neighbourhood(emotion, tuple(text for text, _ in ordered), np.array([scores for _, scores in ordered]))
