"""Parquet files, of which nothing is believed: a damaged one is refused in one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from crowd_sim.arrow import arrow_file
from crowd_sim.crowd.sources.contents import content_of
from crowd_sim.errors import InputError

if TYPE_CHECKING:  # imported late: a run of another source should not wait for it
    import pyarrow.parquet

T = TypeVar("T")


def read_parquet(
    path: Path, read: Callable[[pyarrow.parquet.ParquetFile, list[str]], T], field: str = "crowd.path"
) -> T:
    """What `read` makes of a file and the names of those of its columns that are a saved pandas index.

    Raises:
        InputError: no file, or one that is damaged.
    """
    import pyarrow.parquet

    content = content_of(path, field)
    try:
        # the bytes themselves, not a data set: folders named like a=1 must not become columns
        file = pyarrow.parquet.ParquetFile(arrow_file(content), page_checksum_verification=True)
        return read(file, _index_columns(file))
    except InputError:
        raise
    except (Exception, MemoryError) as error:  # of damaged metadata Arrow raises almost anything
        raise InputError(
            str(path), None, f"a readable Parquet file is needed ({error or type(error).__name__})"
        ) from None


def _index_columns(file: pyarrow.parquet.ParquetFile) -> list[str]:
    metadata = file.schema_arrow.pandas_metadata
    columns = metadata.get("index_columns") if isinstance(metadata, dict) else None
    # a range is kept as a mapping, and is no column
    return [name for name in columns if isinstance(name, str)] if isinstance(columns, list) else []
