"""The parts of a sweep's folder as they lie there: read without what makes them, as whoever looks at a sweep does."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from crowd_sim.files import arrow_table

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


def count_points(folder: Path) -> tuple[int, int]:
    """How many points of the sweep in a folder have a result, and how many were tried in vain; changes nothing there.

    A part that is damaged counts as not there, as it will when the sweep goes on.
    """
    done, tried = (_numbers(folder / "parts" / kind) for kind in ("points", "failures"))
    return len(done), len(np.setdiff1d(tried, done))


def points_so_far(folder: Path) -> pd.DataFrame:
    """The finished points of the sweep in a folder, as `points.parquet` will have them; changes nothing there."""
    import pandas as pd

    found = []
    for path in sorted((folder / "parts" / "points").glob("*.parquet")):
        with suppress(OSError):  # set aside in the meantime
            if (table := part_of(path)) is not None:
                found.append(table.to_pandas())
    if not found:
        return pd.DataFrame()
    table = pd.concat(found, ignore_index=True).drop_duplicates("point").sort_values("point", ignore_index=True)
    return table.drop(columns="point")


def _numbers(parts: Path) -> NDArray[np.int64]:
    """The points that parts have rows of, int64[m], once each, in order."""
    found = [np.empty(0, dtype=np.int64)]
    for path in parts.glob("*.parquet"):
        with suppress(OSError):  # set aside in the meantime
            if (table := part_of(path)) is not None:
                found.append(table["point"].to_numpy())
    return np.unique(np.concatenate(found))


def part_of(path: Path) -> pa.Table | None:
    """A part's table; None where it is damaged."""
    content = path.read_bytes()
    return arrow_table(content) if path.stem.rpartition("-")[2] == digest_of(content) else None


def is_part_whole(path: Path) -> bool:
    """Whether a part is what was written."""
    return path.stem.rpartition("-")[2] == digest_of(path.read_bytes())


def is_turn_whole(path: Path) -> bool:
    """Whether what stands in a lock, if anything, is what `SweepFolder.note_made` has written."""
    word, _, digest = path.read_bytes().rpartition(b" ")
    return (not word and not digest) or digest == digest_of(word).encode()


def digest_of(content: bytes) -> str:
    """What stands in the names of parts for their bytes."""
    return hashlib.sha256(content).hexdigest()[:16]
